"""What does what people wrote say, in the words of flagd?

The friendly form (rules, a share, values) compiles down to a flagd flag definition, which is what
programs evaluate. Schedules and guards are not in that format and stay with us.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from detente.kernel.catalogue import Catalogue, unknown, unknown_in
from detente.kernel.config import Mistake
from detente.kernel.config.schema import NAME
from detente.kernel.fact import Subject, plain
from detente.toggles.engine.ruleset import BadDefinition, Ruleset
from detente.toggles.settings import Guard, Rule, Scalar, Toggle, Toggles, Trait, Value, Who

Where = tuple[str | int, ...]
Generation = Literal["v3", "v2"]

LONGEST_GUARD = 86_400.0
"""What was counted longer ago is forgotten, and a guard that waits for days guards nothing."""


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """One toggle as it stands in the declaration."""

    name: str
    title: str
    kind: Literal["switch", "knob"]
    definition: Mapping[str, Any]  # as flagd has it
    owner: str = ""
    of: Subject = ""
    remove_by: str = ""  # a date
    on: str = "on"  # the variants of a switch
    off: str = "off"
    rules: tuple[tuple[Any, str], ...] = ()  # condition and variant; the first that fits counts
    percent: float | None = None
    named: bool = True  # a knob's values have names; otherwise any value in its bounds will do
    at_least: float | None = None
    at_most: float | None = None
    guard: Guard | None = None
    steps: tuple[tuple[int, str], ...] = ()  # when (nanoseconds), and to what

    @property
    def about(self) -> Subject:
        return f"toggle:{self.name}"

    @property
    def default(self) -> str:
        """The variant of those whom nothing names; empty where the program's own value counts."""
        return str(self.definition.get("defaultVariant") or "")

    @property
    def ruled(self) -> bool:
        """Does anything but the default decide?"""
        return bool(self.definition.get("targeting"))


def declared(toggles: Toggles, catalogue: Catalogue) -> dict[str, Declared]:
    """Every toggle that was declared, here or in the file. What is wrong is left out."""
    filed = _filed(toggles)[0]
    names = [*toggles.toggles, *(name for name in filed if name not in toggles.toggles)]
    return {
        name: _one(name, toggles.toggles.get(name, Toggle()), toggles, catalogue, filed.get(name))
        for name in names
    }


def _one(
    name: str,
    toggle: Toggle,
    toggles: Toggles,
    catalogue: Catalogue,
    filed: Mapping[str, Any] | None,
) -> Declared:
    raw = toggle.definition or filed
    made = _from_flagd(name, raw) if raw is not None else _from_words(name, toggle, toggles)
    of = catalogue.find(toggle.for_ or plain(made.of) or made.of) or ""
    owned = msgspec.structs.replace(
        made,
        title=toggle.title or made.title,
        owner=toggle.owner or made.owner,
        of=of,
        remove_by=str(toggle.remove_by or made.remove_by),
        guard=toggle.guard,
    )
    steps = tuple((round(each.at.timestamp()) * 10**9, _word(each.to)) for each in toggle.schedule)
    known = {"title": owned.title, "owner": owned.owner, "for": of, "remove_by": owned.remove_by}
    metadata = {**made.definition.get("metadata", {}), **{k: v for k, v in known.items() if v}}
    definition = {**made.definition, "metadata": metadata}
    return msgspec.structs.replace(owned, steps=steps, definition=definition)


def _from_flagd(name: str, raw: Mapping[str, Any]) -> Declared:
    """A definition as it came; what its metadata says of owner and purpose is believed."""
    said = raw.get("metadata", {})
    on, off = _sides(raw.get("variants", {}))
    return Declared(
        name=name,
        title=str(said.get("title", "")) or name,
        kind="switch" if on and off else "knob",
        definition=dict(raw),
        owner=str(said.get("owner", "")),
        of=str(said.get("for", "")),
        remove_by=_date(said.get("remove_by")),
        on=on,
        off=off,
    )


def _date(said: Any) -> str:
    """Metadata may say anything; only a date is one."""
    try:
        return str(date.fromisoformat(str(said)))
    except ValueError:
        return ""


def _sides(variants: Mapping[str, Any]) -> tuple[str, str]:
    """Which variant is on, and which off? Neither, where values are more than true and false."""
    on = next((name for name, value in variants.items() if value is True), "")
    off = next((name for name, value in variants.items() if value is False), "")
    return (on, off) if len(variants) == 2 else ("", "")


def _from_words(name: str, toggle: Toggle, toggles: Toggles) -> Declared:
    bounded = not toggle.variants and _is_value(toggle.default)
    rules = tuple((_condition(each, toggles), each.gets) for each in toggle.rules)
    title = toggle.title or name
    if bounded:
        return Declared(
            name=name, title=title, kind="knob", named=False,
            definition=flag({"declared": toggle.default}, "declared"),
            at_least=toggle.at_least, at_most=toggle.at_most,
        )  # fmt: skip
    if toggle.variants:
        default = str(toggle.default or next(iter(toggle.variants)))
        made = flag(toggle.variants, default, targeting(rules))
        return Declared(name=name, title=title, kind="knob", definition=made, rules=rules)
    percent = None if toggle.percent is None else 100 * toggle.percent
    default = "on" if toggle.default == "on" else "off"
    switch = {"on": True, "off": False}
    made = flag(switch, default, targeting(rules, dealt(percent, "on", "off")))
    return Declared(
        name=name, title=title, kind="switch", definition=made, rules=rules, percent=percent
    )


def _is_value(default: Scalar | None) -> bool:
    """A knob without named values has one of its own; `on` and `off` are the words of a switch."""
    return default is not None and default not in ("on", "off")


def _word(to: Scalar) -> str:
    """on, off, 25%; true and false are words too."""
    return str(to).lower() if isinstance(to, bool) else str(to)


# Made of words


def flag(
    variants: Mapping[str, Value | None], default: str | None, rule: Any = None
) -> dict[str, Any]:
    """A flag definition."""
    made: dict[str, Any] = {"state": "ENABLED", "variants": dict(variants)}
    if default:
        made["defaultVariant"] = default
    return {**made, "targeting": rule} if rule is not None else made


def targeting(rules: Sequence[tuple[Any, str]], rest: Any = None) -> Any:
    """Rules in order, then what the rest gets: None leaves it to the default."""
    if not rules:
        return rest
    chain = [part for condition, variant in rules for part in (condition, variant)]
    return {"if": [*chain, *([rest] if rest is not None else [])]}


def dealt(percent: float | None, on: str, off: str) -> Any:
    """A share of people, the same people each time; who is in at 10 % stays in at 20 %."""
    if percent is None or percent >= 100:
        return None if percent is None else on
    scale = 1 if float(percent).is_integer() else 1_000
    weight = int(Decimal(str(percent)) * scale)
    return {"fractional": [[on, weight], [off, 100 * scale - weight]]}


def _condition(rule: Rule, toggles: Toggles) -> Any:
    who: Who = toggles.segments.get(rule.who, {}) if isinstance(rule.who, str) else rule.who
    parts = [_asks(name, trait) for name, trait in who.items()]
    return parts[0] if len(parts) == 1 else {"and": parts}


def _asks(name: str, trait: Trait | Scalar) -> Any:
    said = {"var": name}
    if not isinstance(trait, Trait):
        return {"===": [said, trait]}
    if trait.is_ is not None:
        return {"===": [said, trait.is_]}
    if trait.in_:
        return {"in": [said, list(trait.in_)]}
    if trait.starts_with is not None:
        return {"starts_with": [said, trait.starts_with]}
    if trait.ends_with is not None:
        return {"ends_with": [said, trait.ends_with]}
    if trait.version is not None:
        sign, number = _version(trait.version)
        return {"sem_ver": [said, sign, number]}
    return _bounds(said, trait)


def _bounds(said: Any, trait: Trait) -> Any:
    """Nothing said is no number: JsonLogic would take it for 0."""
    parts: list[Any] = [{"!==": [said, None]}]
    parts += [{">=": [said, trait.at_least]}] if trait.at_least is not None else []
    parts += [{"<=": [said, trait.at_most]}] if trait.at_most is not None else []
    return {"and": parts}


_VERSION = re.compile(r"\s*(>=|<=|!=|=|<|>|\^|~)?\s*(v?\d+(?:\.\d+){0,2}(?:[-+][\w.+-]+)?)\s*")


def _version(text: str) -> tuple[str, str]:
    found = _VERSION.fullmatch(text)
    return (found[1] or "=", found[2]) if found else ("=", text)


def as_json(definition: Mapping[str, Any]) -> str:
    """A definition as it is kept: the same text for the same meaning."""
    return json.dumps(definition, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


# What is wrong with it


def mistakes(toggles: Toggles, catalogue: Catalogue) -> Iterator[Mistake]:
    """Owners nobody knows, variants there are none of, rules that can never be."""
    filed, broken = _filed(toggles)
    yield from broken
    for segment, who in toggles.segments.items():
        yield from _in_who(("toggles", "segments", segment), who)
    yield from _names(toggles, filed)
    for name, toggle in toggles.toggles.items():
        here: Where = ("toggles", "toggles", name)
        yield from _belongs(toggle, here, catalogue)
        yield from _in_definition(name, toggle, here, filed)
        if toggle.definition is None and name not in filed:
            yield from _in_values(toggle, here)
            yield from _in_rules(toggle, here, toggles)
        if toggle.guard is not None:
            yield from _in_guard(toggle.guard, (*here, "guard"), catalogue)
    yield from _in_schedules(toggles, catalogue, filed)


_TAKEN = ("definitions", "stream", "counts")  # addresses of programs, below /toggles


def _names(toggles: Toggles, filed: Mapping[str, Any]) -> Iterator[Mistake]:
    """A toggle's name is a part of its address."""
    for name in filed:
        if not re.fullmatch(NAME, name):
            says = f"the flag “{name}” cannot have an address; use letters, digits, dots and dashes"
            yield Mistake(("toggles", "file"), says)
    for name in (*toggles.toggles, *filed):
        if name in _TAKEN:
            where: Where = ("toggles", "file") if name in filed else ("toggles", "toggles", name)
            yield Mistake(where, f"/toggles/{name} is an address for programs; choose another name")


def _belongs(toggle: Toggle, here: Where, catalogue: Catalogue) -> Iterator[Mistake]:
    if toggle.owner is not None and toggle.owner not in catalogue.teams:
        yield unknown((*here, "owner"), "team", toggle.owner, catalogue.teams)
    if toggle.for_ is not None and catalogue.find(toggle.for_) is None:
        there = {name.partition(":")[2]: entry for name, entry in catalogue.entries.items()}
        yield unknown((*here, "for"), "service, vendor or journey", toggle.for_, there)


def _in_definition(
    name: str, toggle: Toggle, here: Where, filed: Mapping[str, Any]
) -> Iterator[Mistake]:
    said = toggle.defines()
    if name in filed and said:
        says = (
            f"{name} is defined in toggles.file already; leave out {said[0]} here or the flag there"
        )
        yield Mistake((*here, said[0]), says)
    elif toggle.definition is not None and len(said) > 1:
        says = f"a definition says it all; leave out {said[0]}, or write it without definition"
        yield Mistake((*here, said[0]), says)
    elif toggle.definition is not None:
        yield from _refused(name, toggle.definition, (*here, "definition"))


def _refused(name: str, raw: Any, here: Where) -> Iterator[Mistake]:
    try:
        Ruleset.parse({"flags": {name: raw}})
    except BadDefinition as bad:
        yield Mistake(here, str(bad))


def _in_values(toggle: Toggle, here: Where) -> Iterator[Mistake]:
    bounded = not toggle.variants and _is_value(toggle.default)
    number = isinstance(toggle.default, (int, float)) and not isinstance(toggle.default, bool)
    for side in ("at_least", "at_most"):
        if getattr(toggle, side) is not None and not (bounded and number):
            says = "only a knob whose default is a number has bounds; add `default:`, or leave this out"
            yield Mistake((*here, side), says)
    if bounded and number and not _within(toggle.default, toggle):  # type: ignore[arg-type]
        yield Mistake((*here, "default"), f"{toggle.default} is outside its own bounds")
    if toggle.variants:
        yield from _in_variants(toggle, here)
    if toggle.percent is not None and (toggle.variants or bounded):
        says = "a share is for what is on or off; name who gets which variant with rules"
        yield Mistake((*here, "percent"), says)
    elif toggle.percent is not None and toggle.default == "on":
        says = "on for everybody by default, so a share of them says nothing; leave one of both out"
        yield Mistake((*here, "percent"), says)


def _within(value: float, toggle: Toggle | Declared) -> bool:
    low, high = toggle.at_least, toggle.at_most
    return (low is None or value >= low) and (high is None or value <= high)


def _in_variants(toggle: Toggle, here: Where) -> Iterator[Mistake]:
    kinds = {_kind(value) for value in toggle.variants.values()}
    if len(kinds) > 1:
        says = f"the values are of one kind, not {' and '.join(sorted(kinds))}"
        yield Mistake((*here, "variants"), says)
    if toggle.default is not None and str(toggle.default) not in toggle.variants:
        yield unknown((*here, "default"), "variant", str(toggle.default), toggle.variants)


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "numbers"
        case str():
            return "texts"
        case list():
            return "lists"
        case _:
            return "keys with values"


def _in_rules(toggle: Toggle, here: Where, toggles: Toggles) -> Iterator[Mistake]:
    bounded = not toggle.variants and _is_value(toggle.default)
    variants: Mapping[str, Any] = toggle.variants or {"on": True, "off": False}
    for index, rule in enumerate(toggle.rules):
        where: Where = (*here, "rules", index)
        if bounded:
            yield Mistake(where, "rules give variants; give the knob's values names in `variants:`")
        elif rule.gets not in variants:
            yield unknown((*where, "gets"), "variant", rule.gets, variants)
        if isinstance(rule.who, str) and rule.who not in toggles.segments:
            yield unknown((*where, "who"), "segment", rule.who, toggles.segments)
        elif not isinstance(rule.who, str):
            yield from _in_who((*where, "who"), rule.who)


def _in_who(where: Where, who: Who) -> Iterator[Mistake]:
    if not who:
        yield Mistake(where, "names nobody; say what must be so, for example country: DE")
    for name, trait in who.items():
        if name.startswith("$flagd"):
            yield Mistake((*where, name), "names that begin with $flagd belong to the evaluator")
        if isinstance(trait, Trait):
            yield from _in_trait((*where, name), trait)


def _in_trait(where: Where, trait: Trait) -> Iterator[Mistake]:
    asked = [
        word
        for word, said in {
            "is": trait.is_ is not None,
            "in": bool(trait.in_),
            "starts_with": trait.starts_with is not None,
            "ends_with": trait.ends_with is not None,
            "at_least and at_most": trait.at_least is not None or trait.at_most is not None,
            "version": trait.version is not None,
        }.items()
        if said
    ]
    if len(asked) != 1:
        says = "say one of is, in, starts_with, ends_with, at_least with at_most, or version"
        yield Mistake(where, says)
    if trait.version is not None and not _VERSION.fullmatch(trait.version):
        says = f"{trait.version} is no version; write it like >=2.1.0, ^3.0 or ~1.4"
        yield Mistake((*where, "version"), says)


def _in_guard(guard: Guard, here: Where, catalogue: Catalogue) -> Iterator[Mistake]:
    yield from unknown_in((*here, "checks"), "check", guard.checks, catalogue.measures)
    for part, what in (("promises", "promise"), ("routes", "route")):
        named, there = getattr(guard, part), catalogue.names.get(what, {})
        yield from unknown_in((*here, part), what, named, there)
    if guard.for_ <= 0:
        yield Mistake((*here, "for"), "a guard that looks no time at all sees nothing; write 10m")
    elif guard.for_ > LONGEST_GUARD:
        says = "a guard looks for a day at most; what shows later, people find: write 24h or less"
        yield Mistake((*here, "for"), says)


def _in_schedules(
    toggles: Toggles, catalogue: Catalogue, filed: Mapping[str, Any]
) -> Iterator[Mistake]:
    for name, toggle in toggles.toggles.items():
        for index, step in enumerate(toggle.schedule):
            where: Where = ("toggles", "toggles", name, "schedule", index)
            if step.at.tzinfo is None or step.at.year not in _YEARS:
                yield Mistake((*where, "at"), _no_time(step.at))
                continue
            try:
                known = _one(name, _without_steps(toggle), toggles, catalogue, filed.get(name))
                read(known, _word(step.to))
            except CannotBe as wrong:
                yield Mistake((*where, "to"), str(wrong))


_YEARS = range(2000, 2100)  # what lies beyond is a slip of the pen; nothing here asks a clock


def _no_time(at: datetime) -> str:
    if at.year in _YEARS:
        return f"in which time zone? write {at.isoformat()}+01:00, or Z for UTC"
    return f"nobody switches anything in the year {at.year}; write one before {_YEARS.stop}"


def _without_steps(toggle: Toggle) -> Toggle:
    return msgspec.structs.replace(toggle, schedule=())


# What somebody wants it put to


class CannotBe(Exception):
    """It cannot be put to that; the message says to what it can."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a toggle is put to: a share of people, or a value."""

    percent: float | None = None  # of a switch; 0 is off
    value: Any = None
    variant: str = ""


_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,3})?) ?%")


def read(toggle: Declared, text: str) -> Wanted:
    """on, off, 25%, a variant's name or a value. Raises CannotBe."""
    text = text.strip()
    if toggle.kind == "switch":
        return _read_switch(text)
    if toggle.named:
        return _read_variant(toggle, text)
    return _read_value(toggle, text)


def _read_switch(text: str) -> Wanted:
    if text in ("on", "true"):
        return Wanted(percent=100.0)
    if text in ("off", "false"):
        return Wanted(percent=0.0)
    share = _SHARE.fullmatch(text)
    if share is None or not 0 < float(share[1]) <= 100:
        raise CannotBe(f"expected on, off or a share from 0.001% to 100%, found {text}")
    return Wanted(percent=float(share[1]))


def _read_variant(toggle: Declared, text: str) -> Wanted:
    variants = toggle.definition.get("variants", {})
    if text not in variants:
        raise CannotBe(f"{toggle.name} has no variant {text}; there are {', '.join(variants)}")
    return Wanted(value=variants[text], variant=text)


def _read_value(toggle: Declared, text: str) -> Wanted:
    now = toggle.definition["variants"]["declared"]
    if isinstance(now, str):
        return Wanted(value=text)
    if isinstance(now, bool):
        raise CannotBe("true and false are the values of a switch")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise CannotBe(f"{toggle.name} takes a number, such as {now}; found {text}")
    if not _within(value, toggle):
        raise CannotBe(f"{toggle.name} goes {_bounds_in_words(toggle)}; found {text}")
    return Wanted(value=value)


def _bounds_in_words(toggle: Declared) -> str:
    low, high = toggle.at_least, toggle.at_most
    if low is not None and high is not None:
        return f"from {low:g} to {high:g}"
    return f"from {low:g} up" if low is not None else f"up to {high:g}"


# The file


def _filed(toggles: Toggles) -> tuple[dict[str, Any], list[Mistake]]:
    """The flags of the file, and what is wrong with it."""
    if toggles.file is None:
        return {}, []
    where: Where = ("toggles", "file")
    try:
        said = toggles.file.path.read_bytes()
        document = json.loads(said)
        Ruleset.parse(
            document if isinstance(document, dict) else said, generation=toggles.generation
        )
    except OSError as error:
        why = (error.strerror or "it failed").lower()
        return {}, [Mistake(where, f"{toggles.file} cannot be read: {why}")]
    except UnicodeDecodeError:
        return {}, [Mistake(where, f"{toggles.file} is not text in UTF-8")]
    except RecursionError:
        return {}, [
            Mistake(where, f"{toggles.file} is nested too deeply for rules people can read")
        ]
    except json.JSONDecodeError as error:
        says = f"{toggles.file} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        return {}, [Mistake(where, says)]
    except BadDefinition as bad:
        return {}, [Mistake(where, f"{toggles.file}: {bad}")]
    return _inlined(document), []


def _inlined(document: Mapping[str, Any]) -> dict[str, Any]:
    """Flags that stand alone: what they share by name is written into each."""
    shared = document.get("$evaluators") or {}
    flags: dict[str, Any] = _filled_in(document["flags"], shared)
    return flags


def _filled_in(part: Any, shared: Mapping[str, Any]) -> Any:
    if isinstance(part, dict):
        if len(part) == 1 and part.get("$ref") in shared:
            return shared[part["$ref"]]
        return {key: _filled_in(each, shared) for key, each in part.items()}
    return [_filled_in(each, shared) for each in part] if isinstance(part, list) else part
