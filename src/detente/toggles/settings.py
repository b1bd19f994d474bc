"""What people write about toggles and knobs: `toggles:` in `detente.yaml`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from detente.kernel.config import Duration, Percent, Place, Secret

Value = bool | int | float | str | dict[str, Any] | list[Any]
Scalar = bool | int | float | str


class Trait(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be so of one thing that the program says about who asks. One question each."""

    is_: Annotated[Scalar | None, Meta(description="is just this")] = msgspec.field(
        default=None, name="is"
    )
    in_: Annotated[tuple[Scalar, ...], Meta(description="is one of these")] = msgspec.field(
        default=(), name="in"
    )
    starts_with: Annotated[str | None, Meta(description="the text begins so")] = None
    ends_with: Annotated[str | None, Meta(description="the text ends so")] = None
    at_least: Annotated[float | None, Meta(description="the number is this or more")] = None
    at_most: Annotated[float | None, Meta(description="the number is this or less")] = None
    version: Annotated[
        str | None, Meta(description='the version is so, for example ">=2.1.0" or "^3.0"')
    ] = None


Who = Mapping[str, Trait | Scalar]


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who gets what, whatever share of the others does."""

    who: Annotated[
        Who | str,
        Meta(description="what must be so, all of it: attributes, or the name of a segment"),
    ]
    gets: Annotated[str, Meta(description="the variant")] = "on"


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that is switched at a time, by itself, once."""

    at: Annotated[datetime.datetime, Meta(description="when, with its time zone")]
    to: Annotated[Scalar, Meta(description="on, off, a share such as 25%, or a knob's value")]


class Guard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is watched after it was switched, and for how long. Named nothing: the checks of `for`."""

    checks: Annotated[tuple[str, ...], Meta(description="checks, by name")] = ()
    tests: Annotated[
        tuple[str, ...], Meta(description="acceptance tests that run in production, by name")
    ] = ()
    promises: Annotated[
        tuple[str, ...], Meta(description="promises that must not be broken meanwhile")
    ] = ()
    routes: Annotated[tuple[str, ...], Meta(description="routes to vendors, by name")] = ()
    for_: Annotated[Duration, Meta(description="how long it watches")] = msgspec.field(
        default=Duration(1_800), name="for"
    )


class Toggle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A switch, or a knob: something with `variants`, or with a value that may be set."""

    title: Annotated[str, Meta(description="what people call it; by default its name")] = ""
    owner: Annotated[str | None, Meta(description="the team that has it and will remove it")] = None
    for_: Annotated[
        str | None, Meta(description="the service, vendor or journey it belongs to")
    ] = msgspec.field(default=None, name="for")
    remove_by: Annotated[
        datetime.date | None, Meta(description="when it should be gone from the program")
    ] = None
    variants: Annotated[
        Mapping[str, Value],
        Meta(min_length=1, description="a knob: its values by name; left out, it is on or off"),
    ] = {}
    default: Annotated[
        Scalar | None,
        Meta(
            description="what one gets whom no rule names: a variant (off, unless you say on), or"
            " the value of a knob without variants"
        ),
    ] = None
    at_least: Annotated[float | None, Meta(description="a knob: not less than this")] = None
    at_most: Annotated[float | None, Meta(description="a knob: not more than this")] = None
    rules: Annotated[tuple[Rule, ...], Meta(description="the first that fits counts")] = ()
    percent: Annotated[
        Percent | None, Meta(description="the share that gets it of those whom no rule names")
    ] = None
    schedule: tuple[Step, ...] = ()
    guard: Guard | None = None
    definition: Annotated[
        Mapping[str, Any] | None,
        Meta(description="instead of all that: a flag definition as flagd has it"),
    ] = None

    def defines(self) -> tuple[str, ...]:
        """The keys written here that say who gets what."""
        said = {
            "variants": self.variants,
            "rules": self.rules,
            "default": self.default is not None,
            "percent": self.percent is not None,
            "at_least": self.at_least is not None,
            "at_most": self.at_most is not None,
            "definition": self.definition is not None,
        }
        return tuple(name for name, given in said.items() if given)


class Toggles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be switched without shipping."""

    generation: Annotated[
        Literal["v3", "v2"],
        Meta(
            description="how shares are put into buckets: v3 as the Python flagd provider, v2 as"
            " flagd in Go and JavaScript; changing it deals everybody anew"
        ),
    ] = "v3"
    token: Annotated[
        Secret | None,
        Meta(
            description="what programs show that only ask and tell what they asked for: it switches"
            " nothing. The node's own token opens that too"
        ),
    ] = None
    toggles: Mapping[str, Toggle] = {}
    segments: Annotated[Mapping[str, Who], Meta(description="groups that rules call by name")] = {}
    file: Annotated[Place | None, Meta(description="more toggles, from a file as flagd has it")] = (
        None
    )
    forgotten_after: Annotated[
        Duration, Meta(description="what no program has asked for this long is called dead")
    ] = Duration(14 * 86_400)
