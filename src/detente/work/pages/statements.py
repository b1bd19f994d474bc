"""Our books beside the vendor's, as people see them and programs hand them in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

import msgspec

from detente.facts.work import Reconciled
from detente.kernel.clock import Instant, instant, later
from detente.kernel.fact import Recorded, Subject
from detente.kernel.forms import BadForm, within_ten_years
from detente.kernel.ledger import Query
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import Answered, Ask, Asked, Endpoint, NotFound, Page, Refused
from detente.work import decisions, queries
from detente.work.decisions import Call
from detente.work.engine import statement
from detente.work.engine.statement import BadStatement, Compared, Difference, Line, Ours
from detente.work.engine.travel import Request
from detente.work.settings import Route, Work

_LARGEST = 20 * 1024 * 1024  # bytes of a statement
_LISTED = 500  # differences on a page; the attachment has them all
_PATH = "/work/reconciliations"

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Difference]).decode


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What came of laying our books beside a statement of the vendor's."""

    position: int  # of the fact
    about: Subject
    vendor: Subject
    at: Instant
    by: str
    file: str
    sha256: str
    lines: int
    since: Instant | None
    until: Instant | None
    matched: int
    worth: tuple[Money, ...]
    wrong: int  # all differences together
    numbers: dict[str, int]  # how many of each kind
    differences: list[Difference]  # the first of them


class Reconciliations(msgspec.Struct, frozen=True, kw_only=True):
    """Our books laid beside the vendors', the last time first."""

    reconciliations: list[Reconciliation]
    routes: list[str]  # those that say how their vendor's statement is read
    others: list[str]  # those that do not


def all_reconciliations(node: Node, _ask: Ask) -> Reconciliations:
    asked = Query(names=(Reconciled.name,))
    found = [_told(node, each, few=0) for each in node.ledger.read(asked, backwards=True, limit=50)]
    routes = node.settings(Work).routes
    return Reconciliations(
        reconciliations=found,
        routes=[name for name, route in routes.items() if route.statement is not None],
        others=[name for name, route in routes.items() if route.statement is None],
    )


def one_reconciliation(node: Node, ask: Ask) -> Reconciliation:
    said = ask.path["reconciliation"]
    position = int(said) if said.isdecimal() and len(said) < 18 else 0
    for recorded in node.ledger.read(after=position - 1, until=position) if position else ():
        if isinstance(recorded.fact, Reconciled):
            return _told(node, recorded, few=_LISTED)
    raise NotFound(f"There is no reconciliation {said}; {_PATH} lists them.")


def _told(node: Node, recorded: Recorded, *, few: int) -> Reconciliation:
    fact = recorded.fact
    assert isinstance(fact, Reconciled)
    kept = node.ledger.attachment(recorded.position) if few else None
    numbers = {
        "only ours": fact.only_ours,
        "only theirs": fact.only_theirs,
        "amount differs": fact.amount_differs,
        "double": fact.double,
        "not ours to charge": fact.not_ours_to_charge,
        "given back": fact.given_back,
    }
    return Reconciliation(
        position=recorded.position, about=fact.about, vendor=fact.vendor, at=recorded.at,
        by=recorded.by, file=fact.file, sha256=fact.sha256, lines=fact.lines, since=fact.since,
        until=fact.until, matched=fact.matched, worth=fact.worth, wrong=sum(numbers.values()),
        numbers={kind: number for kind, number in numbers.items() if number},
        differences=_unpack(kept)[:few] if kept else [],
    )  # fmt: skip


# -- handing one in ------------------------------------------------------------------------------


class HandedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's statement, and for which days our calls are expected in it."""

    route: str
    file: str
    content: bytes
    since: Instant | None = None
    until: Instant | None = None


async def hand_in(node: Node, asked: Asked) -> Answered:
    """Lay our books beside the statement in the body, and answer with what came of it."""
    handed = _handed_in(asked, node.clock.now())
    position = await reconcile(node, handed, by=asked.by)
    where = f"{_PATH}/{position}"
    if "text/html" in asked.headers.get("accept", ""):
        return Answered(status=303, headers={"Location": where}, type="text/plain")
    answer = one_reconciliation(node, Ask(path={"reconciliation": str(position)}))
    return Answered(body=msgspec.json.encode(answer))


async def reconcile(node: Node, handed: HandedIn, *, by: str) -> int:
    """Compare, and write down what came of it; answers with where. Raises BadForm, NotFound, Refused."""
    route = node.settings(Work).routes.get(handed.route)
    if route is None:
        known = ", ".join(node.settings(Work).routes) or "none yet"
        raise NotFound(f"There is no route {handed.route}; declared: {known}.")
    if route.statement is None:
        raise Refused(
            f"Nothing says how to read a statement for {handed.route}. Declare which column is which"
            f" under work: routes: {handed.route}: statement:"
        )
    try:
        lines = statement.read(handed.content, route.statement)
    except BadStatement as error:
        raise BadForm(f"{handed.file} cannot be read: {error}") from None
    compared, since, until = _compared(node, handed, route, lines)
    fact = _fact(handed, route, lines, compared, since, until)
    receipt = await node.record(fact, by=by, attach={0: _pack(compared.differences)})
    return receipt.first


def _compared(
    node: Node, handed: HandedIn, route: Route, lines: Sequence[Line]
) -> tuple[Compared, Instant | None, Instant | None]:
    """Without days given, our calls are expected from the first to the last that they list."""
    assert route.statement is not None
    references = list(dict.fromkeys(line.reference for line in lines))
    known = _known(node, handed.route, route.statement.ours, references)
    listed = [call.changed_at for call in known.values() if call.state == "charged"]
    since = handed.since if handed.since is not None else min(listed, default=None)
    until = handed.until if handed.until is not None else max(listed, default=None)
    expected: list[Call] = []
    if since is not None and until is not None:
        expected = queries.charged_between(node.rows, handed.route, since, until)
    by_call = {call.about: reference for reference, call in known.items()}
    ours = [_ours(call, reference) for reference, call in known.items()]
    should = [
        _ours(call, by_call.get(call.about) or _reference(node, call, route.statement.ours))
        for call in expected
    ]
    return statement.compare(ours, should, lines), since, until


def _known(node: Node, route: str, where: str, references: Sequence[str]) -> Mapping[str, Call]:
    """Our calls that they may mean, by what they know them by."""
    if where == "key":
        return {
            name: call
            for call in queries.of_keys(node.rows, route, references)
            for name in (call.key, call.sent_key)
            if name in references
        }
    calls = queries.of_route(node.rows, route)
    wanted = set(references)
    found = {_reference(node, call, where): call for call in calls}
    return {reference: call for reference, call in found.items() if reference in wanted}


def _reference(node: Node, call: Call, where: str) -> str:
    if where == "key":
        return call.sent_key
    kept = node.ledger.attachment(call.request)
    body = msgspec.msgpack.decode(kept, type=Request).body if kept else b""
    return decisions.said(body, where) or call.sent_key


def _ours(call: Call, reference: str) -> Ours:
    return Ours(about=call.about, reference=reference, state=call.state, money=call.money)


def _fact(
    handed: HandedIn, route: Route, lines: Sequence[Line], compared: Compared,
    since: Instant | None, until: Instant | None,
) -> Reconciled:  # fmt: skip
    def number(kind: str) -> int:
        return sum(1 for each in compared.differences if each.kind == kind)

    return Reconciled(
        about=f"route:{handed.route}", vendor=f"vendor:{route.vendor}", file=handed.file,
        sha256=hashlib.sha256(handed.content).hexdigest(), lines=len(lines),
        since=since, until=until, matched=len(compared.matched), worth=compared.worth,
        only_ours=number("only ours"), only_theirs=number("only theirs"),
        amount_differs=number("amount differs"), double=number("double"),
        not_ours_to_charge=number("not ours to charge"), given_back=number("given back"),
    )  # fmt: skip


def _handed_in(asked: Asked, now: Instant) -> HandedIn:
    """From a form, or as the body with the rest in the address."""
    said, content = dict(asked.query), asked.body
    kind = asked.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        said, content = _form(kind, asked.body)
    return HandedIn(
        route=asked.path["route"],
        file=_one_line(said.get("file", "")) or "statement.csv",
        content=content,
        since=_day("since", said.get("since", ""), now),
        until=_day("until", said.get("until", ""), now, end=True),
    )


def _form(kind: str, body: bytes) -> tuple[dict[str, str], bytes]:
    """The fields of an upload (RFC 7578), and the file's bytes."""
    head = f"Content-Type: {kind}\r\n\r\n".encode("utf-8", "replace")
    message = BytesParser(policy=policy.HTTP).parsebytes(head + body)
    said: dict[str, str] = {}
    content = b""
    for part in message.iter_parts() if message.is_multipart() else ():
        assert isinstance(part, EmailMessage)
        name = str(part.get_param("name", header="content-disposition") or "")
        value = part.get_payload(decode=True)
        filled = value if isinstance(value, bytes) else b""
        if name == "statement":
            content, said["file"] = filled, part.get_filename() or ""
        else:
            said[name] = filled.decode("utf-8", "replace").strip()
    if not said.get("file"):
        raise BadForm("statement: choose the vendor's file first.")
    return said, content


def _day(name: str, said: str, now: Instant, *, end: bool = False) -> Instant | None:
    """The beginning of that day in UTC, or its last moment."""
    if not said:
        return None
    try:
        day = date.fromisoformat(said)
    except ValueError:
        raise BadForm(f"{name}: {said!r} is not a day; write it like 2026-11-02.") from None
    begins = within_ten_years(instant(datetime.combine(day, time(), UTC)), now, name)
    return later(begins, 86_400) - 1 if end else begins


def _one_line(said: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in said).split())[:120]


PAGES = (
    Page(
        path=_PATH,
        title="Reconciliations",
        answer=all_reconciliations,
        template="work/reconciliations.html",
        hears=(Reconciled.name,),
    ),
    Page(
        path=_PATH + "/{reconciliation}",
        title="Reconciliation",
        answer=one_reconciliation,
        template="work/reconciliation.html",
        hears=(Reconciled.name,),
    ),
)

ENDPOINTS = (
    Endpoint(
        method="POST",
        path=_PATH + "/{route}",
        explains="Lay our books beside a vendor's statement: the body is the CSV, `file` its name.",
        answer=hand_in,
        largest=_LARGEST,
    ),
)
