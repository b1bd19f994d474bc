"""Does an incident begin, grow, shrink or end?

One incident for one vendor or service at a time: whatever else fails because of the same thing joins
it. It ends once everything has worked for the quiet time; what fails again before then joins it too.
Each incident of the same vendor that was over less than half an hour before it began doubles its
quiet time, up to half an hour: a vendor that comes and goes is soon one incident and one page.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from detente.facts.incidents import CauseJoined, CauseLeft, Closed, Opened
from detente.kernel.clock import Instant, Seconds, later, seconds_between
from detente.kernel.fact import Fact, Subject, plain


class Down(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is down: a check that fails, a route whose breaker is open."""

    cause: Subject
    of: Subject
    since: Instant
    reason: str
    environment: str = ""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One time that something was down during an incident."""

    cause: Subject
    since: Instant
    reason: str
    remark: bool = False  # worth knowing, and the incident does not wait for it
    left: Instant | None = None  # when it worked again


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one incident."""

    about: Subject  # incident:12
    of: Subject
    since: Instant
    opened_at: Instant  # when it was written down
    opened_by: int  # position in the ledger
    reason: str
    causes: tuple[Cause, ...] = ()
    closed_at: Instant | None = None
    ended: Instant | None = None  # when the last of it worked again
    lasted: Seconds | None = None
    note: str = ""
    held_by: str | None = None
    held_at: Instant | None = None

    @property
    def number(self) -> str:
        return plain(self.about)

    @property
    def down(self) -> tuple[Cause, ...]:
        """The causes that keep it open."""
        return tuple(each for each in self.causes if each.left is None and not each.remark)

    def knows(self, cause: Subject) -> bool:
        """Is it one of the causes that have not left?"""
        return any(each.cause == cause and each.left is None for each in self.causes)


def opens(environment: str, opens_for: Sequence[str]) -> bool:
    """Do customers feel it? What names no environment runs in production."""
    return not environment or environment in opens_for


def fell(
    down: Down,
    incident: Incident | None,
    *,
    opens_for: Sequence[str],
    number: int,
    fellows: Sequence[Down] = (),
    over: Sequence[Fact] = (),
) -> list[Fact]:
    """Something went down. `incident` is the open one of the same vendor or service, if any.

    `fellows` are down already for the same vendor or service: a test twin that fell first. `over`
    closes the incident first, if its quiet time had passed and nobody was there to close it.
    """
    felt = opens(down.environment, opens_for)
    if over:
        anew = fell(down, None, opens_for=opens_for, number=number, fellows=fellows)
        return [*over, *anew]
    if incident is not None:
        return (
            [] if incident.knows(down.cause) else [_joined(incident.about, down, remark=not felt)]
        )
    if not felt:
        return []
    about = f"incident:{number}"
    opened = Opened(about=about, of=down.of, since=down.since, cause=down.cause, reason=down.reason)
    others = [each for each in fellows if each.cause != down.cause]
    return [
        opened,
        *(_joined(about, each, remark=not opens(each.environment, opens_for)) for each in others),
    ]


def _joined(about: Subject, down: Down, *, remark: bool) -> CauseJoined:
    return CauseJoined(
        about=about, cause=down.cause, reason=down.reason, since=down.since, remark=remark
    )


def recovered(
    cause: Subject, since: Instant, incident: Incident | None, *, retired: bool = False
) -> list[Fact]:
    """Something works again, or is not looked at any more. The incident waits for some quiet."""
    if incident is None or not incident.knows(cause):
        return []
    return [CauseLeft(about=incident.about, cause=cause, since=since, retired=retired)]


FLAPPING: Seconds = 1_800.0
"""Incidents that follow each other faster than this are one trouble that comes and goes."""


def quiet_time(closes_after: Seconds, lately: int) -> Seconds:
    """How long everything must work, if so many incidents of the same subject came shortly before."""
    return max(closes_after, min(FLAPPING, closes_after * 2.0 ** min(lately, 30)))


def quiet_since(incident: Incident) -> Instant | None:
    """When the last cause left; None while something is still down or it has been closed."""
    if incident.closed_at is not None or incident.down:
        return None
    left = [each.left for each in incident.causes if each.left is not None and not each.remark]
    return max(left, default=None)


def closes_at(incident: Incident, closes_after: Seconds) -> Instant | None:
    """When it will be closed if nothing fails until then."""
    quiet = quiet_since(incident)
    return None if quiet is None else later(quiet, closes_after)


def close_if_quiet(incident: Incident, closes_after: Seconds, now: Instant) -> list[Fact]:
    """Close it once the quiet time is over."""
    quiet = quiet_since(incident)
    if quiet is None or now < later(quiet, closes_after):
        return []
    ended = max(quiet, incident.since)
    lasted = seconds_between(incident.since, ended)
    return [Closed(about=incident.about, since=ended, lasted=lasted)]


def close_by_hand(incident: Incident, note: str, now: Instant) -> list[Fact]:
    """Somebody says that it is over: from the quiet, if there is quiet, or from now."""
    ended = max(quiet_since(incident) or now, incident.since)
    lasted = seconds_between(incident.since, ended)
    return [Closed(about=incident.about, since=ended, lasted=lasted, note=note)]
