"""What counts, for whom, and what should be done about it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from detente.facts.acceptance import Ran
from detente.facts.dependencies import ChangePlanned, ChangeRecorded, Suspected
from detente.facts.incidents import (
    ActionDone,
    ActionTakenOn,
    Closed,
    Opened,
    RetrospectiveClosed,
)
from detente.facts.pager import Taken, Told
from detente.facts.releases import (
    Began,
    Requested,
    Reviewed,
    ReviewOpened,
    RolledBack,
    Shipped,
)
from detente.facts.sla import PromiseBroken, PromiseRestored
from detente.facts.toggles import FlippedBack, SwitchedOff, SwitchedOn
from detente.facts.watch import LostSight, Warned, WarningPassed
from detente.facts.work import CallHeld, CallParked, DrillBegan
from detente.kernel.catalogue import (
    Catalogue,
    Group,
    Infrastructure,
    Journey,
    Measure,
    Service,
    Team,
    Vendor,
)
from detente.kernel.clock import NS, Instant
from detente.kernel.fact import Fact, Recorded
from detente.kernel.money import Money
from detente.scoreboard.decisions.advice import RULES, advise
from detente.scoreboard.decisions.delivery import delivery
from detente.scoreboard.decisions.fairness import sides, unfair
from detente.scoreboard.decisions.history import History
from detente.scoreboard.decisions.money import Down, losses, stretches, worked

HOUR = 3600 * NS
DAY = 24 * HOUR
NOW = 1_700_000_000 * NS // DAY * DAY + 12 * HOUR

CATALOGUE = Catalogue(
    teams={"dev": Team(), "ops": Team()},
    vendors={"cardpay": Vendor(title="CardPay"), "cas": Vendor(title="Sign-on")},
    infrastructure={"db1": Infrastructure(), "db2": Infrastructure()},
    services={
        "shop": Service(needs=("cardpay", "cas", Group(any_of=("db1", "db2")))),
        "tax": Service(needs=("cas",)),
    },
    journeys={
        "buy": Journey(needs=("shop",), earns=Money(120_000, "EUR")),
        "pay-taxes": Journey(needs=("tax",), earns=Money(60_000, "EUR")),
    },
    measures={"cas": Measure("vendor:cas", "production", is_outage=True)},
)

Entry = tuple[Instant, Fact]


def told(entries: Sequence[Entry], days: int = 60) -> History:
    facts = [
        Recorded(position, at, "test", fact)
        for position, (at, fact) in enumerate(sorted(entries, key=lambda e: e[0]), start=1)
    ]
    return History(facts, CATALOGUE, NOW - days * DAY, NOW)


# -- money


def down(of: str, start: int, end: int, changed: str = "") -> Down:
    return Down(of=of, start=NOW + start * HOUR, end=NOW + end * HOUR, position=1, changed=changed)


def lost(*downs: Down) -> list[tuple[str, tuple[str, ...], float, list[str]]]:
    found = stretches(downs, CATALOGUE, NOW, NOW + 24 * HOUR)
    return [
        (
            each.cause,
            each.roots,
            each.seconds / 3600,
            [f"{m.minor} {m.currency}" for m in each.worth],
        )
        for each in losses(found, CATALOGUE)
    ]


def test_what_an_outage_costs_is_what_its_journeys_earn() -> None:
    """Sign-on is away for two hours: both journeys lose what they earn in them, by a vendor."""
    assert lost(down("vendor:cas", 1, 3)) == [("vendor", ("vendor:cas",), 4.0, ["360000 EUR"])]


def test_what_falls_with_its_cause_is_counted_once() -> None:
    """The shop is seen to be down because sign-on is; that is one loss, and sign-on's."""
    both = lost(down("vendor:cas", 1, 2), down("service:shop", 1, 2))
    assert both == [("vendor", ("vendor:cas",), 2.0, ["180000 EUR"])]


def test_a_spare_costs_nothing_and_both_cost_everything() -> None:
    """One database of two is no loss; while both are down, buying is, by infrastructure."""
    found = lost(down("infrastructure:db1", 0, 5), down("infrastructure:db2", 3, 4))
    assert found == [
        ("infrastructure", ("infrastructure:db1", "infrastructure:db2"), 1.0, ["120000 EUR"])
    ]


def test_our_own_change_is_a_cause_of_its_own() -> None:
    """What a change explains is ours, whatever fell; two causes of different kinds are unknown."""
    assert lost(down("vendor:cas", 0, 1, "change:vm"))[0][0] == "our change"
    twice = lost(down("vendor:cardpay", 0, 1), down("service:shop", 0, 1, "release:7"))
    assert [each[0] for each in twice] == ["vendor"], "the shop fell with its vendor"


def test_each_journey_has_its_share() -> None:
    """A journey down for 6 of 24 hours worked three quarters of the time."""
    found = stretches([down("vendor:cardpay", 0, 6)], CATALOGUE, NOW, NOW + 24 * HOUR)
    shares = {each.journey: each.share for each in worked(found, CATALOGUE, NOW, NOW + 24 * HOUR)}
    assert shares == {"journey:buy": 0.75, "journey:pay-taxes": 1.0}


# -- delivery


def release(
    number: int, at: Instant, *, fixes: str = "", toggles: tuple[str, ...] = ()
) -> list[Entry]:
    about = f"release:{number}"
    return [
        (at - 2 * HOUR, Requested(about=about, title="x", starts=at, ends=at, fixes=fixes,
                                  toggles=toggles, touches=("service:shop",))),
        (at - HOUR, Began(about=about, version=f"v{number}", committed=at - 5 * HOUR)),
        (at, Shipped(about=about, version=f"v{number}")),
    ]  # fmt: skip


def test_the_five_metrics() -> None:
    """Four deployments: one stays, one is taken back, one mends, one is near an incident."""
    entries = [
        *release(1, NOW - 12 * DAY),
        *release(2, NOW - 10 * DAY),
        (NOW - 10 * DAY + HOUR, RolledBack(about="release:2", to="v1", why="7 of 9 failed")),
        *release(3, NOW - 9 * DAY, fixes="incident:4"),
        *release(4, NOW - 2 * DAY),
        (NOW - 2 * DAY + 3 * HOUR,
         Opened(about="incident:5", of="vendor:cardpay", cause="check:x", reason="refused",
                since=NOW - 2 * DAY + 3 * HOUR)),
        *release(5, NOW - 1 * DAY, toggles=("toggle:new",)),
        (NOW - 1 * DAY + HOUR,
         FlippedBack(about="toggle:new", because="check:shop", why="5 of 6 failed")),
    ]  # fmt: skip
    made = delivery(told(entries, days=14))
    fates = {each.release: each.failed for each in made.deployments}
    assert fates == {
        "release:1": False, "release:2": True, "release:3": False, "release:4": False,
        "release:5": True,
    }  # fmt: skip
    assert made.a_week == 2.5
    assert made.lead_time == 5 * 3600
    assert made.fail_rate == 2 / 5
    assert made.recovery_time == 3600
    assert made.rework_rate == 1 / 5


def test_an_incident_on_the_same_day_proves_nothing() -> None:
    """What a deployment touches fell hours later and nothing was taken back: nobody knows."""
    shipped = NOW - 2 * DAY
    fell = Opened(
        about="incident:5", of="service:shop", cause="check:x", reason="slow", since=shipped + HOUR
    )
    made = delivery(told([*release(1, shipped), (shipped + HOUR, fell)]))
    assert [each.failed for each in made.deployments] == [None]
    assert made.fail_rate is None
    assert made.not_known == 1


def test_what_goes_on_as_another_incident_does_not_count_again() -> None:
    """It turned out to be a part of something that the release did not touch."""
    shipped = NOW - 2 * DAY
    fell = Opened(
        about="incident:5", of="service:shop", cause="check:x", reason="slow", since=shipped + HOUR
    )
    merged = Closed(about="incident:5", since=shipped + HOUR, lasted=0, into="incident:6")
    made = delivery(told([*release(1, shipped), (shipped + HOUR, fell), (shipped + HOUR, merged)]))
    assert [each.failed for each in made.deployments] == [False]


def test_nothing_deployed_is_nothing_known() -> None:
    """Without deployments there is no rate, and no zero that looks like one."""
    made = delivery(told([]))
    assert (made.fail_rate, made.lead_time, made.rework_rate, made.a_week) == (None, None, None, 0)


# -- fairness


def test_one_target_at_the_cost_of_the_other_is_said() -> None:
    """Nothing shipped under a freeze kept uptime; much shipped broke it; both sides hear which."""
    calm = worked([], CATALOGUE, NOW - DAY, NOW)
    idle = delivery(told([]))
    both = sides(idle, calm, 4, 0.999)
    assert (both[0].met, both[1].met) == (False, True)
    assert "delivery target miss" in next(unfair(both, idle, [], 20 * 86_400, 30 * 86_400)).says
    assert not [*unfair(both, idle, [], 3600, 30 * 86_400)]

    busy = delivery(told([e for n in range(5) for e in release(n, NOW - n * DAY)]))
    found = stretches([down("service:shop", -24, -12, "release:1")], CATALOGUE, NOW - DAY, NOW)
    broken = sides(busy, worked(found, CATALOGUE, NOW - DAY, NOW), 4, 0.999)
    says = [*unfair(broken, busy, losses(found, CATALOGUE), 0, 86_400)]
    assert "uptime target miss" in says[0].says
    assert not [*unfair(sides(busy, calm, None, None), busy, [], 0, 86_400)]


# -- advice


def opened(number: int, of: str, at: Instant) -> Entry:
    return at, Opened(about=f"incident:{number}", of=of, cause="check:x", reason="down", since=at)


def taken(number: int, at: Instant) -> Entry:
    return at, Taken(about=f"incident:{number}", who="Ada")


def ran(outcome: str, at: Instant, version: str = "v1", place: str = "ci") -> Entry:
    made = Ran(about="test:buy", place=place, outcome=outcome, took=1, version=version)  # type: ignore[arg-type]
    return at, made


def parked(vendor: str) -> Entry:
    fact = CallParked(about="call:1", route="r", vendor=vendor, reason="x", unknown=False)
    return NOW - HOUR, fact


def broken(owed: Money | None) -> Entry:
    fact = PromiseBroken(
        about="promise:up", vendor="vendor:cardpay", period="2023-11", target=0.99, down=9,
        allowed=3, owed=owed,
    )  # fmt: skip
    return NOW - DAY, fact


def told_at_night(number: int, team: str) -> Entry:
    at = NOW - number * DAY - 9 * HOUR
    return at, Told(about=f"incident:{number}", team=team, channel="mail", message="opened")


BACK = (NOW - DAY, RolledBack(about="release:1", to="v0", why="it failed"))
CLOSED = Closed(about="incident:1", since=NOW - 20 * DAY, lasted=7200)
ACTION = ActionTakenOn(
    about="incident:1", action="1-1", title="A check", owner="Ada", due=NOW - DAY,
    closes_on="check:db",
)  # fmt: skip
CHANGE = ChangeRecorded(
    about="change:vm", title="moved sign-on", touches=("vendor:cas",), central=("vendor:cas",)
)
REVIEW = ReviewOpened(about="release:9", why="it was an emergency", due=NOW - HOUR)
DRILL = DrillBegan(
    about="route:sign-on", vendor="vendor:cas", how="refuse", until=NOW, reason="rehearsal"
)
HELD = [
    (NOW - n * HOUR, CallHeld(about=f"call:{n}", route="r", reason="HTTP 402")) for n in range(10)
]
WARNED = (
    NOW - 5 * DAY,
    Warned(about="check:tls", of="vendor:cas", since=NOW - 5 * DAY, reason="x"),
)
BLIND = [(NOW - n * HOUR, LostSight(about="check:cas", since=NOW, reason="late")) for n in range(5)]
GATE = ran("passed", NOW - 2 * DAY, place="gate")

SPEAKS_AND_IS_SILENT: dict[str, tuple[list[Entry], list[Entry]]] = {
    "watch_what_fails": ([parked("vendor:cardpay")], [parked("vendor:cas")]),
    "claim_the_credit": (
        [broken(Money(100, "EUR"))],
        [
            broken(None),
            broken(Money(100, "EUR")),
            (NOW, PromiseRestored(about="promise:up", vendor="vendor:cardpay", period="2023-11", target=0.9, down=1, allowed=3)),
        ],
    ),
    "ship_behind_a_toggle": (
        [*release(1, NOW - 2 * DAY), BACK],
        [*release(1, NOW - 2 * DAY, toggles=("toggle:new",)), BACK],
    ),
    "remove_the_toggle": (
        [(NOW - 40 * DAY, SwitchedOn(about="toggle:new"))],
        [(NOW - 40 * DAY, SwitchedOn(about="toggle:new")),
         (NOW - 39 * DAY, SwitchedOff(about="toggle:new"))],
    ),
    "it_comes_again": (
        [opened(n, "vendor:cas", NOW - n * DAY) for n in range(3)],
        [
            *(opened(n, "vendor:cas", NOW - n * DAY) for n in range(3)),
            (NOW, Closed(about="incident:2", since=NOW, lasted=0, into="incident:1")),
        ],
    ),
    "hold_the_retrospective": (
        [(NOW - 20 * DAY, CLOSED)],
        [(NOW - 20 * DAY, CLOSED), (NOW - DAY, RetrospectiveClosed(about="incident:1"))],
    ),
    "do_what_was_promised": (
        [(NOW - 9 * DAY, ACTION)],
        [(NOW - 9 * DAY, ACTION),
         (NOW, ActionDone(about="incident:1", action="1-1", title="A check", position=1,
                          because="it ran"))],
    ),
    "plan_central_changes": (
        [(NOW - DAY, CHANGE)],
        [(NOW - 3 * DAY, ChangePlanned(about="change:vm", title="move", starts=NOW)),
         (NOW - DAY, CHANGE)],
    ),
    "rehearse_the_central_point": (
        [opened(1, "vendor:cas", NOW - DAY)],
        [opened(1, "vendor:cas", NOW - DAY), (NOW, DRILL), opened(2, "vendor:cardpay", NOW)],
    ),
    "say_i_have_it": (
        [opened(1, "vendor:cas", NOW - 2 * DAY), opened(2, "vendor:cas", NOW - DAY)],
        [opened(1, "vendor:cas", NOW - 2 * DAY), opened(2, "vendor:cas", NOW - DAY),
         taken(1, NOW - 2 * DAY + 60 * NS)],
    ),
    "wake_both_sides": (
        [told_at_night(n, "ops") for n in (1, 2, 3)],
        [told_at_night(1, "ops"), told_at_night(2, "dev"), told_at_night(3, "ops")],
    ),
    "make_the_normal_way_fast": (
        [entry for n in range(5) for entry in (
            (NOW - n * DAY - HOUR, Requested(about=f"release:{n}", title="x", starts=NOW, ends=NOW,
                                             kind="emergency" if n < 2 else "normal")),
            (NOW - n * DAY, Shipped(about=f"release:{n}", version="v")))],
        [entry for n in range(5) for entry in release(n, NOW - n * DAY)],
    ),
    "review_the_emergency": (
        [(NOW - 3 * DAY, REVIEW)],
        [(NOW - 3 * DAY, REVIEW), (NOW - DAY, Reviewed(about="release:9", note="fine"))],
    ),
    "mend_the_flaky_test": (
        [ran("failed" if n % 2 else "passed", NOW - n * HOUR) for n in range(4)],
        [ran("failed" if n % 2 else "passed", NOW - n * HOUR, version=f"v{n}") for n in range(4)],
    ),
    "test_what_came_back": (
        [(GATE[0], Ran(about="test:buy", place="gate", outcome="passed", took=1,
                       release="release:1")), BACK],
        [BACK],
    ),
    "settle_it_for_good": (HELD, HELD[:9]),
    "declare_what_is_shared": (
        [(NOW - DAY, Suspected(about="dependency:1", together=("service:shop", "service:tax"),
                               since=NOW - DAY, chance=1e-6))],
        [opened(1, "service:shop", NOW - DAY)],
    ),
    "heed_the_warning": (
        [WARNED],
        [WARNED, (NOW, WarningPassed(about="check:tls", of="vendor:cas", since=NOW))],
    ),
    "look_from_another_place": (BLIND, BLIND[:3]),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_speaks_when_it_must_and_is_silent_otherwise(rule: object) -> None:
    """Each rule has a history in which it speaks, with facts to show, and one in which it does not."""
    name = rule.__name__  # type: ignore[attr-defined]
    speaks, silent = SPEAKS_AND_IS_SILENT[name]
    found = [each for each in advise(told(speaks)) if each.rule == name.replace("_", "-")]
    assert len(found) == 1
    assert found[0].evidence
    assert found[0].do.endswith(".")
    assert found[0].lever
    assert not [each for each in advise(told(silent)) if each.rule == name.replace("_", "-")]


def test_nothing_happened_and_nobody_is_told_what_to_do() -> None:
    """An empty history calls for nothing."""
    assert advise(told([])) == []
