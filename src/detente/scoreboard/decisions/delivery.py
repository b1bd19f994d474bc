"""How well do we deliver? The five metrics of DORA, as they are defined today.

Throughput: *change lead time* (commit to production), *deployment frequency*, *failed deployment
recovery time*. Instability: *change fail rate* (deployments that needed an intervention at once) and
*deployment rework rate* (unplanned deployments because of an incident). Source: dora.dev, *DORA's
software delivery metrics*, 2026.

A deployment failed when the facts say so: it was taken back, a toggle of its was, or what it touches fell
while it was watched and stood up again when it was taken back. That something fell within a day of a
deployment proves nothing; such a deployment is *not known*, counted apart, and never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from detente.facts.releases import (
    Began,
    Requested,
    RolledBack,
    Shipped,
)
from detente.facts.toggles import FlippedBack
from detente.kernel.clock import Instant, Seconds, later, seconds_between
from detente.kernel.fact import Recorded, Subject
from detente.scoreboard.decisions.history import History

_NEAR: Seconds = 86_400.0
"""An incident that begins so soon after a deployment may be of its making; nobody knows."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One version in production."""

    release: Subject
    at: Instant
    position: int
    version: str
    lead: Seconds | None  # since the oldest commit in it, if that is known
    failed: bool | None  # None: not known
    why: str
    recovered: Seconds | None = None  # from shipping to the version before it, or the toggle off
    rework: bool = False


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """The five metrics over a window. Shares are of 1; None where there is nothing to say."""

    deployments: list[Deployment]
    a_week: float
    lead_time: Seconds | None  # median
    fail_rate: float | None  # of the deployments of which it is known
    recovery_time: Seconds | None  # median
    rework_rate: float | None
    not_known: int


def delivery(history: History) -> Delivery:
    """What the facts of the window say."""
    made = [_deployment(history, at, shipped) for at, shipped in history.of(Shipped)]
    known = [each for each in made if each.failed is not None]
    leads = [each.lead for each in made if each.lead is not None]
    recoveries = [each.recovered for each in made if each.recovered is not None]
    weeks = seconds_between(history.start, history.now) / (7 * 86_400)
    return Delivery(
        deployments=made,
        a_week=len(made) / weeks if weeks > 0 else 0.0,
        lead_time=median(leads) if leads else None,
        fail_rate=sum(bool(each.failed) for each in known) / len(known) if known else None,
        recovery_time=median(recoveries) if recoveries else None,
        rework_rate=sum(each.rework for each in made) / len(made) if made else None,
        not_known=len(made) - len(known),
    )


def _deployment(history: History, recorded: Recorded, fact: Shipped) -> Deployment:
    release = recorded.about
    began = next((f for _, f in reversed([*history.of(Began, release)])), None)
    asked = next((f for _, f in history.of(Requested, release)), None)
    failed, why, recovered = _fate(history, release, recorded.at, asked)
    committed = began.committed if began else None
    return Deployment(
        release=release,
        at=recorded.at,
        position=recorded.position,
        version=fact.version,
        lead=None if committed is None else max(0.0, seconds_between(committed, recorded.at)),
        failed=failed,
        why=why,
        recovered=recovered,
        rework=bool((began and began.fixes) or (asked and asked.fixes)),
    )


def _fate(
    history: History, release: Subject, at: Instant, asked: Requested | None
) -> tuple[bool | None, str, Seconds | None]:
    """Did it fail, why do we say so, and how long until that was undone?"""
    for recorded, back in history.of(RolledBack, release):
        if recorded.at >= at:
            return True, f"taken back: {back.why}", seconds_between(at, recorded.at)
    toggles: Sequence[Subject] = asked.toggles if asked else ()
    for recorded, flip in history.of(FlippedBack):
        if recorded.at >= at and (recorded.about in toggles or flip.release == release):
            return True, f"its toggle was flipped back: {flip.why}", None
    touched = {*(asked.touches if asked else ()), *([asked.service] if asked else [])} - {""}
    for _, opened in history.incidents():
        near = at <= opened.since <= later(at, _NEAR)
        if near and (opened.of in touched or _needs(history, opened.of, touched)):
            return None, f"an incident began within a day of it: {opened.reason}", None
    return False, "nothing that it touches fell within a day", None


def _needs(history: History, fallen: Subject, touched: set[Subject]) -> bool:
    """Does what fell need something that was touched?"""
    return any(history.catalogue.needs.steps(each, fallen) is not None for each in touched)
