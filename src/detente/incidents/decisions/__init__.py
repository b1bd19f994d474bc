"""Does an incident begin, grow, shrink or end?

One incident for one vendor or service at a time: whatever else fails because of the same thing joins
it. What the map says falls with something that is down already joins that incident; and if what fells
the others is found down only after them, theirs go on as part of its own. It ends once everything has worked for the quiet time; what fails again before then joins it too.
Each incident of the same vendor that was over less than half an hour before it began doubles its
quiet time, up to half an hour: a vendor that comes and goes is soon one incident and one page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from detente.facts.incidents import CauseJoined, CauseLeft, Closed, Opened
from detente.kernel.clock import Instant, Seconds, later, seconds_between
from detente.kernel.fact import Fact, Subject, plain
from detente.kernel.needs import Needs


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
    of: Subject = ""  # what it is a cause's of: felled services have causes of their own


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
    into: Subject = ""  # the incident that it turned out to be a part of
    held_by: str | None = None
    held_at: Instant | None = None

    @property
    def number(self) -> str:
        return plain(self.about)

    @property
    def down(self) -> tuple[Cause, ...]:
        """The causes that keep it open."""
        return tuple(each for each in self.causes if each.left is None and not each.remark)

    @property
    def fallen(self) -> tuple[Subject, ...]:
        """What is down because of it: the vendors, services and whatever else its causes are of."""
        return tuple(dict.fromkeys(each.of or self.of for each in self.down))

    @property
    def touched(self) -> tuple[Subject, ...]:
        """What has been down because of it at any time."""
        return tuple(each.of or self.of for each in self.causes if not each.remark)

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
    felled_by: Incident | None = None,
    fells: Sequence[Incident] = (),
) -> list[Fact]:
    """Something went down. `incident` is the open one of the same vendor or service, if any.

    `fellows` are down already for the same vendor or service: a test twin that fell first. `over`
    closes the incident first, if its quiet time had passed and nobody was there to close it. By the
    map, what is down in `felled_by` takes this down too, and this took down what `fells` are of.
    """
    felt = opens(down.environment, opens_for)
    if over:
        return [
            *over,
            *fell(
                down, None, opens_for=opens_for, number=number, fellows=fellows,
                felled_by=felled_by, fells=fells,
            ),
        ]  # fmt: skip
    if incident is not None:
        return [] if incident.knows(down.cause) else [_joined(incident, down, remark=not felt)]
    if not felt:
        return []
    if felled_by is not None:
        return [_joined(felled_by, down, remark=False)]
    about = f"incident:{number}"
    opened = Opened(about=about, of=down.of, since=down.since, cause=down.cause, reason=down.reason)
    others = [each for each in fellows if each.cause != down.cause]
    return [
        opened,
        *(
            CauseJoined(
                about=about,
                cause=each.cause,
                reason=each.reason,
                since=each.since,
                remark=not opens(each.environment, opens_for),
            )
            for each in others
        ),
        *(fact for each in fells for fact in _goes_on(each, about, down)),
    ]


def _joined(incident: Incident, down: Down, *, remark: bool) -> CauseJoined:
    return CauseJoined(
        about=incident.about,
        cause=down.cause,
        reason=down.reason,
        since=down.since,
        remark=remark,
        of="" if down.of == incident.of else down.of,
    )


def _goes_on(felled: Incident, about: Subject, root: Down) -> Iterator[Fact]:
    """What an incident knows to be down moves to the incident of what felled it."""
    for each in felled.down:
        of = each.of or felled.of
        yield CauseJoined(
            about=about, cause=each.cause, reason=each.reason, since=each.since, of=of
        )
    ended = max(root.since, felled.since)
    yield Closed(
        about=felled.about,
        since=ended,
        lasted=seconds_between(felled.since, ended),
        note=f"it needs what is down there ({root.reason})",
        into=about,
    )


FELL_TOGETHER: Seconds = 300.0
"""What fell so shortly before its own need did was felled by it; what fell earlier has other reasons."""


def felling(of: Subject, going_on: Sequence[Incident], needs: Needs) -> Incident | None:
    """The incident whose fallen things take this one down too, by the map; the oldest of several.

    What it took down before and worked again falls back into it, as long as it is not closed.
    """
    return next(
        (each for each in going_on if of in each.touched or _falls_with(each.fallen, of, needs)),
        None,
    )


def felled(down: Down, going_on: Sequence[Incident], needs: Needs) -> list[Incident]:
    """The incidents of what fell because of this, though it was seen down a little earlier."""
    return [
        each
        for each in going_on
        if each.down
        and each.of != down.of
        and abs(seconds_between(each.since, down.since)) <= FELL_TOGETHER
        and all(_falls_with((down.of,), of, needs) for of in each.fallen)
    ]


def _falls_with(down: Sequence[Subject], of: Subject, needs: Needs) -> bool:
    return any(each.node == of for each in needs.falls(down)) if down else False


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


def close_if_quiet(incident: Incident, closes_after: Seconds, now: Instant) -> list[Closed]:
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
