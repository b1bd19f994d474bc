"""The promises, one promise and its arithmetic, as people see them."""

from __future__ import annotations

import msgspec

from detente.facts.sla import PromiseBroken
from detente.facts.watch import CameBack, LostSight, RegainedSight, SheetFiled, WentDown
from detente.kernel.clock import NS, Instant, lasting, moment
from detente.kernel.faces import Told, tell
from detente.kernel.fact import Subject, Tone, kind, plain
from detente.kernel.ledger import Query
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import Answered, Ask, Asked, Endpoint, Page, Panel, Sign
from detente.sla import decisions, queries
from detente.sla.decisions import Day, Standing
from detente.sla.effects import read_on
from detente.sla.engine.calendar import Every, period_at
from detente.sla.queries import Outage, Reckoning
from detente.sla.settings import Promise, Sla


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


class Promises(msgspec.Struct, frozen=True):
    """Every promise in its running period."""

    promises: list[Card]


class Step(msgspec.Struct, frozen=True):
    """One line of the reckoning: what, how much, and how it came about."""

    what: str
    value: str
    how: str


class PromisePage(msgspec.Struct, frozen=True, kw_only=True):
    """One promise in one period, with everything its numbers come from."""

    card: Card
    fee: Money | None
    per: Every
    steps: list[Step]
    outages: list[Outage]
    facts: list[Told]
    before: str
    after: str | None


def promises(node: Node, _ask: Ask) -> Promises:
    return Promises([_running(node, name) for name in node.settings(Sla).promises])


def _running(node: Node, name: str) -> Card:
    promise = queries.promise_named(node, name)
    period = queries.period_asked(node, promise, None)
    return _card(queries.reckon(node, name, promise, period))


def _card(found: Reckoning) -> Card:
    standing = found.standing
    return Card(
        name=found.name,
        about=f"promise:{found.name}",
        vendor=f"vendor:{found.promise.vendor}",
        period=spoken(standing.period.start, found.promise.period, found.promise.timezone),
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
    )


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
    ]


def share(part: float) -> str:
    """'12.3%'; never all or nothing unless it is."""
    if 0 < part < 0.001:
        return "less than 0.1%"
    if 0.999 < part < 1:
        return "more than 99.9%"
    return f"{100 * part:.1f}%" if 0 < part < 1 else f"{100 * part:.0f}%"


def spoken(start: Instant, every: Every, zone: str) -> str:
    """'November 2026', '4th quarter of 2026', '2026'."""
    first = moment(start, zone)
    if every == "month":
        return f"{first:%B %Y}"
    if every == "quarter":
        return f"{('1st', '2nd', '3rd', '4th')[first.month // 3]} quarter of {first.year}"
    return f"{first.year}"


def one_promise(node: Node, ask: Ask) -> PromisePage:
    name = ask.path["promise"]
    promise = queries.promise_named(node, name)
    period = queries.period_asked(node, promise, ask.query.get("period"))
    found = queries.reckon(node, name, promise, period)
    card, outages = _card(found), queries.outages(node, found)
    next_one = period_at(period.end, promise.period, promise.timezone)
    return PromisePage(
        card=card,
        fee=promise.fee,
        per=promise.period,
        steps=steps(card, promise),
        outages=outages,
        facts=_facts(node, name, period.name, outages),
        before=period_at(period.start - 1, promise.period, promise.timezone).name,
        after=None if card.standing.until < period.end else next_one.name,
    )


def _facts(node: Node, name: str, period: str, outages: list[Outage]) -> list[Told]:
    """The facts behind the outages, and the one that the promise was broken, newest first."""
    broken = queries.told_broken(node, name, period)
    positions = {each.span.opened_by for each in outages}
    positions |= {each.span.closed_by for each in outages if each.span.closed_by}
    found = [
        recorded
        for position in sorted(positions, reverse=True)[:100]
        for recorded in node.ledger.read(Query(), after=position - 1, until=position)
    ]
    newest_first = sorted([*found, *([broken] if broken else [])], key=lambda each: -each.position)
    return [tell(node, each) for each in newest_first]


_A_FEW = 0.01  # a network now and then loses a packet


def _failed(found: Reckoning) -> str:
    return f"{found.failed} of {found.runs} runs" if found.failed > _A_FEW * found.runs else ""


def steps(card: Card, promise: Promise) -> list[Step]:
    """How the numbers were computed, in the order one would do it by hand."""
    made = card.standing
    whole = made.period.length / NS
    owed = str(made.owed) if made.owed else "nothing"
    measured = "no time was measured" if made.attained is None else "up ÷ (up + down)"
    outcome = "the vendor's attainment" if made.final else "if nothing more happens until the end"
    found = [
        Step("The whole period", lasting(whole), f"{card.period}, {promise.timezone}"),
        Step("Elapsed", lasting(made.elapsed), "from its beginning until now or its end"),
        Step("Not measured", _long(made.unmeasured), "nobody looked, or nobody could tell"),
        Step("Down", _long(made.down), _down(promise, made)),
        Step("Up", _long(made.up), "elapsed − not measured − down"),
        Step("Attained of the time measured", made.attained_says, measured),
        Step(
            "Attained under the contract",
            made.under_contract_says,
            f"(whole period − down) ÷ whole period: {outcome}; time not measured counts for them",
        ),
        Step("Allowed downtime", _long(made.allowed), f"(100% − {made.target}) × whole period"),
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
    """Promises that are broken, nearly, or measured by nothing."""
    cards = [_running(node, name) for name in node.settings(Sla).promises]
    return [sign for card in cards if (sign := _sign(node, card))]


def _sign(node: Node, card: Card) -> Sign | None:
    made, vendor = card.standing, node.title(card.vendor)
    if len(card.checks) == len(card.former):
        sentence = f"nothing measures what {vendor} promised: add a check of it under watch"
    elif made.broken:
        sentence = (
            f"{vendor} broke its promise of {made.target} for {card.period}: {card.budget}"
            f"{_owed_to_us(made)}"
        )
    elif made.running_low:
        sentence = (
            f"{vendor} promised {made.target}: {card.budget} for {card.period}{_owed_to_us(made)}"
        )
    else:
        return None
    # A broken promise lasts until the period ends, long after everything works again: a warning.
    return Sign(tone="warn", about=card.about, sentence=sentence, href=f"/sla/{card.name}")


def _owed_to_us(made: Standing) -> str:
    return f"; they owe us {made.owed} so far" if made.owed else ""


def promises_panel(node: Node, about: Subject) -> Promises | None:
    """The promises of a vendor, or the one promise that is asked about."""
    mine = [
        _running(node, name)
        for name, promise in node.settings(Sla).promises.items()
        if plain(about) == (name if kind(about) == "promise" else promise.vendor)
    ]
    return Promises(mine) if mine else None


_HEARS = tuple(
    fact.name for fact in (WentDown, CameBack, LostSight, RegainedSight, SheetFiled, PromiseBroken)
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
    await read_on(node, queries.log(node))
    file = f"{name}-{period.name}.zip"
    body = queries.bundle(node, queries.reckon(node, name, promise, period), file)
    shown = {"Content-Disposition": f'attachment; filename="{file}"'}
    return Answered(body=body, type="application/zip", headers=shown)


async def _checkpoint(node: Node, _asked: Asked) -> Answered:
    log = queries.log(node)
    await read_on(node, log)
    note = queries.signer(node).checkpoint(log.size, log.root)
    return Answered(body=note.encode(), type="text/plain; charset=utf-8")


ENDPOINTS = (
    Endpoint(
        "GET",
        "/sla/{promise}/evidence.zip",
        "The evidence for a promise in a period, with the program that checks it.",
        _evidence,
    ),
    Endpoint(
        "GET",
        "/sla/checkpoint.txt",
        "The ledger so far in one signed hash, to keep where we cannot reach it.",
        _checkpoint,
    ),
)
