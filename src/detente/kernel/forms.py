"""What does a lever ask, and what did people fill in?

A lever's form is a struct. Its fields become labelled inputs on a page and fields that programs post;
both come back here as text and leave as the struct, or as one sentence naming the field that is wrong.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
import msgspec.inspect as look

from detente.kernel.clock import Instant, Seconds, later
from detente.kernel.money import Money, money

F = TypeVar("F", bound=msgspec.Struct)
T = TypeVar("T")

Shape = Literal["text", "long", "number", "yes", "choice"]


LINES = {"format": "lines"}
"""Marks a text that may have several: `Annotated[str, Meta(max_length=…, extra_json_schema=LINES)]`."""


class BadForm(Exception):
    """What was filled in cannot be used; the message names the field and says what it expects."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a form, as a person sees it."""

    name: str
    label: str
    hint: str = ""
    shape: Shape = "text"
    choices: tuple[str, ...] = ()
    required: bool = True
    value: str = ""
    longest: int | None = None


def questions(form: type[msgspec.Struct]) -> list[Question]:
    """The form's fields in order."""
    described = look.type_info(form)
    assert isinstance(described, look.StructType)
    return [_question(field) for field in described.fields]


def fill(form: type[F], said: Mapping[str, Any]) -> F:
    """The form with everything in its type, from text or JSON. Raises BadForm."""
    fields = {field.name: field for field in msgspec.structs.fields(form)}
    if strange := [name for name in said if name not in fields]:
        asked = ", ".join(fields) or "nothing"
        raise BadForm(f"“{strange[0]}” is not asked for here; this asks for {asked}.")
    kept = {name: value for name, value in said.items() if _says_something(fields[name], value)}
    with_lines = _with_lines(form)
    for name, value in kept.items():
        lines = name in with_lines
        kept[name] = _read_money(name, fields[name].type, _printable(value, lines=lines))
    try:
        return msgspec.convert(kept, form, strict=False)
    except msgspec.ValidationError as wrong:
        raise BadForm(_plainly(str(wrong))) from None


def decoded(body: bytes, kind: type[T], like: str) -> T:
    """What a program sent, in its type. Raises BadForm, which shows what it is `like`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as wrong:
        says = _plainly(str(wrong)).rstrip(".")
        where = "" if "`$." in str(wrong) else "The body: "
        raise BadForm(f"{where}{says}. Send JSON such as {like}.") from None
    except RecursionError:
        raise BadForm(f"The body is nested too deeply. Send JSON such as {like}.") from None
    except (msgspec.DecodeError, UnicodeError) as broken:
        raise BadForm(f"The body is not JSON: {broken}. Send JSON such as {like}.") from None


_FURTHEST: Seconds = 3_653 * 86_400.0


def within_ten_years(at: Instant, now: Instant, field: str) -> Instant:
    """The same moment, if somebody can have meant it. Raises BadForm."""
    if not later(now, -_FURTHEST) <= at <= later(now, _FURTHEST):
        raise BadForm(
            f"{field}: this is more than ten years from now; write it like 2026-11-28 06:00."
        )
    return at


def _printable(value: Any, *, lines: bool) -> Any:
    """Text without control signs: they forge lines in mails and colours in terminals.

    Lines stay where the form asks for several of them.
    """
    if not isinstance(value, str):
        return value
    if lines:
        kept = value.replace("\r\n", "\n").split("\n")
        return "\n".join(_without_signs(each).rstrip() for each in kept).strip()
    return _without_signs(value).strip()


def _without_signs(line: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in line)


def _with_lines(form: type[msgspec.Struct]) -> frozenset[str]:
    """The fields that take several lines: those marked with `LINES`."""
    described = look.type_info(form)
    assert isinstance(described, look.StructType)
    return frozenset(each.name for each in described.fields if _takes_lines(each.type))


def _takes_lines(known: look.Type) -> bool:
    while isinstance(known, look.Metadata):
        if (known.extra_json_schema or {}).get("format") == LINES["format"]:
            return True
        known = known.type
    return False


def _question(field: look.Field) -> Question:
    known, hint, longest = _unwrapped(field.type)
    empty = (msgspec.NODEFAULT, None, "", False)
    value = "" if any(field.default is each for each in empty) else str(field.default)
    return Question(
        name=field.encode_name,
        label=field.name.replace("_", " ").capitalize(),
        hint=hint,
        shape=_shape(known, longest),
        choices=_choices(known),
        required=field.required,
        value=value,
        longest=longest,
    )


def _unwrapped(known: look.Type) -> tuple[look.Type, str, int | None]:
    """The type without its wrappings, with its description and the longest text it takes."""
    hint = ""
    while isinstance(known, (look.Metadata, look.UnionType)):
        if isinstance(known, look.Metadata):
            hint = hint or (known.extra_json_schema or {}).get("description", "")
            known = known.type
        else:
            known = next(each for each in known.types if not isinstance(each, look.NoneType))
    return known, hint, known.max_length if isinstance(known, look.StrType) else None


def _shape(known: look.Type, longest: int | None) -> Shape:
    if isinstance(known, (look.EnumType, look.LiteralType)):
        return "choice"
    if isinstance(known, (look.IntType, look.FloatType)):
        return "number"
    if isinstance(known, look.BoolType):
        return "yes"
    return "long" if longest is not None and longest > 160 else "text"


def _choices(known: look.Type) -> tuple[str, ...]:
    if isinstance(known, look.LiteralType):
        return tuple(str(value) for value in known.values)
    if isinstance(known, look.EnumType):
        members: type[enum.Enum] = known.cls
        return tuple(str(member.value) for member in members)
    return ()


def _says_something(field: msgspec.structs.FieldInfo, value: Any) -> bool:
    """An input left empty means the default, where there is one."""
    return value != "" or field.required


def _read_money(name: str, kind: Any, value: Any) -> Any:
    """People write '19.90 EUR'; programs may write the struct."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if bare not in (Money, Money | None) or not isinstance(value, str):
        return value
    amount, _, currency = value.strip().partition(" ")
    try:
        return money(amount.replace(",", "."), currency.strip().upper())
    except ValueError:
        raise BadForm(f"{name}: write an amount and its currency, such as 19.90 EUR.") from None


_LIMIT = re.compile(r"Expected `(?:int|float)` (>=|<=|>|<) ([\d.]+)$")
_LIMITS = {">": "more than ", "<": "less than ", ">=": "", "<=": ""}
_LIMITS_AFTER = {">=": " or more", "<=": " or less"}


def _figure(limit: str) -> str:
    """'0.0' is 0 to people."""
    return limit.removesuffix(".0")


def _plainly(wrong: str) -> str:
    """msgspec's words, turned round so that the field comes first."""
    what, _, where = wrong.partition(" - at `$.")
    name = where.rstrip("`")
    if limit := _LIMIT.match(what):
        return f"{name} must be {_LIMITS[limit[1]]}{_figure(limit[2])}{_LIMITS_AFTER.get(limit[1], '')}."
    if what.startswith("Object missing required field"):
        return f"{what.split('`')[1]}: this has to be filled in."
    what = (what[:1].lower() + what[1:]).replace("`", "")
    return f"{name}: {what}." if name else f"{what}."
