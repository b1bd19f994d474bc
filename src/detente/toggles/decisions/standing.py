"""Who gets what now: the declaration, and what people switched since.

What somebody switched stands over what is declared, until it is put back (`toggles.reset`). *On* and
*off* are for those whom no rule names; *killed* and *flipped back* are off for everybody at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from detente.facts.toggles import Set, SwitchedOff, SwitchedOn
from detente.kernel.clock import Instant
from detente.kernel.fact import Fact, Subject, Tone
from detente.toggles.decisions.definition import Declared, Wanted, dealt, flag, targeting

State = Literal["declared", "on", "off", "killed", "back", "set"]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the last switch said, and who did it when. `declared`: nobody did."""

    state: State = "declared"
    percent: float = 100.0
    value: str = ""  # of a knob, as JSON
    variant: str = ""
    since: Instant | None = None
    by: str = ""
    why: str = ""
    release: Subject = ""
    position: int = 0  # of the fact that said so


AS_DECLARED = Standing()


def counts(toggle: Declared, standing: Standing) -> Standing:
    """The standing, unless the declaration has changed so that it says nothing any more."""
    off_for_all = standing.state in ("killed", "back")
    fits = (
        standing.state in ("declared", "on", "off")
        if toggle.kind == "switch"
        else standing.state in ("declared", "set") and _still_there(toggle, standing)
    )
    return standing if fits or off_for_all else AS_DECLARED


def _still_there(toggle: Declared, standing: Standing) -> bool:
    if standing.state != "set":
        return True
    if toggle.named:
        return standing.variant in toggle.definition["variants"]
    value, low, high = json.loads(standing.value), toggle.at_least, toggle.at_most
    if isinstance(value, str):
        return low is None and high is None
    return (low is None or value >= low) and (high is None or value <= high)


def laid_over(toggle: Declared, standing: Standing) -> dict[str, Any]:
    """The flag definition as it is evaluated now."""
    standing = counts(toggle, standing)
    if standing.state == "declared":
        return dict(toggle.definition)
    made = _switch(toggle, standing) if toggle.kind == "switch" else _knob(toggle, standing)
    return {**made, "metadata": toggle.definition.get("metadata", {})}


def _switch(toggle: Declared, standing: Standing) -> dict[str, Any]:
    variants = toggle.definition["variants"]
    if standing.state in ("killed", "back"):
        return flag(variants, toggle.off)
    if standing.state == "off":
        return flag(variants, toggle.off, targeting(toggle.rules))
    if standing.percent >= 100:
        return flag(variants, toggle.on, targeting(toggle.rules))
    share = dealt(standing.percent, toggle.on, toggle.off)
    return flag(variants, toggle.off, targeting(toggle.rules, share))


def _knob(toggle: Declared, standing: Standing) -> dict[str, Any]:
    variants: Mapping[str, Any] = toggle.definition["variants"]
    if standing.state in ("killed", "back"):
        return flag(variants, toggle.default)
    if toggle.named:
        return flag(variants, standing.variant, targeting(toggle.rules))
    return flag({**variants, "set": json.loads(standing.value)}, "set")


def put(
    toggle: Declared, wanted: Wanted, *, why: str = "", release: Subject = "", step: int = 0
) -> Fact:
    """The fact that puts it there."""
    told: dict[str, Any] = {
        "about": toggle.about, "why": why, "release": release, "step": step,
        "belongs_to": toggle.of,
    }  # fmt: skip
    if wanted.percent is None:
        value = json.dumps(wanted.value, ensure_ascii=False)
        return Set(value=value, variant=wanted.variant, **told)
    if wanted.percent == 0:
        return SwitchedOff(**told)
    to = "everybody" if wanted.percent >= 100 else share(wanted.percent)
    return SwitchedOn(to=to, percent=wanted.percent, **told)


def is_so(toggle: Declared, standing: Standing, wanted: Wanted) -> bool:
    """Does it stand like that already?"""
    if wanted.percent is None:
        same = standing.variant == wanted.variant and standing.value == json.dumps(
            wanted.value, ensure_ascii=False
        )
        return standing.state == "set" and same
    if wanted.percent == 0:
        return standing.state in ("off", "killed", "back")
    return standing.state == "on" and standing.percent == wanted.percent


# In words


def share(percent: float) -> str:
    """'10 %'."""
    return f"{percent:g}\N{NO-BREAK SPACE}%"


def in_words(toggle: Declared, standing: Standing) -> str:
    """'on for 10 %', 'off', 'set to fast', 'killed: off for everybody'."""
    standing = counts(toggle, standing)
    match standing.state:
        case "killed":
            return f"killed: {_safe(toggle)} for everybody"
        case "back":
            return f"flipped back: {_safe(toggle)} for everybody"
        case "set":
            return f"set to {standing.variant or standing.value}"
        case "on":
            return _on(toggle, standing.percent)
        case "off":
            return "off" + _but_rules(toggle)
        case _:
            return _declared(toggle)


def _safe(toggle: Declared) -> str:
    return "off" if toggle.kind == "switch" else (toggle.default or "the program's own value")


def _on(toggle: Declared, percent: float) -> str:
    whom = "everybody" if percent >= 100 else share(percent)
    return f"on for {whom}" + _but_rules(toggle)


def _but_rules(toggle: Declared) -> str:
    count = len(toggle.rules)
    return "" if not count else f", and {count} rule{'s' if count > 1 else ''}"


def _declared(toggle: Declared) -> str:
    if toggle.definition.get("state") == "DISABLED":
        return "disabled: the program's own value"
    if toggle.kind == "knob":
        value = toggle.definition["variants"].get(toggle.default)
        named = toggle.default if toggle.named else json.dumps(value, ensure_ascii=False)
        return (named or "the program's own value") + _but_rules(toggle)
    if toggle.percent is not None:
        return _on(toggle, toggle.percent)
    if toggle.ruled and not toggle.rules:
        return "as its rules say"
    return ("on for everybody" if toggle.default == toggle.on else "off") + _but_rules(toggle)


def tone(toggle: Declared, standing: Standing) -> Tone:
    standing = counts(toggle, standing)
    if standing.state in ("killed", "back"):
        return "warn"
    if toggle.kind == "knob":
        return "plain"
    on = standing.state == "on" or (
        standing.state == "declared" and (toggle.default == toggle.on or toggle.percent is not None)
    )
    return "good" if on else "plain"
