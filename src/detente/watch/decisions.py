"""Is it down, is it back, or could we not tell?

A check falls after so many failures in a row and rises after so many good answers in a row. A run
that was late, or that failed because of the prober itself, is *inconclusive*: it proves nothing
either way and never counts as down. An outage lasts from the first failure to the first good answer.

Where several places look, each has a look, judged the same way; the check is down while as many of
them see it fail as its `agree` says. A place that was cut off reports late: what it saw begin still
counts from its first moment, and an outage that is over by then is told once and pages nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median
from typing import Literal

import msgspec

from detente.facts.watch import (
    AnswerChanged,
    CameBack,
    LostSight,
    MissedFrom,
    ReachedFrom,
    RegainedSight,
    SheetFiled,
    Tally,
    Warned,
    WarningPassed,
    WasDown,
    WentDown,
    parts_of,
    seal_of,
)
from detente.kernel.clock import NS, Instant, seconds_between
from detente.kernel.fact import Fact, Subject, plain
from detente.watch.engine.wire import Result
from detente.watch.settings import Check


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a check between two runs."""

    down: bool = False  # or warned of
    warned: bool = False  # how it fell: as a warning and not as an outage
    blind: bool = False
    down_since: Instant = 0
    reason: str = ""  # why it fell
    failures: int = 0  # in a row
    first_failure: Instant = 0
    answers: int = 0  # good ones in a row
    first_answer: Instant = 0
    untold: int = 0  # inconclusive in a row
    first_untold: Instant = 0
    seen: Instant = 0  # the last slot that told something
    worried: bool = False  # it works, and asked for a look often enough in a row
    worries: int = 0  # in a row
    first_worry: Instant = 0
    calm: int = 0  # good answers in a row that asked for nothing
    first_calm: Instant = 0


def judge(
    name: str, check: Check, of: Subject, standing: Standing, result: Result
) -> tuple[Standing, list[Fact]]:
    """What one result changes, and the facts it makes."""
    if result.verdict == "skipped" or _is_old(result, standing, check):
        return standing, []
    if result.verdict == "inconclusive":
        return _could_not_tell(name, check, standing, result)
    facts: list[Fact] = []
    if standing.blind:
        facts.append(RegainedSight(about=f"check:{name}", since=result.slot))
        # Nobody looked meanwhile, so what was seen before is not "in a row" with what comes now.
        standing = msgspec.structs.replace(standing, failures=0, answers=0)
    standing = msgspec.structs.replace(standing, blind=False, untold=0, seen=result.slot)
    if result.verdict == "failed" or (result.verdict == "warned" and check.warns_only):
        standing, more = _failed(name, check, of, standing, result)
        return standing, [*facts, *more]
    standing, more = _answered(name, check, of, standing, result)
    standing, worries = _worries(name, check, of, standing, result)
    return standing, [*facts, *more, *worries]


def _is_old(result: Result, standing: Standing, check: Check) -> bool:
    """Told already, or overtaken by a later run. Far back it is new: our clock was put right."""
    return 0 <= standing.seen - result.slot < 2 * (check.every + check.waits) * NS


def _could_not_tell(
    name: str, check: Check, standing: Standing, result: Result
) -> tuple[Standing, list[Fact]]:
    untold = standing.untold + 1
    first = standing.first_untold if standing.untold else result.slot
    blind = standing.blind or untold >= check.falls_after
    after = msgspec.structs.replace(standing, untold=untold, first_untold=first, blind=blind)
    if blind and not standing.blind:
        return after, [LostSight(about=f"check:{name}", since=first, reason=result.reason)]
    return after, []


def _failed(
    name: str, check: Check, of: Subject, standing: Standing, result: Result
) -> tuple[Standing, list[Fact]]:
    first = standing.first_failure if standing.failures else result.slot
    failures = standing.failures + 1
    after = msgspec.structs.replace(standing, failures=failures, first_failure=first, answers=0)
    if standing.down or failures < check.falls_after:
        return after, []
    after = msgspec.structs.replace(
        after, down=True, down_since=first, warned=check.warns_only, reason=result.reason
    )
    about = f"check:{name}"
    if check.warns_only:
        return after, [Warned(about=about, of=of, since=first, reason=result.reason)]
    fell = WentDown(
        about=about, of=of, since=first, reason=result.reason, failures=failures,
        environment=check.environment,
    )  # fmt: skip
    return after, [fell]


def _answered(
    name: str, check: Check, of: Subject, standing: Standing, result: Result
) -> tuple[Standing, list[Fact]]:
    first = standing.first_answer if standing.answers else result.slot
    answers = standing.answers + 1
    after = msgspec.structs.replace(standing, answers=answers, first_answer=first, failures=0)
    if not standing.down or answers < check.rises_after:
        return after, []
    after = msgspec.structs.replace(after, down=False)
    about = f"check:{name}"
    if standing.warned:
        return after, [WarningPassed(about=about, of=of, since=first)]
    lasted = max(0.0, seconds_between(standing.down_since, first))
    back = CameBack(about=about, of=of, since=first, lasted=lasted, environment=check.environment)
    return after, [back]


def _worries(
    name: str, check: Check, of: Subject, standing: Standing, result: Result
) -> tuple[Standing, list[Fact]]:
    """It works; does it ask for a look (a plugin that warns), or has it stopped asking?"""
    warns = result.verdict == "warned"
    worries, calm = (standing.worries + 1, 0) if warns else (0, standing.calm + 1)
    after = msgspec.structs.replace(
        standing,
        worries=worries,
        calm=calm,
        first_worry=result.slot if worries == 1 else standing.first_worry,
        first_calm=result.slot if calm == 1 else standing.first_calm,
    )
    about = f"check:{name}"
    if worries >= check.falls_after and not standing.worried:
        warned = Warned(about=about, of=of, since=after.first_worry, reason=result.reason)
        return msgspec.structs.replace(after, worried=True), [warned]
    if calm >= check.rises_after and standing.worried:
        passed = WarningPassed(about=about, of=of, since=after.first_calm)
        return msgspec.structs.replace(after, worried=False), [passed]
    return after, []


def look_of(name: str, place: str) -> Subject:
    """What one place sees of a check."""
    return f"look:{name}@{place}"


def as_seen_from(place: str, check: Check, standing: Standing, facts: Iterable[Fact]) -> list[Fact]:
    """The same changes as one place sees them: they say nothing yet about the check.

    A plugin's warning is no question of the place and stays as it is.
    """
    return [
        fact
        if isinstance(fact, (Warned, WarningPassed)) and not check.warns_only
        else _as_look(place, standing, fact)
        for fact in facts
    ]


def _as_look(place: str, standing: Standing, fact: Fact) -> Fact:
    look, where = look_of(plain(fact.about), place), f"place:{place}"
    if isinstance(fact, (WentDown, Warned)):
        return MissedFrom(
            about=look, check=fact.about, place=where, of=fact.of, since=fact.since,
            reason=fact.reason,
        )  # fmt: skip
    if isinstance(fact, (CameBack, WarningPassed)):
        return ReachedFrom(
            about=look, check=fact.about, place=where, of=fact.of, since=fact.since,
            lasted=getattr(fact, "lasted", 0.0), reason=standing.reason,
        )  # fmt: skip
    return msgspec.structs.replace(fact, about=look)


def patience(check: Check, sheet: float) -> float:
    """How old, in seconds, what a place saw may be and still speak of the present."""
    return 2 * check.every + check.waits + 2 * sheet + 60


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """How a check stands that several places look at, taken together."""

    down: bool = False
    down_since: Instant = 0
    warned: bool = False


def put_together(
    name: str,
    check: Check,
    of: Subject,
    whole: Whole,
    looks: Mapping[str, Standing],
    news: Iterable[Fact],
    *,
    now: Instant,
    sheet: float,
    behind: Collection[str] = (),
) -> tuple[Whole, list[Fact]]:
    """What a look's news mean for the check itself.

    Only what places see now makes it fall, and not what one that is `behind` saw long ago. Once it is down, a place that has fallen silent counts as
    it saw things last: only an answer is a recovery.
    """
    oldest = now - round(patience(check, sheet) * NS)
    fresh = {
        place: look
        for place, look in looks.items()
        if place not in behind and look.seen >= oldest and not look.blind
    }
    missing = [look for look in (looks if whole.down else fresh).values() if look.down]
    answering = [look for look in fresh.values() if not look.down and look.answers]
    if not whole.down:
        if len(missing) >= min(check.agree, max(1, len(fresh))):
            return _all_fell(name, check, of, missing, news)
        return whole, _over_before_heard(name, check, of, news)
    if len(missing) < check.agree and answering:
        since = max(whole.down_since, *(look.first_answer for look in answering))
        return Whole(), [_rose(name, check, of, whole, since)]
    return whole, []


def _all_fell(
    name: str, check: Check, of: Subject, missing: Sequence[Standing], news: Iterable[Fact]
) -> tuple[Whole, list[Fact]]:
    """Down since as many as must agree saw it."""
    since = sorted(look.down_since for look in missing)[min(check.agree, len(missing)) - 1]
    reasons = [each.reason for each in news if isinstance(each, MissedFrom)]
    reason = reasons[-1] if reasons else "no answer"
    about, whole = f"check:{name}", Whole(down=True, down_since=since, warned=check.warns_only)
    if check.warns_only:
        return whole, [Warned(about=about, of=of, since=since, reason=reason)]
    failures = max(look.failures for look in missing)
    fell = WentDown(
        about=about, of=of, since=since, reason=reason, failures=failures,
        environment=check.environment,
    )  # fmt: skip
    return whole, [fell]


def _rose(name: str, check: Check, of: Subject, whole: Whole, since: Instant) -> Fact:
    about = f"check:{name}"
    if whole.warned:
        return WarningPassed(about=about, of=of, since=since)
    lasted = max(0.0, seconds_between(whole.down_since, since))
    return CameBack(about=about, of=of, since=since, lasted=lasted, environment=check.environment)


def _over_before_heard(name: str, check: Check, of: Subject, news: Iterable[Fact]) -> list[Fact]:
    """Outages that one place saw begin and end, and that nobody here knew of.

    Where more than one must agree, one place's past is no outage.
    """
    if check.agree > 1 or check.warns_only:
        return []
    return [
        WasDown(
            about=f"check:{name}",
            of=of,
            place=each.place,
            since=each.since - round(each.lasted * NS),
            until=each.since,
            reason=each.reason,
            environment=check.environment,
        )
        for each in news
        if isinstance(each, ReachedFrom) and each.lasted
    ]


_CERTAIN_AFTER = 2  # runs in a row with another answer than ever: one may be a passing oddity
_REMEMBERED = 16  # addresses or certificates; behind a name there may be many that take turns


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """Which addresses (or certificates) have answered a check, and which new ones do lately."""

    known: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    new_since: Instant = 0


def notice(
    about: Subject,
    of: Subject,
    what: Literal["address", "certificate"],
    answers: Answers,
    said: str | None,
    slot: Instant,
) -> tuple[Answers, list[Fact]]:
    """Does somebody else answer than before? Those that take turns with known ones join them."""
    if said is None:
        return answers, []
    if not answers.known:
        return Answers(known=(said,)), []
    if said in answers.known:
        known = tuple(dict.fromkeys((*answers.known, *answers.new)))[-_REMEMBERED:]
        return (Answers(known=known) if answers.new else answers), []
    new, since = (*answers.new, said), answers.new_since or slot
    if len(new) < _CERTAIN_AFTER:
        return Answers(known=answers.known, new=new, new_since=since), []
    after = tuple(dict.fromkeys(new))
    changed = AnswerChanged(
        about=about, of=of, what=what, before=answers.known, after=after, since=since
    )
    return Answers(known=after), [changed]


def file_sheet(
    place: str,
    since: Instant,
    until: Instant,
    expected: Mapping[str, Sequence[Instant]],
    results: Iterable[Result],
) -> tuple[SheetFiled, bytes]:
    """The sheet of one place and interval: every expected slot, what was not run included.

    `expected` lists the slots in [since, until) by check. The bytes are msgpack: for each check the
    slots in order, each with the result of its run or None.
    """
    came: dict[str, dict[Instant, Result]] = defaultdict(dict)
    for result in results:
        came[result.id][result.slot] = result
    lines = {
        name: [(slot, came[name].get(slot)) for slot in sorted({*slots, *came[name]})]
        for name, slots in sorted(expected.items())
    }
    detail = Detail(since=since, until=until, checks=lines)
    packed = msgspec.msgpack.encode(detail)
    return summed_up(place, detail, packed), packed


class Detail(msgspec.Struct, frozen=True):
    """Every expected slot of a sheet, with the result of its run if there was one."""

    since: Instant
    until: Instant
    checks: dict[str, list[tuple[Instant, Result | None]]]


_read_detail = msgspec.msgpack.Decoder(Detail).decode


def read_sheet(packed: bytes) -> Detail:
    """What is attached to a sheet. Raises ValueError if it is something else."""
    return _read_detail(packed)


def summed_up(place: str, detail: Detail, packed: bytes) -> SheetFiled:
    """The sheet as a fact: a tally of each check."""
    lines = detail.checks
    return SheetFiled(
        about=f"place:{place}",
        since=detail.since,
        until=detail.until,
        sha256=seal_of(parts_of(packed).values()),
        tallies={
            name: _tally([result for _, result in line]) for name, line in lines.items() if line
        },
    )


def _tally(line: Sequence[Result | None]) -> Tally:
    ran = [each for each in line if each is not None]
    times = [each.total for each in ran if each.verdict in ("ok", "warned")]
    failures = [each.reason for each in ran if each.verdict == "failed"]

    def count(verdict: str) -> int:
        return sum(each.verdict == verdict for each in ran)

    return Tally(
        expected=len(line),
        ok=len(times),
        failed=len(failures),
        inconclusive=count("inconclusive"),
        skipped=count("skipped"),
        not_run=len(line) - len(ran),
        warned=count("warned"),
        median=round(median(times), 6) if times else None,
        worst=round(max(times), 6) if times else None,
        last=failures[-1] if failures else "",
    )
