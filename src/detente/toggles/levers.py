"""What can people do about a toggle?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from detente.facts.toggles import Reset, Scheduled, ScheduleDropped, SwitchedOff
from detente.kernel.clock import instant
from detente.kernel.fact import Fact, Subject
from detente.kernel.forms import within_ten_years
from detente.kernel.node import Node
from detente.kernel.slice import Lever, Pull, Refused
from detente.toggles import queries
from detente.toggles.decisions.definition import CannotBe, Declared, Wanted, read
from detente.toggles.decisions.standing import Standing, counts, in_words, is_so, put

Reason = Annotated[str, Meta(max_length=500, description="why; the other side reads it too")]
Release = Annotated[str, Meta(description="the release that it belongs to, if it does")]


class Why(msgspec.Struct, frozen=True):
    """The reason, for whoever reads it later."""

    why: Reason


class Switch(msgspec.Struct, frozen=True):
    """Why it is switched, and for which release."""

    why: Reason
    release: Release = ""


class Share(msgspec.Struct, frozen=True):
    """Which share of people gets it, and why."""

    percent: Annotated[
        Annotated[float, Meta(gt=0, le=100)],
        Meta(description="the same people each time; more keeps those who have it"),
    ]
    why: Reason
    release: Release = ""


class Turn(msgspec.Struct, frozen=True):
    """What the knob is set to, and why."""

    value: Annotated[str, Meta(description="a variant's name, or a value in its bounds")]
    why: Reason
    release: Release = ""


class Plan(msgspec.Struct, frozen=True):
    """When it is switched, and to what."""

    at: Annotated[str, Meta(description="a moment such as 2026-12-01T21:00:00+01:00")]
    to: Annotated[str, Meta(description="on, off, a share such as 25%, or a knob's value")]
    why: Reason
    release: Release = ""


def _on(node: Node, pull: Pull) -> list[Fact]:
    return _put(node, pull, "on")


def _percentage(node: Node, pull: Pull) -> list[Fact]:
    return _put(node, pull, f"{pull.form.percent:g}%")


def _off(node: Node, pull: Pull) -> list[Fact]:
    toggle, standing = _stands(node, pull.about)
    if standing.state in ("killed", "back"):
        raise Refused(
            f"It is {in_words(toggle, standing)}, and so it stays. To let it follow its rules"
            " again, put it back to what is declared."
        )
    return _put(node, pull, "off")


def _set(node: Node, pull: Pull) -> list[Fact]:
    return _put(node, pull, pull.form.value)


def _put(node: Node, pull: Pull, text: str) -> list[Fact]:
    why = _said(pull.form.why)
    toggle, standing = _stands(node, pull.about)
    wanted = _read(toggle, text)
    if is_so(toggle, standing, wanted):
        raise Refused(f"It is {in_words(toggle, standing)} already; nothing was changed.")
    release = _release(getattr(pull.form, "release", ""))
    return [put(toggle, wanted, why=why, release=release)]


def _kill(node: Node, pull: Pull) -> list[Fact]:
    why = _said(pull.form.why)
    toggle, standing = _stands(node, pull.about)
    if standing.state == "killed":
        raise Refused(f"It is {in_words(toggle, standing)} already; nothing was changed.")
    return [SwitchedOff(about=toggle.about, why=why, kill=True, belongs_to=toggle.of)]


def _reset(node: Node, pull: Pull) -> list[Fact]:
    why = _said(pull.form.why)
    toggle, standing = _stands(node, pull.about)
    if standing.state == "declared":
        raise Refused("It stands as it is declared; nothing was changed.")
    return [Reset(about=toggle.about, why=why, belongs_to=toggle.of)]


def _schedule(node: Node, pull: Pull) -> list[Fact]:
    form: Plan = pull.form
    why = _said(form.why)
    toggle, _ = _stands(node, pull.about)
    _read(toggle, form.to)
    at = within_ten_years(_moment(form.at), node.now(), "at")
    if at <= node.now():
        raise Refused(f"at: {form.at} is over. Switch it now, or name a moment to come.")
    to, release = form.to.strip(), _release(form.release)
    return [Scheduled(about=toggle.about, at=at, to=to, why=why, release=release)]


def _unschedule(node: Node, pull: Pull) -> list[Fact]:
    why = _said(pull.form.why)
    toggle, _ = _stands(node, pull.about)
    if not queries.steps(node.rows, toggle.about):
        raise Refused("Nothing is scheduled for it; nothing was changed.")
    return [ScheduleDropped(about=toggle.about, why=why)]


def _stands(node: Node, about: Subject) -> tuple[Declared, Standing]:
    toggle = queries.toggle_or_not_found(node, about)
    return toggle, counts(toggle, queries.standing(node.rows, about))


def _read(toggle: Declared, text: str) -> Wanted:
    try:
        return read(toggle, text)
    except CannotBe as wrong:
        raise Refused(f"{wrong}.") from None


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Refused(f"at: write a moment like 2026-12-01T21:00:00+01:00, not “{text}”.") from None
    if moment.tzinfo is None:
        raise Refused(f"at: in which time zone? Write {text.strip()}+01:00, or Z for UTC.")
    return instant(moment)


def _release(text: str) -> Subject:
    """People write the number; facts name subjects."""
    text = text.strip()
    return text if not text or ":" in text else f"release:{text}"


def _said(text: str) -> str:
    if not text.strip():
        raise Refused("Please say why; the other side reads it too.")
    return text.strip()


def _switch(
    when: Callable[[Declared, Standing], bool] = lambda _toggle, _standing: True, kind: str = ""
) -> Callable[[Node, Subject], bool]:
    def offered(node: Node, about: Subject) -> bool:
        toggle = queries.toggle(node, about)
        if toggle is None or (kind and toggle.kind != kind):
            return False
        return when(toggle, counts(toggle, queries.standing(node.rows, about)))

    return offered


def _planned(node: Node, about: Subject) -> bool:
    return bool(queries.steps(node.rows, about))


LEVERS = (
    Lever(
        name="toggles.on",
        label="Switch on",
        explains="Gives it to everybody whom no rule names; its guard, if it has one, begins to look.",
        kinds=("toggle",),
        decide=_on,
        offered=_switch(lambda _t, s: not (s.state == "on" and s.percent >= 100), "switch"),
        form=Switch,
        tone="good",
    ),
    Lever(
        name="toggles.percentage",
        label="Give it to a share",
        explains="Gives it to a share of those whom no rule names, always the same people.",
        kinds=("toggle",),
        decide=_percentage,
        offered=_switch(kind="switch"),
        form=Share,
    ),
    Lever(
        name="toggles.set",
        label="Set it",
        explains="Turns the knob: everybody whom no rule names gets this value.",
        kinds=("toggle",),
        decide=_set,
        offered=_switch(kind="knob"),
        form=Turn,
    ),
    Lever(
        name="toggles.off",
        label="Switch off",
        explains="Takes it from everybody whom no rule names.",
        kinds=("toggle",),
        decide=_off,
        offered=_switch(lambda _t, s: s.state not in ("off", "killed", "back"), "switch"),
        form=Switch,
    ),
    Lever(
        name="toggles.kill",
        label="Kill",
        explains="Off for everybody at once, whatever the rules say, and nothing scheduled is done.",
        kinds=("toggle",),
        decide=_kill,
        offered=_switch(lambda _t, s: s.state != "killed"),
        form=Why,
        tone="bad",
    ),
    Lever(
        name="toggles.reset",
        label="Back to the declaration",
        explains="Forgets what was switched: what is declared counts again.",
        kinds=("toggle",),
        decide=_reset,
        offered=_switch(lambda _t, s: s.state != "declared"),
        form=Why,
    ),
    Lever(
        name="toggles.schedule",
        label="Schedule",
        explains="Switches it at a time, by itself, once.",
        kinds=("toggle",),
        decide=_schedule,
        offered=_switch(),
        form=Plan,
    ),
    Lever(
        name="toggles.unschedule",
        label="Drop the schedule",
        explains="Nothing that is scheduled for it is done.",
        kinds=("toggle",),
        decide=_unschedule,
        offered=_planned,
        form=Why,
    ),
)
