"""Is it up, since when, how quickly does it answer, as seen from where, and whose fault is it if not?"""

from __future__ import annotations

from typing import Literal

import msgspec

from detente.facts.watch import Fault
from detente.kernel import spans
from detente.kernel.clock import NS, Instant, Seconds, later
from detente.kernel.fact import Subject, Tone, plain
from detente.kernel.node import Node
from detente.kernel.spans import Span
from detente.kernel.views import Rows
from detente.watch.decisions import look_of, patience, read_sheet
from detente.watch.engine.measurement import Measurement, measurements
from detente.watch.settings import Check, Watch, owner

State = Literal["up", "down", "warning", "cannot tell", "not seen yet"]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one sheet said of a check."""

    since: Instant
    until: Instant
    expected: int
    ok: int
    failed: int
    inconclusive: int
    skipped: int
    not_run: int
    median: Seconds | None
    worst: Seconds | None
    last: str


class Flaws(msgspec.Struct, frozen=True):
    """Runs that failed without an outage: never `falls_after` of them in a row."""

    failed: int
    runs: int
    in_a_row: int

    @property
    def share(self) -> float:
        return self.failed / self.runs if self.runs else 0.0

    def __str__(self) -> str:
        says = f"{self.failed} of {self.runs} runs failed"
        return says + (f", never {self.in_a_row} in a row" if self.in_a_row > 1 else "")


class SeenFrom(msgspec.Struct, frozen=True, kw_only=True):
    """How a check stands as one place sees it."""

    place: str
    title: str
    tone: Tone
    says: str
    since: Instant | None
    last_seen: Instant | None


class PlaceStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How one place is that looks for us."""

    name: str
    about: Subject
    title: str
    tone: Tone
    says: str
    since: Instant | None  # silent since
    until: Instant | None  # what it has reported reaches up to here
    checks: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whose fault an outage is, with what speaks for it."""

    about: Subject
    since: Instant  # of the outage
    at: Instant  # when it was reached
    position: int
    fault: Fault
    sure: bool
    reasons: tuple[str, ...]
    cites: tuple[int, ...]
    going_on: bool  # the outage


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a check stands now, with its last day."""

    name: str
    about: Subject
    of: Subject
    environment: str
    kind: str
    target: str
    every: Seconds
    state: State
    tone: Tone
    since: Instant | None
    reason: str
    last_seen: Instant | None
    median: Seconds | None  # of the last hour's good answers
    outages: list[Span]
    flaws: Flaws | None  # of the last day, if they were more than a few
    unmeasured: list[tuple[Instant, Instant]]
    parts: list[tuple[Instant, Instant | None, Tone, str]]  # of the last day's bar
    day_start: Instant
    now: Instant
    looks: tuple[SeenFrom, ...] = ()  # where several places look, or another than our own


_TONES: dict[State, Tone] = {
    "up": "good",
    "down": "bad",
    "warning": "warn",
    "cannot tell": "warn",
    "not seen yet": "plain",
}


def standings(node: Node) -> list[Standing]:
    """Every check, in the order they were declared."""
    checks = node.settings(Watch).checks
    return [standing(node, name, check) for name, check in checks.items()]


def standing(node: Node, name: str, check: Check) -> Standing:
    """How one check stands."""
    about, now = f"check:{name}", node.clock.now()
    start = node.last_day()
    latest = last_seen(node.rows, name)
    state, span = _state(node.rows, about, latest)
    since, reason = (span.start, span.says) if span else (None, "")
    if state == "up" and latest and not (node.running and _fresh(node, check, latest, now)):
        state, since, reason = "cannot tell", latest.until, "nobody has looked since"
    day = (node.rows, start, now)
    outages = spans.overlapping(*day, kind="outage", about=[about])
    gaps = unmeasured(node.rows, name, start, now, check.every)
    found = flaws(node.rows, name, check, start, now)
    return Standing(
        name=name,
        about=about,
        of=owner(name, check, node.catalogue),
        environment=check.environment,
        kind=check.kind,
        target=check.target,
        every=float(check.every),
        state=state,
        tone=_TONES[state],
        since=since,
        reason=reason,
        last_seen=latest.until if latest else None,
        median=_median(node.rows, name, later(now, -3600)),
        outages=outages,
        flaws=found if found.share > _A_FEW else None,
        unmeasured=gaps,
        parts=_parts(outages, spans.overlapping(*day, kind="warning", about=[about]), gaps),
        day_start=start,
        now=now,
        looks=looks(node, name, check),
    )


def looks(node: Node, name: str, check: Check) -> tuple[SeenFrom, ...]:
    """The check as each place sees it; nothing if only our own looks."""
    watch = node.settings(Watch)
    looking = watch.looking_at(check)
    if looking == (watch.place,):
        return ()
    return tuple(_look_from(node, watch, name, check, place) for place in looking)


def _look_from(node: Node, watch: Watch, name: str, check: Check, place: str) -> SeenFrom:
    about, now = look_of(name, place), node.clock.now()
    going = {span.kind: span for span in spans.going_on(node.rows) if span.about == about}
    latest = last_seen(node.rows, name, place)
    tone: Tone = "plain"
    says, since = "has not looked yet", None
    if missed := going.get("unreached"):
        reason = missed.says.partition(": ")[2]  # who looks stands beside it
        tone, says, since = "bad", reason or missed.says, missed.start
    elif blind := going.get("blind"):
        tone, says, since = "warn", blind.says, blind.start
    elif latest and latest.until < later(now, -patience(check, watch.sheet)):
        tone, says, since = "warn", "nobody there has looked since", latest.until
    elif latest:
        tone, says = "good", "answers"
    return SeenFrom(
        place=place, title=place_title(watch, place), tone=tone, says=says, since=since,
        last_seen=latest.until if latest else None,
    )  # fmt: skip


def place_title(watch: Watch, place: str) -> str:
    outside = watch.places.get(place)
    return (outside.title if outside else "") or place


def places(node: Node) -> list[PlaceStanding]:
    """Every other place that looks for us."""
    watch = node.settings(Watch)
    silent = {span.about: span for span in spans.going_on(node.rows, "silence")}
    return [_place(node, watch, name, silent.get(f"place:{name}")) for name in watch.places]


def _place(node: Node, watch: Watch, name: str, silence: Span | None) -> PlaceStanding:
    asked = "select until from watch_place where place = ?"
    until = next((int(found) for (found,) in node.rows.execute(asked, (name,))), None)
    if silence is not None:
        tone, says = "warn", "is silent"
    elif until is None:
        tone, says = "plain", "has not reported yet"
    else:
        tone, says = "good", "reports"
    return PlaceStanding(
        name=name, about=f"place:{name}", title=place_title(watch, name), tone=tone,  # type: ignore[arg-type]
        says=says, since=silence.start if silence else None, until=until,
        checks=sum(name in watch.looking_at(check) for check in watch.checks.values()),
    )  # fmt: skip


def reported_until(rows: Rows, place: str) -> Instant:
    """How far the sheets of that place reach; 0 if there is none."""
    asked = "select until from watch_place where place = ?"
    return next((int(until) for (until,) in rows.execute(asked, (place,))), 0)


def heard_at(rows: Rows, place: str) -> Instant | None:
    """When a sheet of that place last came in."""
    asked = "select at from watch_place where place = ?"
    return next((int(at) for (at,) in rows.execute(asked, (place,))), None)


_VERDICT = """
select about, since, at, position, fault, sure, reasons, cites from watch_verdict
where about = ? order by position desc limit 1
"""


def verdict_of(rows: Rows, about: Subject) -> Verdict | None:
    """What was last said about whose fault it is."""
    for row in rows.execute(_VERDICT, (about,)):
        whose, since, at, position, fault, sure, reasons, cites = row
        return Verdict(
            about=whose, since=since, at=at, position=position, fault=fault, sure=bool(sure),
            reasons=msgspec.json.decode(reasons, type=tuple[str, ...]),
            cites=msgspec.json.decode(cites, type=tuple[int, ...]), going_on=False,
        )  # fmt: skip
    return None


def present_verdict(node: Node, about: Subject) -> Verdict | None:
    """The verdict on an outage that goes on or was over less than a day ago."""
    found = verdict_of(node.rows, about)
    if found is None or found.at < node.last_day():
        return None
    mine = {f"check:{name}" for name in node.catalogue.measures_of(about)}
    going = spans.going_on(node.rows, "outage")
    goes_on = any(span.about in mine and span.start <= found.at for span in going)
    return msgspec.structs.replace(found, going_on=goes_on)


def measured(node: Node, name: str) -> list[Measurement]:
    """What a plugin measured in its newest run."""
    asked = "select position from watch_seen where name = ? and ok + failed > 0 order by since desc limit 1"
    for (position,) in node.rows.execute(asked, (name,)):
        packed = node.ledger.attachment(int(position))
        runs = read_sheet(packed).checks.get(name, []) if packed else []
        told = [run for _, run in runs if run is not None and run.measured]
        return list(measurements(told[-1].measured)) if told else []
    return []


def _parts(
    outages: list[Span], warnings: list[Span], gaps: list[tuple[Instant, Instant]]
) -> list[tuple[Instant, Instant | None, Tone, str]]:
    parts: list[tuple[Instant, Instant | None, Tone, str]] = [
        (start, end, "plain", "not measured") for start, end in gaps
    ]
    parts += [(each.start, each.end, "warn", each.says) for each in warnings]
    parts += [(each.start, each.end, "bad", each.says) for each in outages]
    return parts


def _state(rows: Rows, about: Subject, latest: Seen | None) -> tuple[State, Span | None]:
    going = {span.kind: span for span in spans.going_on(rows) if span.about == about}
    if "outage" in going:
        return "down", going["outage"]
    if "blind" in going:
        return "cannot tell", going["blind"]
    if "warning" in going:
        return "warning", going["warning"]
    return (
        "up" if latest and (latest.ok or _ever_answered(rows, plain(about))) else "not seen yet"
    ), None


def _ever_answered(rows: Rows, name: str) -> bool:
    """Some failures in a row are not an outage yet, if it was ever there."""
    asked = "select 1 from watch_hour where name = ? and ok > 0 limit 1"
    return any(True for _ in rows.execute(asked, (name,)))


def _fresh(node: Node, check: Check, latest: Seen, now: Instant) -> bool:
    """Has anybody looked lately? The newest sheet is still being written."""
    patience = 2 * check.every + check.waits + node.settings(Watch).sheet + 60
    return latest.until > later(now, -patience)


_SEEN = """
select since, until, expected, ok, failed, inconclusive, skipped, not_run, median, worst, last
from watch_seen where name = ?1 and (?2 is null or place = ?2)
"""


def last_seen(rows: Rows, name: str, place: str | None = None) -> Seen | None:
    """The newest sheet (of that place) in which a run of the check told something."""
    asked = f"{_SEEN} and ok + failed > 0 order by since desc limit 1"
    return next((_seen(row) for row in rows.execute(asked, (name, place))), None)


def seen_between(
    rows: Rows, name: str, start: Instant, end: Instant, place: str | None = None
) -> list[Seen]:
    """What the sheets of that time (and place) said of the check, oldest first."""
    asked = f"{_SEEN} and since >= ?3 and since < ?4 order by since"
    return [_seen(row) for row in rows.execute(asked, (name, place, start, end))]


_A_FEW = 0.01  # a network now and then loses a packet


def flaws(rows: Rows, name: str, check: Check, start: Instant, end: Instant) -> Flaws:
    """The runs of [start, end) that failed and were no part of an outage."""
    failed, runs = _runs(rows, name, start, end)
    down = spans.overlapping(rows, start, end, kind="outage", about=[f"check:{name}"])
    for left, right in spans.clip(down, start, end):
        inside = _runs(rows, name, left, right)
        failed, runs = failed - inside[0], runs - inside[1]
    return Flaws(max(0, failed), max(0, runs), check.falls_after)


def _runs(rows: Rows, name: str, start: Instant, end: Instant) -> tuple[int, int]:
    """How many runs failed and how many there were, by the sheets that reach into that time."""
    asked = """select coalesce(sum(failed), 0), coalesce(sum(ok + failed), 0) from watch_seen
      where name = ? and since >= ? and since < ? and until > ?"""
    ((failed, runs),) = rows.execute(asked, (name, later(start, -_LONGEST_SHEET), end, start))
    return int(failed), int(runs)


_LONGEST_SHEET = 3_600.0


def unmeasured(
    rows: Rows, name: str, start: Instant, end: Instant, every: Seconds
) -> list[tuple[Instant, Instant]]:
    """The parts of [start, end) in which nobody looked: nothing ran for longer than two intervals."""
    gaps: list[tuple[Instant, Instant]] = []
    reached, patience = start, round(2 * every * NS)
    for seen in seen_between(rows, name, start - patience, end):
        if seen.ok + seen.failed == 0:
            continue
        if seen.since - reached > patience:
            gaps.append((reached, seen.since))
        reached = max(reached, seen.until)
    if end - reached > patience + 60 * NS:  # the newest sheet is still being written
        gaps.append((reached, end))
    return gaps


def _median(rows: Rows, name: str, after: Instant) -> Seconds | None:
    asked = """select median from watch_seen where name = ? and since >= ? and median is not null
      order by median"""
    found = [float(value) for (value,) in rows.execute(asked, (name, after))]
    return found[len(found) // 2] if found else None


def _seen(row: tuple[object, ...]) -> Seen:
    return Seen(**dict(zip(Seen.__struct_fields__, row, strict=True)))  # type: ignore[arg-type]
