"""The promises, one promise and its arithmetic, as people see them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from detente.facts.sla import (
    Claimed,
    ClaimSettled,
    Excluded,
    IncludedAgain,
    PromiseBroken,
    PromiseRestored,
    VendorTold,
)
from detente.facts.watch import CameBack, LostSight, RegainedSight, SheetFiled, WentDown
from detente.kernel.clock import NS, Instant, lasting, moment
from detente.kernel.faces import Told, tell
from detente.kernel.fact import Subject, Tone, kind, plain
from detente.kernel.ledger import Query
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import Answered, Ask, Asked, Endpoint, Page, Panel, Refused, Sign
from detente.sla import decisions, queries
from detente.sla.decisions import Day, Standing
from detente.sla.decisions.claims import Claim, Exclusion, Ticket
from detente.sla.effects import gather, read_on
from detente.sla.engine.calendar import Every, period_at
from detente.sla.engine.deadlines import by_when, windows
from detente.sla.engine.moments import both, length, without
from detente.sla.queries import Outage, Reckoning
from detente.sla.settings import Promise, Sla
from detente.sla.wording import letter, period_in_words


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One promise in one period, at a glance."""

    name: str
    about: Subject
    vendor: Subject
    period: str  # "November 2026"
    checks: tuple[str, ...]
    former: tuple[str, ...]  # of these checks: no longer declared
    failed: str  # "480 of 719 runs" outside outages, or nothing if they were only a few
    standing: Standing
    tone: Tone
    verdict: str
    budget: str
    so_far: str  # "so far", or "final"
    unmeasured_share: float
    unmeasured_says: str
    days: list[Day]
    """The days of the period; upon them, in its true length, what was down."""
    without: Standing | None
    """How it would stand with nothing left out; None if nothing was."""
    claim: Claim | None
    """What is owed for this period, and until when it must be claimed."""


class Promises(msgspec.Struct, frozen=True):
    """Every promise in its running period."""

    promises: list[Card]


class Step(msgspec.Struct, frozen=True):
    """One line of the reckoning: what, how much, and how it came about."""

    what: str
    value: str
    how: str


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A time that does not count, by somebody's word or by the contract."""

    number: int | None
    start: Instant
    end: Instant
    down: float
    """Seconds of downtime in it that do not count."""
    reason: str
    by: str
    back: str
    """Why it counts again; empty while it does not."""


class PromisePage(msgspec.Struct, frozen=True, kw_only=True):
    """One promise in one period, with everything its numbers come from."""

    card: Card
    fee: Money | None
    per: Every
    steps: list[Step]
    outages: list[Outage]
    left_out: list[LeftOut]
    facts: list[Told]
    before: str
    after: str | None


def promises(node: Node, _ask: Ask) -> Promises:
    return Promises([_running(node, name) for name in node.settings(Sla).promises])


def _running(node: Node, name: str) -> Card:
    promise = queries.promise_named(node, name)
    period = queries.period_asked(node, promise, None)
    return _card(node, queries.reckon(node, name, promise, period))


def _card(node: Node, found: Reckoning) -> Card:
    standing = found.standing
    return Card(
        name=found.name,
        about=f"promise:{found.name}",
        vendor=f"vendor:{found.promise.vendor}",
        period=_period_of(found),
        checks=found.checks,
        former=found.former,
        failed=_failed(found),
        standing=standing,
        tone=standing.tone,
        verdict=standing.verdict,
        budget=standing.budget_says,
        so_far="final" if standing.final else "so far",
        unmeasured_share=standing.unmeasured_share,
        unmeasured_says=share(standing.unmeasured_share),
        days=_strip(found),
        without=found.without,
        claim=queries.claim_of(node, found),
    )


def _period_of(found: Reckoning) -> str:
    start = found.standing.period.start
    return period_in_words(start, found.promise.period, found.promise.timezone)


def _strip(found: Reckoning) -> list[Day]:
    """Seconds of downtime do not make a day red: each outage is as long as it was."""
    down = found.made_of.down
    days = decisions.by_day(found.promise, found.standing.period, found.made_of)
    return [
        *(msgspec.structs.replace(day, tone="good") if day.tone == "bad" else day for day in days),
        *(
            Day(start=start, end=end, tone="bad", says=f"{lasting((end - start) / NS)} down")
            for start, end in down
        ),
        *(
            Day(start=start, end=end, tone="warn", says=f"{lasting((end - start) / NS)} left out")
            for start, end in found.made_of.excluded
        ),
    ]


def share(part: float) -> str:
    """'12.3%'; never all or nothing unless it is."""
    if 0 < part < 0.001:
        return "less than 0.1%"
    if 0.999 < part < 1:
        return "more than 99.9%"
    return f"{100 * part:.1f}%" if 0 < part < 1 else f"{100 * part:.0f}%"


def one_promise(node: Node, ask: Ask) -> PromisePage:
    name = ask.path["promise"]
    promise = queries.promise_named(node, name)
    period = queries.period_asked(node, promise, ask.query.get("period"))
    found = queries.reckon(node, name, promise, period)
    card, outages = _card(node, found), queries.outages(node, found)
    next_one = period_at(period.end, promise.period, promise.timezone)
    return PromisePage(
        card=card,
        fee=promise.fee,
        per=promise.period,
        steps=steps(card, promise),
        outages=outages,
        left_out=_left_out(found),
        facts=_facts(node, found, outages),
        before=period_at(period.start - 1, promise.period, promise.timezone).name,
        after=None if card.standing.until < period.end else next_one.name,
    )


def _left_out(found: Reckoning) -> list[LeftOut]:
    """What people left out of the period, and the contract's own windows in which it was down."""
    period = found.standing.period
    by_people = [
        _by_people(each, found)
        for each in found.done.exclusions
        if each.start < period.end and each.end > period.start
    ]
    return [*by_people, *_by_contract(found)]


def _by_people(exclusion: Exclusion, found: Reckoning) -> LeftOut:
    time = [(exclusion.start, exclusion.end)] if exclusion.holds else []
    return LeftOut(
        number=exclusion.number,
        start=exclusion.start,
        end=exclusion.end,
        down=length(both(found.made_of.excluded, time)) / NS,
        reason=exclusion.reason,
        by=exclusion.by,
        back=exclusion.back_why,
    )


def _by_contract(found: Reckoning) -> list[LeftOut]:
    """The rest: windows that somebody left out anyway are told above."""
    promise, standing = found.promise, found.standing
    start, end = standing.period.start, standing.until
    rest = without(found.made_of.excluded, found.done.left_out)
    return [
        LeftOut(
            number=None,
            start=first,
            end=last,
            down=length(both(rest, [(first, last)])) / NS,
            reason="maintenance",
            by="the contract",
            back="",
        )
        for first, last in windows(promise.excludes, start, end, promise.timezone)
        if both(rest, [(first, last)])
    ]


_DONE = (
    PromiseBroken, PromiseRestored, Excluded, IncludedAgain, VendorTold, Claimed, ClaimSettled
)  # fmt: skip


def _facts(node: Node, found: Reckoning, outages: list[Outage]) -> list[Told]:
    """The facts behind the outages, and what was done about the promise, newest first."""
    positions = {each.span.opened_by for each in outages}
    positions |= {each.span.closed_by for each in outages if each.span.closed_by}
    behind = [
        recorded
        for position in sorted(positions, reverse=True)[:100]
        for recorded in node.ledger.read(Query(), after=position - 1, until=position)
    ]
    asked = Query(names=tuple(each.name for each in _DONE), subjects=(f"promise:{found.name}",))
    done = [
        each
        for each in node.ledger.read(asked)
        if queries.is_dealt_with(each, found.standing.period)
    ]
    return [tell(node, each) for each in sorted([*behind, *done], key=lambda each: -each.position)]


_A_FEW = 0.01  # a network now and then loses a packet


def _failed(found: Reckoning) -> str:
    return f"{found.failed} of {found.runs} runs" if found.failed > _A_FEW * found.runs else ""


def steps(card: Card, promise: Promise) -> list[Step]:
    """How the numbers were computed, in the order one would do it by hand."""
    made = card.standing
    whole = made.period.length / NS
    owed = str(made.owed) if made.owed else "nothing"
    measured = "no time was measured" if made.attained is None else "up ÷ (up + down)"
    less = _less(made)
    whole_says = f"(whole period{less})" if less else "whole period"
    outcome = "the vendor's attainment" if made.final else "if nothing more happens until the end"
    found = [
        Step("The whole period", lasting(whole), f"{card.period}, {promise.timezone}"),
        Step("Elapsed", lasting(made.elapsed), "from its beginning until now or its end"),
        Step("Not measured", _long(made.unmeasured), "nobody looked, or nobody could tell"),
        Step("Down", _long(made.down), _down(promise, made)),
        *_excluded(made),
        Step("Up", _long(made.up), f"elapsed − not measured − down{less}"),
        Step("Attained of the time measured", made.attained_says, measured),
        Step(
            "Attained under the contract",
            made.under_contract_says,
            f"(whole period{less} − down) ÷ {whole_says}: {outcome}; time not measured counts for them",
        ),
        *_with_all(card.without),
        Step("Allowed downtime", _long(made.allowed), f"(100% − {made.target}) × {whole_says}"),
        Step("Left of it", _long(max(0.0, made.left)), card.budget),
    ]
    if card.failed:
        how = "never as often in a row as a check's falls_after, so that it counts as up"
        found.append(Step("Failed outside outages", card.failed, how))
    if card.former:
        how = "no longer declared, and what they saw counts; name `checks` to choose others"
        found.append(Step("Former checks", ", ".join(card.former), how))
    if promise.credits:
        found.append(Step("Owed to us", owed, _owed(promise, made)))
    return found


def _excluded(made: Standing) -> list[Step]:
    how = (
        "down in a time that people or the contract leave out: neither down nor part of the period"
    )
    return [Step("Left out", lasting(made.excluded), how)] if made.excluded else []


def _with_all(without: Standing | None) -> list[Step]:
    if without is None:
        return []
    owed = f"{without.owed or 'nothing'} would be owed" if without.rows else ""
    how = f"{lasting(without.down)} down of {lasting(without.allowed)} allowed"
    says = f"{how}; {owed}" if owed else how
    return [Step("The same with nothing left out", without.under_contract_says, says)]


def _less(made: Standing) -> str:
    return " − left out" if made.excluded else ""


def _long(seconds: float) -> str:
    return lasting(seconds) if seconds else "none"


def _down(promise: Promise, made: Standing) -> str:
    which = "any check" if promise.down_when == "any" else "every check"
    short = f"; {lasting(made.too_short)} of shorter outages left out" if made.too_short else ""
    least = f" for at least {promise.minimum_outage}" if promise.minimum_outage else ""
    return f"{which} was seen down{least}{short}"


def _owed(promise: Promise, made: Standing) -> str:
    row = next((each for each in made.rows if each.reached), None)
    if row is None:
        return "no row of the table is reached"
    return f"{row.owed} of {promise.fee}, rounded down: below {row.below} under the contract"


# -- signs and panels --------------------------------------------------------------------------


def signs(node: Node) -> list[Sign]:
    """Promises that are broken, nearly, or measured by nothing; and what must be claimed by when."""
    found: list[Sign] = []
    for name, promise in node.settings(Sla).promises.items():
        card = _running(node, name)
        about_it = _sign(node, card)
        found += [about_it] if about_it else []
        if promise.claim is not None:
            found += _claims_due(node, card, promise)
    return found


def _claims_due(node: Node, card: Card, promise: Promise) -> Iterator[Sign]:
    vendor = node.title(card.vendor)
    for ticket in queries.untold(node, card.name)[:1]:
        yield _sign_of_ticket(ticket, card, vendor, promise)
    for claim in queries.claims(node, card.name):
        if claim.due is not None:
            yield _sign_of_claim(claim, card, vendor, promise)


def _sign_of_claim(claim: Claim, card: Card, vendor: str, promise: Promise) -> Sign:
    assert claim.due is not None, "only what is due has a sign"
    period = period_in_words(claim.period.start, promise.period, promise.timezone)
    so_far = "" if claim.final else " so far"
    if claim.due.overdue:
        rest = f" ({lasting(-claim.due.left)} ago); claim it all the same, or let it go"
        until = f"the claim was due by {by_when(claim.due.by, promise.timezone)}{rest}"
    else:
        until = f"claim it {claim.due.says}"
    return Sign(
        tone=claim.due.tone,
        about=card.about,
        sentence=f"{vendor} owes us {claim.open} for {period}{so_far}: {until}",
        href=f"/sla/{card.name}?period={claim.period.name}",
    )


def _sign_of_ticket(ticket: Ticket, card: Card, vendor: str, promise: Promise) -> Sign:
    began = f"{moment(ticket.began, promise.timezone):%-d %b %Y, %H:%M}"
    wants = f"{vendor} must hear from us of the outage of {began}"
    if ticket.due.overdue:
        wants = f"{vendor} was to hear from us of the outage of {began}; tell them all the same"
    return Sign(
        tone=ticket.due.tone,
        about=card.about,
        sentence=f"{wants}, {ticket.due.says}",
        since=ticket.began,
        href=f"/sla/{card.name}",
    )


def _sign(node: Node, card: Card) -> Sign | None:
    made, vendor = card.standing, node.title(card.vendor)
    if len(card.checks) == len(card.former):
        sentence = f"nothing measures what {vendor} promised: add a check of it under watch"
    elif made.broken:
        sentence = (
            f"{vendor} broke its promise of {made.target} for {card.period}: {card.budget}"
            f"{_owed_to_us(card)}"
        )
    elif made.running_low:
        sentence = (
            f"{vendor} promised {made.target}: {card.budget} for {card.period}{_owed_to_us(card)}"
        )
    else:
        return None
    # A broken promise lasts until the period ends, long after everything works again: a warning.
    return Sign(tone="warn", about=card.about, sentence=sentence, href=f"/sla/{card.name}")


def _owed_to_us(card: Card) -> str:
    """Where there is a deadline for claiming it, that sign says how much."""
    owed, claim = card.standing.owed, card.claim
    told = claim is not None and claim.due is not None
    return f"; they owe us {owed} so far" if owed and not told else ""


def promises_panel(node: Node, about: Subject) -> Promises | None:
    """The promises of a vendor, or the one promise that is asked about."""
    mine = [
        _running(node, name)
        for name, promise in node.settings(Sla).promises.items()
        if plain(about) == (name if kind(about) == "promise" else promise.vendor)
    ]
    return Promises(mine) if mine else None


_HEARS = tuple(
    fact.name for fact in (WentDown, CameBack, LostSight, RegainedSight, SheetFiled, *_DONE)
)

PAGES = (
    Page(
        path="/sla",
        title="Promises",
        answer=promises,
        template="sla/promises.html",
        in_menu=True,
        hears=_HEARS,
    ),
    Page(
        path="/sla/{promise}",
        title="Promise",
        answer=one_promise,
        template="sla/promise.html",
        hears=_HEARS,
    ),
)

PANELS = (
    Panel(
        title="What was promised",
        kinds=("vendor", "promise"),
        answer=promises_panel,
        template="sla/panel.html",
    ),
)


# Evidence, for other programs and for a vendor's hands


async def _evidence(node: Node, asked: Asked) -> Answered:
    name = asked.path["promise"]
    promise = queries.promise_named(node, name)
    period = queries.period_asked(node, promise, asked.query.get("period"))
    file = f"{name}-{period.name}.zip"
    body = await gather(node, queries.reckon(node, name, promise, period), file)
    shown = {"Content-Disposition": f'attachment; filename="{file}"'}
    return Answered(body=body, type="application/zip", headers=shown)


async def _claim(node: Node, asked: Asked) -> Answered:
    name = asked.path["promise"]
    promise = queries.promise_named(node, name)
    period = queries.period_asked(node, promise, asked.query.get("period"))
    found = queries.reckon(node, name, promise, period)
    claim = queries.claim_of(node, found)
    if claim is None or claim.owed is None:
        raise Refused(
            f"By our count {node.title(f'vendor:{promise.vendor}')} owes nothing for {period.name}."
        )
    text = letter(
        name=name,
        vendor=node.title(f"vendor:{promise.vendor}"),
        us=node.name,
        promise=promise,
        standing=found.standing,
        claim=claim,
        down=found.made_of.down,
        done=found.done,
        checks=found.checks,
    )
    return Answered(body=text.encode(), type="text/plain; charset=utf-8")


async def _checkpoint(node: Node, _asked: Asked) -> Answered:
    log = queries.log(node)
    await read_on(node, log)
    note = queries.signer(node).checkpoint(log.size, log.root)
    return Answered(body=note.encode(), type="text/plain; charset=utf-8")


async def _key(node: Node, _asked: Asked) -> Answered:
    key = queries.signer(node).verifier_key
    return Answered(body=f"{key}\n".encode(), type="text/plain; charset=utf-8")


ENDPOINTS = (
    Endpoint(
        "GET",
        "/sla/key.txt",
        "The public key by which others check what we sign: give it to the vendor once.",
        _key,
    ),
    Endpoint(
        "GET",
        "/sla/{promise}/evidence.zip",
        "The evidence for a promise in a period, with the program that checks it.",
        _evidence,
    ),
    Endpoint(
        "GET",
        "/sla/{promise}/claim.txt",
        "The claim for what a vendor owes for a period, as a text to read over and send.",
        _claim,
    ),
    Endpoint(
        "GET",
        "/sla/checkpoint.txt",
        "The ledger so far in one signed hash, to keep where we cannot reach it.",
        _checkpoint,
    ),
)
