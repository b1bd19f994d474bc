"""The score, the five metrics, and advice, as people see them."""

from __future__ import annotations

from typing import Literal

import msgspec

from detente.kernel.clock import Instant, Seconds, lasting, seconds_between
from detente.kernel.fact import Subject, Tone
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import Ask, Page, Panel, Sign
from detente.scoreboard import queries
from detente.scoreboard.decisions.delivery import Delivery, Deployment, delivery
from detente.scoreboard.decisions.fairness import Side
from detente.scoreboard.queries import Given, Score

_A_WEEK: Seconds = 7 * 86_400.0


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One of the five words on the board, in money and in words."""

    word: Literal["delivered", "kept", "lost", "owed", "at risk"]
    tone: Tone
    worth: tuple[Money, ...]
    says: str


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """What one cause cost."""

    cause: str
    over: tuple[str, ...]
    lasted: Seconds
    worth: tuple[Money, ...]
    share: float  # of all the time that was lost
    positions: tuple[int, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One journey."""

    about: Subject
    title: str
    tone: Tone
    worked: str  # "99.981%"
    down: Seconds
    lost: tuple[Money, ...]


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """Features and uptime on one page."""

    start: Instant
    now: Instant
    window: Seconds
    parts: list[Part]
    lost: list[Lost]
    journeys: list[Row]
    sides: tuple[Side, Side]
    unfair: list[str]
    delivered: Delivery
    advice: list[Given]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One of the five."""

    name: str
    value: str
    means: str


class Delivering(msgspec.Struct, frozen=True, kw_only=True):
    """The five metrics, and every deployment behind them."""

    start: Instant
    now: Instant
    throughput: list[Metric]
    instability: list[Metric]
    not_known: int
    deployments: list[Deployment]


class AdvicePage(msgspec.Struct, frozen=True, kw_only=True):
    """What the facts call for."""

    standing: list[Given]
    declined: list[Given]


class AboutThis(msgspec.Struct, frozen=True, kw_only=True):
    """Advice about one thing."""

    standing: list[Given]


def board(node: Node, _ask: Ask) -> Board:
    """How are we doing, both of us?"""
    made = queries.score(node)
    all_lost = sum(each.seconds for each in made.lost)
    return Board(
        start=made.start,
        now=made.now,
        window=seconds_between(made.start, made.now),
        parts=_parts(made),
        lost=[
            Lost(
                cause=each.cause,
                over=tuple(node.title(root) for root in each.roots),
                lasted=each.seconds,
                worth=each.worth,
                share=each.seconds / all_lost,
                positions=each.positions,
            )
            for each in made.lost
        ],
        journeys=[
            Row(
                about=each.journey,
                title=node.title(each.journey),
                tone="good" if not each.down else "warn" if each.share > 0.999 else "bad",
                worked=f"{each.share * 100:.3f}%",
                down=each.down,
                lost=each.lost,
            )
            for each in made.journeys
        ],
        sides=made.sides,
        unfair=[each.says for each in made.unfair],
        delivered=made.delivered,
        advice=[each for each in queries.standing(node) if not each.declined],
    )


def _parts(made: Score) -> list[Part]:
    deployed = made.delivered.deployments
    failed = sum(bool(each.failed) for each in deployed)
    back = f", {failed} of them failed" if failed else ""
    down = sum(each.seconds for each in made.lost)
    return [
        Part(
            word="delivered",
            tone="good" if deployed else "plain",
            worth=made.sold,
            says=f"{_many(len(deployed), 'change')} in production{back}; sales charged at once",
        ),
        Part(
            word="kept",
            tone="good" if made.kept_calls else "plain",
            worth=made.kept,
            says=f"{_many(made.kept_calls, 'sale')} taken while a vendor was away, paid later",
        ),
        Part(
            word="lost",
            tone="bad" if down or made.given_up else "good",
            worth=(*made.lost_in_all, *made.given_up),
            says=f"journeys could not be made for {lasting(down)}"
            if down
            else "no journey was down",
        ),
        Part(
            word="owed",
            tone="warn" if made.owed else "plain",
            worth=made.owed,
            says="by vendors, for promises that they broke",
        ),
        Part(
            word="at risk",
            tone="warn" if made.at_risk_calls else "good",
            worth=made.at_risk,
            says=f"{_many(made.at_risk_calls, 'sale')} parked just now",
        ),
    ]


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def delivering(node: Node, _ask: Ask) -> Delivering:
    """The five metrics of DORA."""
    told = queries.history(node)
    made = delivery(told)
    return Delivering(
        start=told.start,
        now=told.now,
        throughput=[
            Metric(
                name="Change lead time",
                value=_time(made.lead_time),
                means="from the oldest commit to production, the median",
            ),
            Metric(
                name="Deployment frequency",
                value=_often(made.a_week),
                means=f"{_many(len(made.deployments), 'deployment')} in {lasting(seconds_between(told.start, told.now))}",
            ),
            Metric(
                name="Failed deployment recovery time",
                value=_time(made.recovery_time),
                means="from production to the version before it, the median",
            ),
        ],
        instability=[
            Metric(
                name="Change fail rate",
                value=_share(made.fail_rate),
                means="of the deployments of which we know whether they failed",
            ),
            Metric(
                name="Deployment rework rate",
                value=_share(made.rework_rate),
                means="unplanned, because of an incident",
            ),
        ],
        not_known=made.not_known,
        deployments=list(reversed(made.deployments)),
    )


def _often(a_week: float) -> str:
    """Whole ones where there are many: a first hour says little, and says it plainly."""
    return f"{a_week:.2g} a week" if a_week < 10 else f"{a_week:,.0f} a week".replace(",", "\u202f")


def _time(seconds: Seconds | None) -> str:
    return "not known" if seconds is None else lasting(seconds)


def _share(share: float | None) -> str:
    return "not known" if share is None else f"{share * 100:.3g}%"


def advice(node: Node, _ask: Ask) -> AdvicePage:
    """What the facts call for, and what was declined."""
    found = queries.standing(node)
    return AdvicePage(
        standing=[each for each in found if not each.declined],
        declined=[each for each in found if each.declined],
    )


def _about_this(node: Node, subject: Subject) -> AboutThis | None:
    found = queries.about_subject(node, subject)
    return AboutThis(standing=found) if found else None


def signs(node: Node) -> list[Sign]:
    """Advice is quiet: it is on *Now* only while it has stood for a week."""
    now = node.clock.now()
    old = [
        each
        for each in queries.standing(node)
        if not each.declined and seconds_between(each.since, now) > _A_WEEK
    ]
    if not old:
        return []
    return [
        Sign(
            tone="plain",
            about="advice:standing",
            sentence=f"{_many(len(old), 'piece')} of advice has stood for a week: {old[0].do}",
            since=old[-1].since,
            href="/scoreboard/advice",
        )
    ]


_HEARS = ("releases.*", "toggles.*", "incidents.*", "watch.went_down", "watch.came_back", "sla.*")

PAGES = (
    Page("/scoreboard", "Score", board, "scoreboard/board.html", in_menu=True, hears=_HEARS),
    Page(
        "/scoreboard/delivery",
        "Delivery",
        delivering,
        "scoreboard/delivery.html",
        hears=("releases.*", "toggles.flipped_back", "incidents.opened"),
    ),
    Page("/scoreboard/advice", "Advice", advice, "scoreboard/advice.html", hears=("scoreboard.*",)),
)

PANELS = (
    Panel(
        "Advice",
        (
            "vendor",
            "service",
            "infrastructure",
            "route",
            "incident",
            "release",
            "toggle",
            "promise",
            "test",
            "check",
            "change",
        ),
        _about_this,
        "scoreboard/about.html",
    ),
)
