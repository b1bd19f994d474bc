"""What does a JUnit XML file say, whichever program and language wrote it?

There is no one standard; what is read here is what all of them share: `testcase` with a name, maybe a
class and a time, and inside it `failure`, `error` or `skipped`. Where our own pytest plugin was at work
its properties say which acceptance test a case is.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from detente.acceptance.engine.parent import Outcome

_LONGEST_REASON = 300
MOST_CASES = 20_000


class NotJUnit(Exception):
    """These bytes are no JUnit XML; the message says what is wrong."""


def read(body: bytes) -> list[Outcome]:
    """One outcome for each test case; a case that was run again counts by its last run.

    Raises NotJUnit.
    """
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise NotJUnit("it declares entities, which no test report needs; they are not read")
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise NotJUnit(f"this is not XML ({error})") from None
    if root.tag not in ("testsuites", "testsuite"):
        raise NotJUnit(f"it begins with <{root.tag}>; JUnit XML begins with <testsuites>")
    found = {each.test: each for each in _cases(root)}
    if not found:
        raise NotJUnit("there is no <testcase> in it")
    if len(found) > MOST_CASES:
        raise NotJUnit(f"there are more than {MOST_CASES} tests in it; import it in parts")
    return list(found.values())


def _cases(root: ElementTree.Element) -> Iterator[Outcome]:
    for case in root.iter("testcase"):
        said = {
            each.get("name", ""): each.get("value") or each.text or ""
            for each in case.iterfind("properties/property")
        }
        outcome, reason = _outcome(case)
        name = said.get("acceptance.id") or _name(case)
        yield Outcome(
            test=" ".join(name.split()),
            of=said.get("acceptance.of", ""),
            sha256=said.get("acceptance.sha256", ""),
            outcome=outcome,
            took=_seconds(case.get("time")),
            reason=reason,
        )


def _name(case: ElementTree.Element) -> str:
    where, name = case.get("classname", ""), case.get("name", "")
    if not name:
        raise NotJUnit("a <testcase> in it has no name")
    return f"{where}: {name}" if where else name


def _outcome(case: ElementTree.Element) -> tuple[str, str]:
    for kind, outcome in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        why = case.find(kind)
        if why is not None:
            text = why.get("message") or (why.text or "").strip() or why.get("type") or ""
            return outcome, text.strip().partition("\n")[0][:_LONGEST_REASON]
    return "passed", ""


def _seconds(said: str | None) -> float:
    try:
        return max(0.0, float((said or "0").replace(",", "")))
    except ValueError:
        return 0.0
