"""Was the promise kept, what is left of it, and what are we owed?

How the numbers are made, in whole nanoseconds and exact fractions until they are shown:

- *Elapsed* is the time from the beginning of the period until now (or its end).
- Each check is *down* during its outages and *up* otherwise, but only while it was **seen**: sheets
  were filed for it and it was not blind. With `down_when: any` the promise is down when one of its
  checks is seen down and up when all are seen up; with `all`, down when all are seen down and up when
  one is seen up. Everything else is *unmeasured*: neither up nor down.
- *Excluded* is downtime in a time that people left out, or that the contract sets aside: it leaves both
  the downtime and the period. What was up in such a time stays up, so leaving out more never makes the
  attainment smaller. With `at_most`, only the first so much downtime in the contract's windows is
  excluded in a period. Down, up, unmeasured and excluded add up to elapsed.
- An outage shorter than `minimum_outage` does not count: its time is up. It is judged as a whole,
  whichever period it reaches into.
- *Attained* so far is up / (up + down): the share of the time somebody looked.
- *Under the contract* it is (A - B) / A, with A all the time of the period but the excluded, and B the
  time down; so
  monthly uptime is defined in published contracts (Twilio: total monthly minutes less downtime, by
  total monthly minutes; Microsoft: the same in user minutes). Unmeasured time counts for the vendor:
  nobody can show that they were down. Until the period ends this is what they will have attained if
  nothing more happens; it only ever falls, so a credit once reached stays owed.
- *Allowed* is the downtime the target leaves in A. More than that breaks the promise.
- The credit is that of the last row of the table whose `below` is above the contract's attainment, a
  share of the fee, rounded down to whole minor units: we never claim a cent too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from typing import Literal

import msgspec

from detente.facts.sla import PromiseBroken, PromiseRestored
from detente.kernel.clock import NS, Instant, Seconds, lasting
from detente.kernel.fact import Tone
from detente.kernel.money import Money
from detente.sla.engine.calendar import Period, days
from detente.sla.engine.moments import Moments, Stretch, both, first, length, union, without
from detente.sla.settings import Credit, Promise


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one check: when it was out, and when somebody looked."""

    outages: Moments
    seen: Moments
    absent: Moments = []
    """When it was not there: not declared yet, or no longer. Then the others decide."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Every moment of a window in exactly one of four: down, up, unmeasured, excluded."""

    down: Moments
    up: Moments
    unmeasured: Moments
    too_short: Moments
    """The part of `up` that was down, for less than counts."""
    excluded: Moments = []
    """What was down and does not count."""
    outages: Moments = []
    """Each outage that counts as a whole, also what lies before the window."""


def account(
    checks: Sequence[Evidence], window: Stretch, *, down_when: Literal["any", "all"], minimum: int
) -> Account:
    """What a window was made of. `minimum`: nanoseconds below which an outage does not count."""
    whole = union([window])
    seen_down = [both(union(each.outages), union(each.seen)) for each in checks]
    seen_up = [without(union(each.seen), union(each.outages)) for each in checks]
    outages = [union(each.outages) for each in checks]
    absent = [union(each.absent) for each in checks]
    if down_when == "any":
        down, up, out = _any(seen_down), _all(seen_up, absent), _any(outages)
    else:
        down, up, out = _all(seen_down, absent), _any(seen_up), _all(outages, absent)
    counted = [(start, end) for start, end in out if end - start >= minimum]
    too_short = both(without(down, counted), whole)
    down = both(both(down, counted), whole)
    up = union([*both(up, whole), *too_short])
    unmeasured = without(without(whole, down), up)
    reaching = [each for each in counted if both([each], down)]
    return Account(down=down, up=up, unmeasured=unmeasured, too_short=too_short, outages=reaching)


def leave_out(
    made_of: Account, by_people: Moments, by_contract: Moments, at_most: int | None
) -> Account:
    """The same, without the downtime that does not count. `at_most`: of the contract's own windows."""
    chosen = both(made_of.down, union(by_people))
    left = without(made_of.down, chosen)
    planned = both(left, union(by_contract))
    forgiven = planned if at_most is None else first(planned, at_most)
    excluded = union([*chosen, *forgiven])
    down = without(made_of.down, excluded)
    outages = [each for each in made_of.outages if both([each], down)]
    return msgspec.structs.replace(made_of, down=down, excluded=excluded, outages=outages)


def _any(sets: Sequence[Moments]) -> Moments:
    return union(stretch for each in sets for stretch in each)


def _all(sets: Sequence[Moments], absent: Sequence[Moments]) -> Moments:
    """Every moment in all the sets of those that are there, and in one at least."""
    if not sets:
        return []
    told = [union([*each, *away]) for each, away in zip(sets, absent, strict=True)]
    return both(reduce(both, told), _any(sets))


def in_turn(checks: Sequence[Evidence], declared: int, window: Stretch) -> list[Evidence]:
    """The first so many are declared, and the others were: each was there from its first sheet on.

    Those that are not declared any more were there until their last sheet.
    """
    start, end = window
    return [
        msgspec.structs.replace(
            each,
            absent=union(
                [
                    (start, each.seen[0][0] if each.seen else end),
                    (each.seen[-1][1] if each.seen and index >= declared else end, end),
                ]
            ),
        )
        for index, each in enumerate(checks)
    ]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the contract's table, and whether it is reached."""

    below: str
    owed: str
    money: Money | None
    from_down: Seconds
    """More downtime in the period than this."""
    reached: bool


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a promise stands in one period."""

    period: Period
    until: Instant
    final: bool
    target: str
    elapsed: Seconds
    up: Seconds
    down: Seconds
    unmeasured: Seconds
    too_short: Seconds
    excluded: Seconds
    attained: float | None
    attained_says: str
    under_contract: float
    under_contract_says: str
    allowed: Seconds
    left: Seconds
    """Negative once the promise is broken."""
    used: float
    """Share of the allowed downtime; above 1 once the promise is broken."""
    broken: bool
    rows: tuple[Row, ...]
    owed: Money | None

    @property
    def tone(self) -> Tone:
        if self.broken:
            return "bad"
        return "warn" if self.running_low else "good" if self.attained is not None else "plain"

    @property
    def running_low(self) -> bool:
        """Less than a quarter of the allowed downtime is left. A target of 100% leaves none ever."""
        return not self.broken and self.used > 0.75

    @property
    def unmeasured_share(self) -> float:
        return self.unmeasured / self.elapsed if self.elapsed else 0.0

    @property
    def budget_says(self) -> str:
        """The allowed downtime in plain words."""
        if self.broken:
            over, allowed = lasting(-self.left), lasting(self.allowed)
            return f"{over} more than the {allowed} allowed" if self.allowed else f"{over} too much"
        if not self.allowed:
            return "no downtime is allowed, and there was none"
        return f"{lasting(self.left)} of {lasting(self.allowed)} left"

    @property
    def verdict(self) -> str:
        """One sentence: kept, still to be met, or broken."""
        if self.broken:
            return "Broken: the target can no longer be met." if not self.final else "Broken."
        if self.final:
            return "Kept." if self.attained is not None else "Nobody measured it."
        return "The target can still be met."


def stand(promise: Promise, period: Period, until: Instant, made_of: Account) -> Standing:
    """How the promise stands at that moment, given what the period was made of so far."""
    down, up = length(made_of.down), length(made_of.up)
    whole = period.length - length(made_of.excluded)
    allowed = allowed_downtime(promise, whole)
    contract = Fraction(whole - down, whole) if whole else Fraction(1)
    at = reached(promise.credits, contract)
    return Standing(
        period=period,
        until=until,
        final=until >= period.end,
        target=str(promise.target),
        elapsed=(until - period.start) / NS,
        up=up / NS,
        down=down / NS,
        unmeasured=length(made_of.unmeasured) / NS,
        too_short=length(made_of.too_short) / NS,
        excluded=length(made_of.excluded) / NS,
        attained=up / (up + down) if up + down else None,
        attained_says=percent(up, up + down),
        under_contract=float(contract),
        under_contract_says=percent(whole - down, whole),
        allowed=allowed / NS,
        left=(allowed - down) / NS,
        used=down / allowed if allowed else float(down > 0),
        broken=down > allowed,
        rows=_rows(promise, whole, at),
        owed=None
        if at is None or promise.fee is None
        else credit(promise.fee, promise.credits[at]),
    )


def _rows(promise: Promise, whole: int, at: int | None) -> tuple[Row, ...]:
    return tuple(
        Row(
            below=str(each.below),
            owed=str(each.owed),
            money=None if promise.fee is None else credit(promise.fee, each),
            from_down=float((1 - exact(each.below)) * whole / NS),
            reached=index == at,
        )
        for index, each in enumerate(promise.credits)
    )


def exact(share: float) -> Fraction:
    """The share as it was written: 99.9% is 999/1000, which no float is."""
    return Fraction(repr(float(share)))


def allowed_downtime(promise: Promise, whole: int) -> int:
    """Nanoseconds of downtime that the target leaves in a period that is so long."""
    return int((1 - exact(promise.target)) * whole)


def reached(credits: Sequence[Credit], attained: Fraction) -> int | None:
    """Which row of the table, mildest first, applies; None if none does."""
    rows = [index for index, each in enumerate(credits) if attained < exact(each.below)]
    return rows[-1] if rows else None


def credit(fee: Money, row: Credit) -> Money:
    """What is owed at that row, rounded down to whole minor units."""
    return Money(int(fee.minor * exact(row.owed)), fee.currency)


def percent(part: int, whole: int) -> str:
    """'99.951%', rounded down: nothing less than all of it ever reads 100%."""
    if not whole:
        return "—"
    thousandths = part * 100_000 // whole
    text = f"{thousandths // 1000}.{thousandths % 1000:03}"
    return f"{text.removesuffix('0')}%"


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One day of the period, as far as it has come."""

    start: Instant
    end: Instant
    tone: Tone
    says: str


def by_day(promise: Promise, period: Period, made_of: Account) -> list[Day]:
    """The days of the period, each with what it was made of."""
    return [_day(each, made_of) for each in days(period.start, period.end, promise.timezone)]


def _day(stretch: Stretch, made_of: Account) -> Day:
    start, end = stretch
    down = length(both(made_of.down, [stretch]))
    up = length(both(made_of.up, [stretch]))
    if down:
        tone, says = "bad", f"{lasting(down / NS)} down"
    elif up:
        tone, says = "good", "no downtime"
    else:
        tone, says = "plain", "not measured"
    if left_out := length(both(made_of.excluded, [stretch])):
        says += f", {lasting(left_out / NS)} left out"
    unseen = length(both(made_of.unmeasured, [stretch]))
    if (down or up) and unseen >= 60 * NS:
        says += f", {lasting(unseen / NS)} not measured"
    return Day(start=start, end=end, tone=_TONES[tone], says=says)


_TONES: dict[str, Tone] = {"bad": "bad", "good": "good", "plain": "plain"}


def broken(name: str, promise: Promise, standing: Standing) -> list[PromiseBroken]:
    """The fact that there was more downtime than the whole period allows, if there was."""
    if not standing.broken:
        return []
    fact = PromiseBroken(
        about=f"promise:{name}",
        vendor=f"vendor:{promise.vendor}",
        period=standing.period.name,
        target=float(promise.target),
        down=standing.down,
        allowed=standing.allowed,
        owed=standing.owed,
    )
    return [fact]


def restored(
    name: str, promise: Promise, standing: Standing, without: Standing
) -> list[PromiseRestored]:
    """The fact that what was left out makes a promise kept that was broken, if it does.

    `without`: as it would stand with nothing left out. If it is kept even so, something else changed.
    """
    if standing.broken or not without.broken:
        return []
    fact = PromiseRestored(
        about=f"promise:{name}",
        vendor=f"vendor:{promise.vendor}",
        period=standing.period.name,
        target=float(promise.target),
        down=standing.down,
        allowed=standing.allowed,
        excluded=standing.excluded,
    )
    return [fact]
