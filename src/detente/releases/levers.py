"""What can people do about a release?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detente.facts.releases import (
    BackAsked,
    Changed,
    Held,
    Kind,
    Requested,
    Reviewed,
    RunAsked,
    Settled,
    WentOn,
    Withdrawn,
)
from detente.kernel.clock import Instant, Seconds, later, seconds_between
from detente.kernel.config.words import hint
from detente.kernel.fact import Fact, Subject, plain
from detente.kernel.forms import within_ten_years
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.kernel.slice import Lever, Pull, Refused
from detente.releases import decisions, queries
from detente.releases.decisions import Release
from detente.releases.engine import times
from detente.releases.engine.times import NoTime
from detente.releases.settings import Releases

Short = Annotated[str, Meta(max_length=160)]
Long = Annotated[str, Meta(max_length=4_000)]
Title = Annotated[str, Meta(max_length=160, description="what will be different, in a few words")]
Starts = Annotated[str, Meta(max_length=40, description="2026-12-01 21:00, 21:00, now, or in 2h")]
Lasts = Annotated[str, Meta(max_length=20, description="how long it may take, such as 30m")]
Version = Annotated[
    str, Meta(max_length=160, description="a commit, tag or build; nothing: the newest commit")
]
People = Annotated[str, Meta(max_length=400, description="who is there, with commas between")]
Touches = Annotated[
    str, Meta(max_length=800, description="what else it touches, with commas between")
]
Toggles = Annotated[
    str, Meta(max_length=800, description="toggles that come with it: switched off first")
]
Fixes = Annotated[str, Meta(max_length=40, description="the incident that it mends")]

_EARLY: Seconds = 900.0  # so much before its start it may be run


class Request(msgspec.Struct, frozen=True):
    """What will be released, when, by whom, and what if it goes wrong."""

    title: Title
    starts: Starts
    lasts: Lasts = "1h"
    kind: Literal["normal", "standard", "emergency"] = "normal"
    version: Version = ""
    people: People = ""
    billing_code: Short = ""
    touches: Touches = ""
    toggles: Toggles = ""
    plan: Long = ""
    back_out: Long = ""
    fixes: Fixes = ""


class Change(msgspec.Struct, frozen=True):
    """What is different from before; what is left empty stays."""

    title: Title = ""
    starts: Starts = ""
    lasts: Lasts = ""
    kind: Literal["", "normal", "standard", "emergency"] = ""
    version: Version = ""
    people: People = ""
    billing_code: Short = ""
    touches: Touches = ""
    toggles: Toggles = ""
    plan: Long = ""
    back_out: Long = ""
    fixes: Fixes = ""


class Run(msgspec.Struct, frozen=True):
    """Nothing, as a rule."""

    version: Version = ""
    through: Annotated[
        str, Meta(max_length=400, description="why it passes a freeze or an open incident")
    ] = ""


class Why(msgspec.Struct, frozen=True):
    """Why."""

    why: Short


class Settle(msgspec.Struct, frozen=True):
    """Which version is in production, and what was done."""

    version: Short
    note: Short


class Review(msgspec.Struct, frozen=True):
    """What was found, and what will be different."""

    note: Long


class Numbers:
    """Two requests at the same moment get two numbers: there is one node, and this is in it."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, node: Node) -> int:
        self._last = max(self._last + 1, queries.next_number(node.rows))
        return self._last


# -- asking ------------------------------------------------------------------------------------


def _request(node: Node, pull: Pull) -> list[Fact]:
    form: Request = pull.form
    if plain(pull.about) not in node.settings(Releases).services:
        raise Refused(
            f"Nobody said how {node.title(pull.about)} is shipped: declare it under releases.services"
            " in detente.yaml."
        )
    starts = _when(node, form.starts, pull.at)
    _in_time(node, form.kind, starts, pull.at)
    asked = _asked(node, "", pull.about, form, starts, later(starts, _lasting(form.lasts)))
    numbers = node.parts.setdefault(Numbers, Numbers())
    return [Requested(about=f"release:{numbers.next(node)}", **asked)]  # type: ignore[arg-type]


def _change(node: Node, pull: Pull) -> list[Fact]:
    release, form = queries.one_or_not_found(node.rows, pull.about), pull.form
    if release.state not in ("planned", "stopped"):
        raise Refused(f"It is {release.state}: what was asked for can no longer be changed.")
    said = {name: getattr(form, name) for name in form.__struct_fields__ if getattr(form, name)}
    if not said:
        raise Refused("Nothing is different: say what is to be changed.")
    whole = Request(**{**_as_form(release), **said})
    starts = _when(node, form.starts, pull.at) if form.starts else release.starts
    if form.starts or form.kind:
        _in_time(node, whole.kind, starts, pull.at)
    lasts = _lasting(form.lasts) if form.lasts else seconds_between(release.starts, release.ends)
    asked = _asked(node, release.about, release.service, whole, starts, later(starts, lasts))
    what = ", ".join(name.replace("_", " ") for name in said)
    return [Changed(about=release.about, what=what, **asked)]  # type: ignore[arg-type]


def _as_form(release: Release) -> dict[str, str]:
    others = [each for each in release.touches if each != release.service]
    return {
        "title": release.title,
        "starts": "now",
        "kind": release.kind,
        "version": release.version,
        "people": ", ".join(release.people),
        "billing_code": release.billing_code,
        "touches": ", ".join(others),
        "toggles": ", ".join(map(plain, release.toggles)),
        "plan": release.plan,
        "back_out": release.back_out,
        "fixes": release.fixes,
    }


def _asked(
    node: Node, about: Subject, service: Subject, form: Request, starts: Instant, ends: Instant
) -> dict[str, object]:
    """The request with everything that follows from it: risk, overlaps, freezes."""
    touches = _touched(node, service, form.touches)
    risk = queries.risk(node, touches)
    frozen = (
        each for each in queries.freezes(node, starts, ends) if each.holds_for(plain(service))
    )
    return {
        "title": _said(form.title, "what will be different"),
        "kind": form.kind,
        "service": service,
        "version": _version(form.version),
        "starts": starts,
        "ends": ends,
        "touches": touches,
        "people": tuple(_parts(form.people)),
        "billing_code": _billing_code(node, form.billing_code.strip()),
        "toggles": tuple(_toggle(node, each) for each in _parts(form.toggles)),
        "plan": form.plan.strip(),
        "back_out": form.back_out.strip(),
        "risk": risk.says,
        "central": risk.central,
        "falls": risk.falls,
        "overlaps": queries.meanwhile(node, starts, ends, but=about),
        "frozen": next((each.title for each in frozen), ""),
        "fixes": _incident(node, form.fixes.strip()),
    }


def _parts(said: str) -> list[str]:
    return [each.strip() for each in said.split(",") if each.strip()]


def _said(text: str, what: str) -> str:
    if not text.strip():
        raise Refused(f"Please say {what}; others read it too.")
    return text.strip()


def _when(node: Node, said: str, now: Instant) -> Instant:
    try:
        at = times.when(said, now, node.settings(Releases).timezone)
    except NoTime as wrong:
        raise Refused(f"starts: {wrong}.") from None
    return within_ten_years(at, now, "starts")


def _lasting(said: str) -> Seconds:
    try:
        length = times.lasting(said)
    except NoTime as wrong:
        raise Refused(f"lasts: {wrong}.") from None
    if not 0 < length <= 14 * 86_400:
        raise Refused("lasts: a release takes more than nothing and at most 14 days.")
    return length


def _in_time(node: Node, kind: Kind, starts: Instant, now: Instant) -> None:
    lead = node.settings(Releases).lead_time
    ahead = {"standard": float(lead.standard), "normal": float(lead.normal)}.get(kind, 0.0)
    if why := decisions.in_time(kind, starts, now, ahead):
        raise Refused(f"starts: {why}.")
    if seconds_between(starts, now) > 60:
        raise Refused("starts: that is over; a release is asked for before it begins.")


def _touched(node: Node, service: Subject, said: str) -> tuple[Subject, ...]:
    found = [service]
    for name in _parts(said):
        subject = name if ":" in name else node.catalogue.find(name)
        if subject is None or subject not in node.catalogue.entries:
            there = [plain(each) for each in node.catalogue.entries]
            raise Refused(f"touches: nothing is called {name}; {hint(name, there, 'declared are')}")
        found.append(subject)
    return tuple(dict.fromkeys(found))


def _toggle(node: Node, name: str) -> Subject:
    about = name if name.startswith("toggle:") else f"toggle:{name}"
    if not _is_known(node, about):
        raise Refused(
            f"toggles: no toggle is called {plain(about)}; /toggles lists those there are."
        )
    return about


def _incident(node: Node, said: str) -> Subject:
    if not said:
        return ""
    about = said if said.startswith("incident:") else f"incident:{said}"
    if not _is_known(node, about):
        raise Refused(
            f"fixes: there is no incident {plain(about)}; /incidents lists those there were."
        )
    return about


def _is_known(node: Node, about: Subject) -> bool:
    return any(True for _ in node.ledger.read(Query(subjects=(about,)), limit=1))


def _version(said: str) -> str:
    """Programs are given it, so it must look like no option of theirs."""
    if said.strip().startswith("-") or any(sign.isspace() for sign in said.strip()):
        raise Refused(f"version: “{said.strip()}” is no commit, tag or build.")
    return said.strip()


def _billing_code(node: Node, said: str) -> str:
    pattern = node.settings(Releases).billing_code
    if pattern is not None and not re.fullmatch(pattern, said):
        what = f"“{said}” is no billing code" if said else "please give a billing code"
        raise Refused(f"billing_code: {what}; they look like {pattern}.")
    return said


# -- running -----------------------------------------------------------------------------------


def _run(node: Node, pull: Pull) -> list[Fact]:
    release = queries.one_or_not_found(node.rows, pull.about)
    if release.state not in ("planned", "stopped"):
        raise Refused(f"It is {release.state}. Ask for a new one with `detente releases request`.")
    if queries.how_shipped(node, release) is None:
        raise Refused(
            f"Nobody says any more how {node.title(release.service)} is shipped: declare it under"
            " releases.services in detente.yaml."
        )
    other = queries.running_on(node.rows, release.service)
    if other is not None:
        raise Refused(f"Release {other.number} of {node.title(release.service)} is on its way.")
    _not_early(node, release, pull.at)
    through = pull.form.through.strip()
    would = msgspec.structs.replace(release, through=through)
    against = queries.obstacles(node, would, pull.at)
    if against and not decisions.excuse(would):
        raise Refused(
            f"{'; '.join(against)}. To release all the same, say why with “through”; it is then"
            " reviewed afterwards."
        )
    version = _version(pull.form.version)
    return [RunAsked(about=release.about, version=version, through=through)]


def _not_early(node: Node, release: Release, now: Instant) -> None:
    early = seconds_between(now, release.starts)
    if release.kind != "emergency" and early > _EARLY:
        at = queries.local(node, release.starts)
        raise Refused(
            f"It was announced for {at}. Change its start if it is to run now, so that everybody is"
            " told."
        )


def _hold(node: Node, pull: Pull) -> list[Fact]:
    return [Held(about=queries.one_or_not_found(node.rows, pull.about).about, why=pull.form.why)]


def _go_on(node: Node, pull: Pull) -> list[Fact]:
    return [WentOn(about=queries.one_or_not_found(node.rows, pull.about).about)]


def _back(node: Node, pull: Pull) -> list[Fact]:
    release = queries.one_or_not_found(node.rows, pull.about)
    if release.state == "done" and (other := _newer(node, release)) is not None:
        raise Refused(
            f"Release {other.number} has come after it; take that back, or release the old version"
            " anew."
        )
    return [BackAsked(about=release.about, why=_said(pull.form.why, "why it goes back"))]


def _newer(node: Node, release: Release) -> Release | None:
    others = queries.lately(node.rows, service=release.service)
    running = queries.running_on(node.rows, release.service)
    ended = release.ended_at or 0
    later_ones = [each for each in others if (each.shipped_at or 0) > ended]
    return next(iter([*([running] if running else []), *later_ones]), None)


def _withdraw(node: Node, pull: Pull) -> list[Fact]:
    release = queries.one_or_not_found(node.rows, pull.about)
    return [Withdrawn(about=release.about, why=pull.form.why.strip())]


def _settle(node: Node, pull: Pull) -> list[Fact]:
    release = queries.one_or_not_found(node.rows, pull.about)
    version = _said(pull.form.version, "which version is in production")
    note = _said(pull.form.note, "what was done")
    return [Settled(about=release.about, version=version, note=note)]


def _review(node: Node, pull: Pull) -> list[Fact]:
    release = queries.one_or_not_found(node.rows, pull.about)
    return [Reviewed(about=release.about, note=_said(pull.form.note, "what was found"))]


# -- when they are offered ---------------------------------------------------------------------


def _is_shipped_here(node: Node, about: Subject) -> bool:
    return plain(about) in node.settings(Releases).services


def _one(node: Node, about: Subject, states: Iterable[str]) -> Release | None:
    release = queries.one(node.rows, about)
    return release if release is not None and release.state in states else None


def _may_run(node: Node, about: Subject) -> bool:
    return _one(node, about, ("planned", "stopped")) is not None


def _may_hold(node: Node, about: Subject) -> bool:
    release = _one(node, about, ("running",))
    return release is not None and release.held is None and release.back is None


def _is_held(node: Node, about: Subject) -> bool:
    release = _one(node, about, ("running",))
    return release is not None and release.held is not None


def _may_go_back(node: Node, about: Subject) -> bool:
    release = _one(node, about, ("running", "done", "stuck"))
    if release is None:
        return False
    if release.state == "done":
        return _newer(node, release) is None
    return release.back is None or release.state == "stuck"


def _is_stuck(node: Node, about: Subject) -> bool:
    return _one(node, about, ("stuck",)) is not None


def _wants_review(node: Node, about: Subject) -> bool:
    release = queries.one(node.rows, about)
    return release is not None and release.wants_review and release.state != "running"


LEVERS = (
    Lever(
        name="releases.request",
        label="Ask for a release",
        explains="Puts it into the calendar and tells everybody who must know, once.",
        kinds=("service",),
        decide=_request,
        offered=_is_shipped_here,
        form=Request,
        tone="good",
    ),
    Lever(
        name="releases.run",
        label="Let it go",
        explains="Runs gate, ship, verify and watch. It goes back by itself if it must.",
        kinds=("release",),
        decide=_run,
        offered=_may_run,
        form=Run,
        tone="good",
    ),
    Lever(
        name="releases.change",
        label="Change it",
        explains="Changes the request; everybody who was told is told again, once.",
        kinds=("release",),
        decide=_change,
        offered=_may_run,
        form=Change,
    ),
    Lever(
        name="releases.hold",
        label="Hold",
        explains="It waits before its next step until somebody lets it go on.",
        kinds=("release",),
        decide=_hold,
        offered=_may_hold,
        form=Why,
    ),
    Lever(
        name="releases.go_on",
        label="Go on",
        explains="It need not wait any longer before its next step.",
        kinds=("release",),
        decide=_go_on,
        offered=_is_held,
        tone="good",
    ),
    Lever(
        name="releases.back",
        label="Go back",
        explains="Brings back the version that was there before; a ship on its way ends first.",
        kinds=("release",),
        decide=_back,
        offered=_may_go_back,
        form=Why,
        tone="bad",
    ),
    Lever(
        name="releases.settle",
        label="It is settled",
        explains="You looked yourself, and say which version is in production now.",
        kinds=("release",),
        decide=_settle,
        offered=_is_stuck,
        form=Settle,
    ),
    Lever(
        name="releases.review",
        label="Reviewed",
        explains="Writes down what was found when people looked at it afterwards.",
        kinds=("release",),
        decide=_review,
        offered=_wants_review,
        form=Review,
    ),
    Lever(
        name="releases.withdraw",
        label="Withdraw",
        explains="It will not take place; everybody who was told of it is told.",
        kinds=("release",),
        decide=_withdraw,
        offered=_may_run,
        form=Why,
    ),
)
