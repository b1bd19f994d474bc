"""What are the moments of an incident's story, and where is each of them written?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from detente.facts import dependencies, incidents, pager, releases, sla, toggles, watch, work
from detente.incidents.decisions import Incident
from detente.incidents.engine.acts import Moment, Sort
from detente.incidents.engine.suspects import Suspect
from detente.incidents.projection import FELL
from detente.incidents.queries.meanwhile import position_before
from detente.kernel.clock import Instant, Seconds, lasting, later, seconds_between
from detente.kernel.fact import Fact, Recorded, Subject, kind, plain
from detente.kernel.ledger import Ledger, Query
from detente.kernel.money import Money, total

Named = Callable[[Subject], str]
Weighed = Callable[[Sequence[tuple[Subject, Subject]]], float]
"""How high the curve stands while these (cause, of) are down."""

_DONE: tuple[type[Fact], ...] = (
    dependencies.ChangeRecorded,
    releases.Shipped,
    releases.RolledBack,
    toggles.SwitchedOn,
    toggles.SwitchedOff,
    toggles.FlippedBack,
    toggles.Set,
    work.RoutePaused,
    work.RouteResumed,
)
_SEEN: tuple[type[Fact], ...] = (watch.VerdictReached, sla.PromiseBroken)
_AFTERWARDS: Seconds = 3_600.0  # parked calls go out, promises are found broken
_MOST = 5_000
_WORTH_TELLING = 0.5  # odds of a change that the exposition still names
_MOST_CHANGES = 3


def moments(
    ledger: Ledger, incident: Incident, suspects: Iterable[Suspect], weighed: Weighed, named: Named
) -> list[Moment]:
    """Everything worth telling of an incident, each with where it stands in the ledger."""
    own = list(ledger.read(Query(subjects=(incident.about,))))
    told = [
        *_before(suspects, incident, named),
        *_fell_and_rose(ledger, own, incident, named),
        *_around(own, incident, named),
        *_meanwhile(ledger, incident, named),
        *_calls(ledger, incident),
    ]
    return _lifted(told, incident, weighed)


def _before(suspects: Iterable[Suspect], incident: Incident, named: Named) -> Iterator[Moment]:
    """The changes that may have led up to it."""
    early = [each for each in suspects if each.change.at <= incident.since]
    for each in [each for each in early if each.odds >= _WORTH_TELLING][:_MOST_CHANGES]:
        change = each.change
        yield Moment(
            at=change.at, sort="change", cites=(change.position,),
            says=_sentence(_called(named, change.about), change.says),
        )  # fmt: skip


def _fell_and_rose(
    ledger: Ledger, own: Sequence[Recorded], incident: Incident, named: Named
) -> Iterator[Moment]:
    for each in own:
        match each.fact:
            case incidents.Opened() as fact:
                says = _sentence(_called(named, fact.cause), f"went down: {fact.reason}")
                cites = (*_told_by(ledger, fact.cause, each.position), each.position)
                yield Moment(at=fact.since, sort="failure", says=says, cites=cites)
            case incidents.CauseJoined(remark=False) as fact:
                at = fact.since or each.at
                says = _sentence(_called(named, fact.cause), f"went down too: {fact.reason}")
                yield Moment(
                    at=max(at, incident.since), sort="failure", says=says, cites=(each.position,)
                )
            case incidents.CauseLeft() as fact:
                says = _sentence(
                    _called(named, fact.cause), "works again" if not fact.retired else "is gone"
                )
                yield Moment(
                    at=fact.since or each.at, sort="recovery", says=says, cites=(each.position,)
                )
            case _:
                pass


def _told_by(ledger: Ledger, cause: Subject, until: int) -> tuple[int, ...]:
    """Where it stands that the check failed."""
    query = Query(names=FELL, subjects=(cause,))
    return tuple(each.position for each in ledger.read(query, until=until, limit=1, backwards=True))


def _around(own: Sequence[Recorded], incident: Incident, named: Named) -> Iterator[Moment]:
    """Who noticed, who was told, who took it, what was noted, and how it ended."""
    for each in own:
        said = _said(each, incident, named)
        if said is not None:
            sort, says = said
            yield Moment(at=each.at, sort=sort, says=says, cites=(each.position,))


def _said(each: Recorded, incident: Incident, named: Named) -> tuple[Sort, str] | None:
    match each.fact:
        case incidents.Opened() as fact:
            late = lasting(max(0.0, seconds_between(fact.since, each.at)))
            return "notice", f"Incident {plain(fact.about)} was opened, {late} after the failure."
        case incidents.CauseJoined() | incidents.CauseLeft():
            return None
        case incidents.Noted() as fact:
            who = each.by if ":" not in each.by else "Somebody"
            return "action", _sentence(who, f"wrote: {fact.note}")
        case incidents.Closed() as fact:
            return "end", _sentence(f"Incident {plain(fact.about)}", f"was {fact.says()}")
        case pager.NotTold() | pager.TurnedAway():
            return "note", _sentence("", each.fact.says())
        case _ if each.name.startswith("pager."):
            return "notice", _sentence("", each.fact.says())
        case _ if not each.fact.routine:
            return "note", _sentence(f"Incident {incident.number}:", each.fact.says())
        case _:
            return None


def _meanwhile(ledger: Ledger, incident: Incident, named: Named) -> Iterator[Moment]:
    """What was done and seen while it lasted, whatever it was about."""
    names = tuple(fact.name for fact in (*_DONE, *_SEEN))
    for each in _between(ledger, names, incident.since, _until(incident)):
        sort: Sort = "action" if isinstance(each.fact, _DONE) else "notice"
        if sort == "notice" and not _concerns(each, incident):
            continue
        says = _sentence(_called(named, each.about), each.fact.says())
        yield Moment(at=each.at, sort=sort, says=says, cites=(each.position,))


def _concerns(each: Recorded, incident: Incident) -> bool:
    subjects = {incident.of, *(cause.cause for cause in incident.causes)}
    return each.about in subjects or getattr(each.fact, "vendor", "") == incident.of


def _calls(ledger: Ledger, incident: Incident) -> Iterator[Moment]:
    """Parked calls, and those that went out later, each told as one."""
    until = _until(incident)
    parked = [
        each
        for each in _between(ledger, (work.CallParked.name,), incident.since, until)
        if isinstance(each.fact, work.CallParked) and each.fact.vendor == incident.of
    ]
    ours = {each.about for each in parked}
    charged = [
        each
        for each in _between(ledger, (work.CallCharged.name,), incident.since, until)
        if each.about in ours
    ]
    yield from _together(parked, "parked on disk instead of being lost")
    yield from _together(charged, "passed on after all, and accepted by the vendor")


def _together(calls: Sequence[Recorded], what: str) -> Iterator[Moment]:
    if not calls:
        return
    worth = " and ".join(map(str, total(_money_in(calls))))
    count = "1 call was" if len(calls) == 1 else f"{len(calls)} calls were"
    says = f"{count} {what}{f', worth {worth}' if worth else ''}."
    cites = tuple(dict.fromkeys((calls[0].position, calls[-1].position)))
    yield Moment(at=calls[-1].at, sort="note", says=says, cites=cites)


def _money_in(calls: Iterable[Recorded]) -> Iterator[Money]:
    for each in calls:
        money = getattr(each.fact, "money", None)
        if isinstance(money, Money):
            yield money


def _between(
    ledger: Ledger, names: Sequence[str], start: Instant, end: Instant | None
) -> Iterator[Recorded]:
    after = position_before(ledger, start)
    until = None if end is None else position_before(ledger, end)
    yield from ledger.read(Query(names=tuple(names)), after=after, until=until, limit=_MOST)


def _until(incident: Incident) -> Instant | None:
    return None if incident.closed_at is None else later(incident.closed_at, _AFTERWARDS)


def _called(named: Named, about: Subject) -> str:
    """What people call it; with its kind where only its name is known."""
    title = named(about)
    known = title not in (plain(about), "") and not title.startswith("…")
    return title if known else f"{kind(about)} {title}"


def _sentence(title: str, says: str) -> str:
    """'CardPay went down: refused.'"""
    said = f"{title} {says}".strip()
    return (said[:1].upper() + said[1:]).rstrip(".") + "."


def _lifted(told: Sequence[Moment], incident: Incident, weighed: Weighed) -> list[Moment]:
    """Each fall and each rise lifts the curve by what it changes of what is down."""
    edges = sorted(
        {max(each.since, incident.since) for each in incident.causes}
        | {each.left for each in incident.causes if each.left is not None}
        | ({incident.closed_at} if incident.closed_at is not None else set())
    )
    heights = {at: weighed(_down_at(incident, at)) for at in edges}
    before, lifts = 0.0, {}
    for at in edges:
        lifts[at] = heights[at] - before
        before = heights[at]
    lifted = []
    for each in sorted(told, key=lambda moment: (moment.at, _ORDER[moment.sort])):
        moves = each.sort in ("failure", "recovery", "end")
        lifted.append(replace(each, lift=lifts.pop(each.at, 0.0)) if moves else each)
    return lifted


_ORDER: dict[Sort, int] = {
    "calm": 0,
    "change": 0,
    "action": 1,
    "failure": 2,
    "recovery": 3,
    "notice": 4,
    "note": 5,
    "end": 6,
}


def _down_at(incident: Incident, at: Instant) -> list[tuple[Subject, Subject]]:
    """(cause, of) of what is down just after that moment."""
    return [
        (each.cause, each.of or incident.of)
        for each in incident.causes
        if not each.remark
        and max(each.since, incident.since) <= at
        and (each.left is None or each.left > at)
        and (incident.closed_at is None or at < incident.closed_at)
    ]
