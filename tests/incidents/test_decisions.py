"""Does an incident begin, grow, shrink and end when it should?"""

from __future__ import annotations

from msgspec.structs import replace

from detente.facts.incidents import CauseJoined, CauseLeft, Closed, Opened
from detente.incidents import decisions
from detente.incidents.decisions import Cause, Down, Incident
from detente.kernel.clock import NS, Instant

START: Instant = 1_800_000_000 * NS
CUSTOMERS = ("production",)


def s(seconds: float) -> Instant:
    return START + round(seconds * NS)


def down(cause: str = "check:cardpay", at: float = 0, environment: str = "production") -> Down:
    return Down(
        cause=cause, of="vendor:cardpay", since=s(at), reason="refused", environment=environment
    )


def incident(*causes: Cause) -> Incident:
    return Incident(
        about="incident:12", of="vendor:cardpay", since=s(0), opened_at=s(3), opened_by=7,
        reason="refused", causes=causes or (Cause(cause="check:cardpay", since=s(0), reason="refused"),),
    )  # fmt: skip


def test_the_first_failure_opens_an_incident() -> None:
    """What fails in production opens an incident that began with the first failure."""
    facts = decisions.fell(down(), None, opens_for=CUSTOMERS, number=12)
    assert facts == [
        Opened(
            about="incident:12",
            of="vendor:cardpay",
            since=s(0),
            cause="check:cardpay",
            reason="refused",
        )
    ]


def test_what_names_no_environment_is_production() -> None:
    """A check without an environment opens an incident, as does a route."""
    assert decisions.fell(down(environment=""), None, opens_for=CUSTOMERS, number=1)


def test_a_second_failure_joins() -> None:
    """While an incident of the same vendor is open there is no second one."""
    facts = decisions.fell(down("route:charge", 5, ""), incident(), opens_for=CUSTOMERS, number=13)
    assert facts == [
        CauseJoined(about="incident:12", cause="route:charge", reason="refused", since=s(5))
    ]


def test_the_same_failure_joins_once() -> None:
    """A cause that the incident knows and that has not left is not told again."""
    assert decisions.fell(down(), incident(), opens_for=CUSTOMERS, number=13) == []


def test_a_test_twin_opens_nothing() -> None:
    """The twin being down wakes nobody."""
    assert decisions.fell(down(environment="test"), None, opens_for=CUSTOMERS, number=1) == []


def test_a_test_twin_is_a_remark() -> None:
    """While production is down, the twin's fall is noted and not waited for."""
    (fact,) = decisions.fell(
        down("check:twin", 2, "test"), incident(), opens_for=CUSTOMERS, number=13
    )
    assert isinstance(fact, CauseJoined)
    assert fact.remark


def test_what_was_down_before_joins_when_it_opens() -> None:
    """A twin that fell first, and a route left over from a closed incident, join the new one."""
    fellows = [down("check:twin", -60, "test"), down(), down("route:charge", -5, "")]
    opened, twin, route = decisions.fell(
        down(), None, opens_for=CUSTOMERS, number=12, fellows=fellows
    )
    assert isinstance(opened, Opened)
    assert (twin.about, route.about) == ("incident:12", "incident:12")
    assert isinstance(twin, CauseJoined)
    assert isinstance(route, CauseJoined)
    assert (twin.cause, twin.remark, twin.since) == ("check:twin", True, s(-60))
    assert (route.cause, route.remark) == ("route:charge", False)


def test_what_works_again_leaves() -> None:
    """A recovery is noted in the incident that knows the cause, and in no other."""
    assert decisions.recovered("check:cardpay", s(60), incident()) == [
        CauseLeft(about="incident:12", cause="check:cardpay", since=s(60))
    ]
    assert decisions.recovered("check:other", s(60), incident()) == []
    assert decisions.recovered("check:cardpay", s(60), None) == []


def test_it_closes_after_the_quiet_time() -> None:
    """Closed once nothing has been down for as long as was asked, and not a moment before."""
    over = incident(Cause(cause="check:cardpay", since=s(0), reason="x", left=s(100)))
    assert decisions.closes_at(over, 60) == s(160)
    assert decisions.close_if_quiet(over, 60, s(159.9)) == []
    assert decisions.close_if_quiet(over, 60, s(160)) == [
        Closed(about="incident:12", since=s(100), lasted=100.0)
    ]


def test_it_stays_open_while_anything_is_down() -> None:
    """One of two causes gone is not quiet."""
    half = incident(
        Cause(cause="check:cardpay", since=s(0), reason="x", left=s(100)),
        Cause(cause="route:charge", since=s(5), reason="y"),
    )
    assert decisions.closes_at(half, 60) is None
    assert decisions.close_if_quiet(half, 60, s(9_999)) == []


def test_the_last_to_leave_counts() -> None:
    """The quiet begins when the last cause has left, whatever the order they were noted in."""
    over = incident(
        Cause(cause="check:cardpay", since=s(0), reason="x", left=s(100)),
        Cause(cause="route:charge", since=s(5), reason="y", left=s(90)),
    )
    assert decisions.quiet_since(over) == s(100)


def test_a_remark_keeps_nothing_open() -> None:
    """The twin may stay down for days: the incident is over when customers are served."""
    over = incident(
        Cause(cause="check:cardpay", since=s(0), reason="x", left=s(100)),
        Cause(cause="check:twin", since=s(5), reason="y", remark=True),
    )
    assert decisions.closes_at(over, 60) == s(160)


def test_a_relapse_is_the_same_incident() -> None:
    """What fails again in the quiet time joins, and the closing starts anew."""
    quiet = incident(Cause(cause="check:cardpay", since=s(0), reason="x", left=s(100)))
    (fact,) = decisions.fell(down(at=130), quiet, opens_for=CUSTOMERS, number=13)
    assert isinstance(fact, CauseJoined)
    again = replace(
        quiet,
        causes=(*quiet.causes, Cause(cause="check:cardpay", since=s(130), reason="x")),
    )
    assert decisions.close_if_quiet(again, 60, s(170)) == []


def test_closing_by_hand() -> None:
    """By hand it ends now, or when the quiet began; the note stands in the fact."""
    assert decisions.close_by_hand(incident(), "moved away", s(50)) == [
        Closed(about="incident:12", since=s(50), lasted=50.0, note="moved away")
    ]
    over = incident(Cause(cause="check:cardpay", since=s(0), reason="x", left=s(40)))
    (closed,) = decisions.close_by_hand(over, "fine", s(50))
    assert isinstance(closed, Closed)
    assert closed.lasted == 40.0


def test_a_closed_one_is_not_closed_again() -> None:
    """Nothing is due about what is over."""
    over = replace(
        incident(Cause(cause="check:cardpay", since=s(0), reason="x", left=s(10))), closed_at=s(80)
    )
    assert decisions.closes_at(over, 60) is None
    assert decisions.close_if_quiet(over, 60, s(999)) == []


def test_nothing_lasts_less_than_nothing() -> None:
    """A recovery dated before the failure (two clocks) makes a length of zero."""
    odd = incident(Cause(cause="check:cardpay", since=s(0), reason="x", left=s(-5)))
    (closed,) = decisions.close_if_quiet(odd, 1, s(10))
    assert isinstance(closed, Closed)
    assert closed.lasted == 0.0


def test_a_failure_after_an_end_that_nobody_noted() -> None:
    """If the quiet time passed unattended, the old incident is closed and a new one opened."""
    over = incident(Cause(cause="check:cardpay", since=s(0), reason="x", left=s(100)))
    closed, opened = decisions.fell(
        down(at=900), over, opens_for=CUSTOMERS, number=13,
        over=decisions.close_if_quiet(over, 60, s(900)),
    )  # fmt: skip
    assert (closed.about, opened.about) == ("incident:12", "incident:13")
