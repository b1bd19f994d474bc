"""Are failures of one kind told as one, and do their looks give nobody away?"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.work.engine import failing


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("no answer within 2 s", "no answer within … s"),
        ("the vendor answered HTTP 503", "the vendor answered HTTP 503"),
        ("no connection: 10.0.0.7:443 refused", "no connection: … refused"),
        ("request 7f0c9a1e-1111-2222-3333-444455556666 failed", "request … failed"),
        ("trace deadbeef01 at 2026-11-02T09:00:00Z", "trace … at …"),
    ],
)
def test_what_differs_from_call_to_call_is_left_out(reason: str, told: str) -> None:
    """Numbers and identifiers go, the status stays."""
    assert failing.normalised(reason) == told


@pytest.mark.parametrize(
    ("body", "looks"),
    [
        ({"error": "card_declined", "id": "ch_1"}, "{error=card_declined, id}"),
        ({"error": {"code": "E42", "message": "Anna's card"}}, "{error.code=E42, error.message}"),
        ({"errors": [{"code": "x.y", "field": "iban"}, {}]}, "{errors[].code=x.y, errors[].field}"),
        ({"error": "Anna Smith lives here"}, "{error}"),
        ({}, "{dict}"),
    ],
)
def test_an_answer_is_told_by_its_fields_and_codes(body: object, looks: str) -> None:
    """Codes are kept, sentences and values are not."""
    assert failing.shape(json.dumps(body).encode()) == looks


@pytest.mark.parametrize(
    ("body", "looks"),
    [
        (b"", "an empty answer"),
        (b"<html><title>502 Bad\n Gateway</title>", "a web page: … Bad Gateway"),
        (b"<xml>", "a web page, not JSON"),
        (b"upstream timed out", "plain text, not JSON"),
        (b"\xff\xfe", "plain text, not JSON"),
    ],
)
def test_answers_that_are_no_json(body: bytes, looks: str) -> None:
    """What proxies say in a vendor's place."""
    assert failing.shape(body) == looks


@given(st.binary(max_size=300))
def test_any_answer_has_looks(body: bytes) -> None:
    """Short ones."""
    assert 0 < len(failing.shape(body)) <= 200


def test_the_same_failure_has_one_identity() -> None:
    """Another number makes no other failure; another route or another code does."""
    same = failing.identity("vendor:v", "r", "no answer", "no answer within 2 s", "")
    assert same == failing.identity("vendor:v", "r", "no answer", "no answer within 3 s", "")
    assert same != failing.identity("vendor:v", "s", "no answer", "no answer within 2 s", "")
    assert same != failing.identity("vendor:v", "r", "no answer", "no answer within 2 s", "{a}")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("not sent: the vendor was not answering", failing.KEPT_BACK),
        ("the vendor answered HTTP 502", "HTTP 502"),
        ("no answer within 2 s", "no answer"),
        ("connection refused", "no connection"),
    ],
)
def test_facts_of_former_versions_are_grouped_by_their_reason(reason: str, kind: str) -> None:
    """They say nothing else."""
    assert failing.kind_before(reason) == kind
