"""Results that other programs wrote."""

from __future__ import annotations

import pytest

from detente.acceptance.engine.junit import NotJUnit, read
from detente.acceptance.engine.parent import Outcome

GO = b"""<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4"><testsuite name="shop/checkout">
  <testcase classname="shop.checkout" name="TestPay" time="1,250.5"/>
  <testcase classname="shop.checkout" name="TestRefund" time="0.1"><failure message="want 200, got 503&#10;more">trace</failure></testcase>
  <testcase name="TestCrash"><error type="panic"/></testcase>
  <testcase name="TestLater" time="odd"><skipped/></testcase>
</testsuite></testsuites>
"""


def test_what_all_dialects_share_is_read() -> None:
    """Names, times, and failed, crashed or skipped, with the first line of why."""
    assert read(GO) == [
        Outcome(test="shop.checkout: TestPay", outcome="passed", took=1250.5),
        Outcome(
            test="shop.checkout: TestRefund", outcome="failed", took=0.1, reason="want 200, got 503"
        ),
        Outcome(test="TestCrash", outcome="failed", took=0.0, reason="panic"),
        Outcome(test="TestLater", outcome="skipped", took=0.0),
    ]


def test_our_own_tests_are_recognised() -> None:
    """Where the pytest plugin was at work, a case says which acceptance test it is."""
    body = b"""<testsuite><testcase classname="t" name="test_x" time="1"><properties>
    <property name="acceptance.id" value="a policy can be bought"/>
    <property name="acceptance.of" value="shop"/></properties></testcase></testsuite>"""
    assert read(body) == [
        Outcome(test="a policy can be bought", of="shop", outcome="passed", took=1.0)
    ]


def test_a_case_that_was_run_again_counts_by_its_last_run() -> None:
    """Some runners write every try."""
    body = b"""<testsuite><testcase name="x"><failure message="once"/></testcase>
    <testcase name="x"/></testsuite>"""
    assert [each.outcome for each in read(body)] == ["passed"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"not xml", "this is not XML"),
        (b"<html/>", "it begins with <html>"),
        (b"<testsuite/>", "there is no <testcase>"),
        (b"<testsuite><testcase/></testsuite>", "has no name"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><testsuite/>', "it declares entities"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(body: bytes, says: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(NotJUnit, match=says):
        read(body)
