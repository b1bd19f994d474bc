"""Is it down, is it back, or could we not tell?

A check falls after so many failures in a row and rises after so many good answers in a row. A run
that was late, or that failed because of the prober itself, is *inconclusive*: it proves nothing
either way and never counts as down. An outage lasts from the first failure to the first good answer.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import msgspec

from detente.facts.watch import (
    CameBack,
    LostSight,
    RegainedSight,
    SheetFiled,
    Tally,
    Warned,
    WarningPassed,
    WentDown,
)
from detente.kernel.clock import NS, Instant, seconds_between
from detente.kernel.fact import Fact, Subject
from detente.watch.engine.wire import Result
from detente.watch.settings import Check


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a check between two runs."""

    down: bool = False  # or warned of
    warned: bool = False  # how it fell: as a warning and not as an outage
    blind: bool = False
    down_since: Instant = 0
    failures: int = 0  # in a row
    first_failure: Instant = 0
    answers: int = 0  # good ones in a row
    first_answer: Instant = 0
    untold: int = 0  # inconclusive in a row
    first_untold: Instant = 0
    seen: Instant = 0  # the last slot that told something


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
    judged = _answered if result.verdict == "ok" else _failed
    standing, more = judged(name, check, of, standing, result)
    return standing, [*facts, *more]


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
    after = msgspec.structs.replace(after, down=True, down_since=first, warned=check.warns_only)
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
    packed = msgspec.msgpack.encode({"since": since, "until": until, "checks": lines})
    sheet = SheetFiled(
        about=f"place:{place}",
        since=since,
        until=until,
        sha256=hashlib.sha256(packed).hexdigest(),
        tallies={
            name: _tally([result for _, result in line]) for name, line in lines.items() if line
        },
    )
    return sheet, packed


def _tally(line: Sequence[Result | None]) -> Tally:
    ran = [each for each in line if each is not None]
    times = [each.total for each in ran if each.verdict == "ok"]
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
        median=round(median(times), 6) if times else None,
        worst=round(max(times), 6) if times else None,
        last=failures[-1] if failures else "",
    )
