"""How does a rule become a function?

Rules are written out as Python and compiled once, because they are asked far more often than they
change. What a definition says never becomes code: every text and number in it is handed to the program
as a named constant, and only words of our own are written out. So rules that differ in their texts and
numbers only are one program, compiled once, which keeps a thousand of them within the processor's reach.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from detente.toggles.engine import crowds, logic
from detente.toggles.engine.crowds import Generation
from detente.toggles.engine.definition import BadDefinition
from detente.toggles.engine.versions import sem_ver

T = TypeVar("T")

Clock = Callable[[], int]  # nanoseconds since 1970
Rule = Callable[[Any, Clock], Any]
"""(context, clock) → what was settled."""

_NS = 1_000_000_000
_DEEPEST_EXPRESSION = 12  # deeper parts become functions of their own: Python has its limits
_DEEPEST_BLOCK = 20


def whole(context: Mapping[str, Any], toggle: str, clock: Clock) -> dict[str, Any]:
    """All that a rule may look at."""
    return {**context, "$flagd": {"flagKey": toggle, "timestamp": clock() // _NS}}


_CALLED: Mapping[str, Callable[..., Any]] = {
    "+": logic.add,
    "*": logic.times,
    "-": logic.minus,
    "/": logic.over,
    "%": logic.remainder,
    "max": logic.most,
    "min": logic.least,
    "cat": logic.cat,
    "substr": logic.substr,
    "in": logic.within,
    "merge": logic.merge,
    "starts_with": logic.starts_with,
    "ends_with": logic.ends_with,
    "sem_ver": sem_ver,
}
_AT_LEAST = {"-": 1, "/": 2, "%": 2, "substr": 2, "in": 2}  # arguments; what is left out is nothing
_SURE = frozenset(
    ["==", "===", "!=", "!==", "<", "<=", ">", ">=", "!", "!!", "in", "all", "some", "none"]
)
_MAYBE = frozenset(["starts_with", "ends_with", "sem_ver"])  # these may also answer nothing at all
_ENDS = {"starts_with": "startswith", "ends_with": "endswith"}
_WORDS: dict[str, Any] = {
    "__builtins__": {},
    "Exception": Exception,
    "any": any,
    "dict": dict,
    "str": str,
    "type": type,
    "hashed": crowds.hashed,
    "place_of": crowds.place_of,
    "share": crowds.share,
    "whole": whole,
    **{
        each.__name__: each
        for each in (
            logic.truthy, logic.same, logic.identical, logic.less, logic.at_most, logic.between,
            logic.items, logic.every, logic.fold, logic.dig, logic.look, logic.missing,
            logic.missing_some, logic.either, logic.both,
        )
    },
}  # fmt: skip


@lru_cache(maxsize=1024)
def _program(source: str) -> Callable[..., Rule]:
    """Takes the constants and gives the function."""
    made: dict[str, Any] = {}
    exec(compile(source, "<toggle>", "exec"), _WORDS, made)
    return made["make"]  # type: ignore[no-any-return]


class Here:
    """Where in a rule we are: `items` counts the lists that it is going through."""

    def __init__(self, items: int = 0) -> None:
        self.items = items
        self.inside_items = items > 0
        self.sees = f"item{items}" if items else "context"
        self.hands_on = ", ".join(["context", "clock", *_numbered(items)])

    @property
    def inside(self) -> Here:
        return Here(self.items + 1)


def _numbered(items: int) -> list[str]:
    return [f"item{n + 1}" for n in range(items)]


class Compiler:
    """Writes out the rule of one toggle."""

    def __init__(
        self,
        toggle: str,
        *,
        place: str,
        evaluators: Mapping[str, Any],
        generation: Generation,
        settle: Callable[[Any], Any],
        failed: Callable[[Exception], Any],
    ) -> None:
        self._toggle = toggle
        self._place = place
        self._evaluators = evaluators
        self._settle = settle
        self._names: dict[str, Any] = {"settle": settle, "failed": failed}
        self._apart: list[str] = []  # parts that became functions of their own
        self._depth = 0
        self._in_shared = False
        second = generation == "v2"
        self._place_at = crowds.place_v2 if second else crowds.place_v3
        self._person = crowds.letters if second else crowds.written
        self._before = (crowds.before_v2 if second else crowds.before_v3)(toggle)

    def compiled(self, rule: Any) -> Rule:
        """The function. Raises BadDefinition where the rule makes no sense at all."""
        answering = self._answering(rule, Here(), 3)
        source = [
            f"def make({', '.join(self._names)}):",
            *self._apart,
            " def asked(context, clock):",
            "  try:",
            "   if type(context) is not dict:",
            "    context = dict(context or ())",
            *answering,
            "  except Exception as problem:",
            "   return failed(problem)",
            " return asked",
        ]
        try:
            made: Rule = _program("\n".join(source))(*self._names.values())
        except (RecursionError, MemoryError, SyntaxError):
            raise self._bad("is too tangled to compile", "Split it into several toggles") from None
        return made

    def _bad(self, what: str, remedy: str) -> BadDefinition:
        return BadDefinition(self._place, what, remedy)

    # -- statements: where a rule's value is what the toggle answers ---------------------------

    def _answering(self, rule: Any, here: Here, indent: int) -> list[str]:
        """Lines that return the answer."""
        margin = " " * indent
        if not isinstance(rule, (dict, list)):
            return [f"{margin}return {self._constant(self._settle(rule))}"]
        write = self._blocks.get(_operator(rule)) if indent < _DEEPEST_BLOCK else None
        lines = write(self, _arguments(rule), here, indent) if write else None
        return lines or [f"{margin}return settle({self._value(rule, here)})"]

    def _answer_if(self, said: Sequence[Any], here: Here, indent: int) -> list[str]:
        lines = []
        for condition, then in zip(said[:-1:2], said[1::2], strict=False):
            lines.append(f"{' ' * indent}if {self._condition(condition, here)}:")
            lines += self._answering(then, here, indent + 1)
        return lines + self._answering(said[-1] if len(said) % 2 else None, here, indent)

    def _answer_shared(self, said: Sequence[Any], here: Here, indent: int) -> list[str]:
        return self._shared(said, lambda rule: self._answering(rule, here, indent))

    def _answer_share(self, said: Sequence[Any], here: Here, indent: int) -> list[str] | None:
        shares = _fixed(_shares(said))
        if shares is None:
            return None  # weights are known only when asked
        ends = crowds.stretches([weight for _, weight in shares])
        taken = [(what, end) for (what, weight), end in zip(shares, ends, strict=False) if weight]
        lines = self._placing(said, here, indent)
        for what, end in taken:
            lines.append(f"{' ' * indent}if place < {self._constant(end)}:")
            lines += self._answering(what, here, indent + 1)
        return lines + self._answering(None, here, indent)

    def _placing(self, said: Sequence[Any], here: Here, indent: int) -> list[str]:
        """Lines that find the place, or answer for those who have none."""
        nobody, margin = self._answering(None, here, indent + 1), " " * indent
        if said and not isinstance(said[0], list):
            return [
                f"{margin}place = {self._where(said, here)}",
                f"{margin}if place is None:",
                *nobody,
            ]
        before = f"{self._constant(self._before)} + {self._constant(self._person)}[person]"
        return [
            f"{margin}person = context.get({self._constant('targetingKey')})",
            f"{margin}if type(person) is not str or not person:",
            *nobody,
            f"{margin}place = hashed({before})",
        ]

    _blocks: Mapping[str | None, Callable[..., list[str] | None]] = {
        "if": _answer_if,
        "fractional": _answer_share,
        "$ref": _answer_shared,
    }

    # -- conditions: where only true or false matters ------------------------------------------

    def _condition(self, rule: Any, here: Here) -> str:
        name = _operator(rule)
        if name in ("and", "or"):
            return self._deeper(rule, here, self._joined)
        if name in _SURE:
            return self._value(rule, here)
        if name == "$ref":
            return self._shared(_arguments(rule), lambda shared: self._condition(shared, here))
        if name in _ENDS and (quick := self._quick_end(_ENDS[name], _arguments(rule), here)):
            return quick
        if name in _MAYBE:
            return self._value(rule, here)
        return f"truthy({self._value(rule, here)})"

    def _quick_end(self, how: str, said: Sequence[Any], here: Here) -> str | None:
        """The common case without a call: does what we look up end with this text?"""
        if len(said) != 2 or _operator(said[0]) != "var" or not isinstance(said[1], str):
            return None
        found = self._value(said[0], here)
        return f"(type({found}) is str and {found}.{how}({self._constant(said[1])}))"

    def _joined(self, rule: Any, here: Here) -> str:
        conditions = [self._condition(each, here) for each in _arguments(rule)]
        return f"({f' {_operator(rule)} '.join(conditions)})" if conditions else "False"

    # -- expressions ---------------------------------------------------------------------------

    def _value(self, rule: Any, here: Here) -> str:
        """An expression that gives the rule's value."""
        if isinstance(rule, list) and any(isinstance(part, (dict, list)) for part in rule):
            return f"[{self._several(rule, here)}]"
        if _operator(rule) is None:
            return self._constant(rule)
        return self._deeper(rule, here, self._written)

    def _several(self, said: Sequence[Any], here: Here) -> str:
        return ", ".join([self._value(argument, here) for argument in said])

    def _deeper(self, rule: Any, here: Here, write: Callable[[Any, Here], str]) -> str:
        self._depth += 1
        written = write(rule, here)
        self._depth -= 1
        if self._depth % _DEEPEST_EXPRESSION or not self._depth:
            return written
        name = f"part{len(self._apart)}"
        self._apart.append(f" def {name}({here.hands_on}): return {written}")
        return f"{name}({here.hands_on})"

    def _written(self, rule: Any, here: Here) -> str:
        name, said = _operator(rule) or "", _arguments(rule)
        write = self._expressions.get(name)
        if write is not None:
            return write(self, said, here)
        if name not in _CALLED:
            raise self._bad(f"uses “{name}”, which is no operator", "Correct its name")
        said = [*said, *[None] * (_AT_LEAST.get(name, 0) - len(said))]
        return f"{self._constant(_CALLED[name])}({self._several(said, here)})"

    def _constant(self, value: Any) -> str:
        if value is None or isinstance(value, bool):
            return repr(value)
        name = f"k{len(self._names)}"
        # texts that a program looks up are found quicker when there is only one of each
        self._names[name] = sys.intern(value) if value.__class__ is str else value
        return name

    def _shared(self, said: Sequence[Any], write: Callable[[Any], T]) -> T:
        """A rule of `$evaluators`, written out in place. They cannot use each other."""
        name = said[0] if said and isinstance(said[0], str) else ""
        if self._in_shared or name not in self._evaluators:
            what = f"refers to “{name}”, which is not there to refer to"
            raise self._bad(what, "Add it to $evaluators; shared rules cannot use each other")
        self._in_shared = True
        try:
            return write(self._evaluators[name])
        finally:
            self._in_shared = False

    def _ref(self, said: Sequence[Any], here: Here) -> str:
        return self._shared(said, lambda shared: self._value(shared, here))

    # looking things up

    def _var(self, said: Sequence[Any], here: Here) -> str:
        name = said[0] if said else ""
        otherwise = self._value(said[1], here) if len(said) > 1 else "None"
        if isinstance(name, (dict, list)):
            return f"look({self._all(here)}, {self._value(name, here)}, {otherwise})"
        path = logic.text(name)
        if path == "$flagd.flagKey":
            return self._constant(self._toggle)
        if path == "$flagd.timestamp":
            return f"(clock() // {_NS})"
        if not path:
            return self._all(here)
        return self._found(path, otherwise, here)

    def _found(self, path: str, otherwise: str, here: Here) -> str:
        if here.inside_items or "." in path or path == "$flagd":
            sees = self._all(here) if path.startswith("$flagd") else here.sees
            return f"dig({sees}, {self._constant(path.split('.'))}, {otherwise})"
        handed = "" if otherwise == "None" else f", {otherwise}"
        return f"context.get({self._constant(path)}{handed})"

    def _all(self, here: Here) -> str:
        if here.inside_items:
            return here.sees
        return f"whole(context, {self._constant(self._toggle)}, clock)"

    def _missing(self, said: Sequence[Any], here: Here) -> str:
        return f"missing({here.sees}, [{self._several(said, here)}])"

    def _missing_some(self, said: Sequence[Any], here: Here) -> str:
        return f"missing_some({here.sees}, {self._two(said, here)})"

    def _two(self, said: Sequence[Any], here: Here) -> str:
        return self._several([*said, None, None][:2], here)

    # true or false

    def _if(self, said: Sequence[Any], here: Here) -> str:
        last = self._value(said[-1] if len(said) % 2 else None, here)
        pairs = zip(said[:-1:2], said[1::2], strict=False)
        chosen = [f"{self._value(t, here)} if {self._condition(c, here)} else " for c, t in pairs]
        return f"({''.join(chosen)}{last})"

    def _and(self, said: Sequence[Any], here: Here) -> str:
        return self._one_of("and", "both", said, here)

    def _or(self, said: Sequence[Any], here: Here) -> str:
        return self._one_of("or", "either", said, here)

    def _one_of(self, joint: str, otherwise: str, said: Sequence[Any], here: Here) -> str:
        """One of the values, as it is. True and false are themselves, so Python's own words do."""
        if said and all(_operator(each) in _SURE for each in said):
            return f"({f' {joint} '.join([self._value(each, here) for each in said])})"
        return f"{otherwise}({', '.join([f'lambda: {self._value(each, here)}' for each in said])})"

    def _not(self, said: Sequence[Any], here: Here) -> str:
        return f"(not {self._condition(_first(said), here)})"

    def _is(self, said: Sequence[Any], here: Here) -> str:
        return f"(not not {self._condition(_first(said), here)})"

    def _equal(self, said: Sequence[Any], here: Here) -> str:
        return self._compared("same", said, here)

    def _unequal(self, said: Sequence[Any], here: Here) -> str:
        return f"(not {self._compared('same', said, here)})"

    def _identical(self, said: Sequence[Any], here: Here) -> str:
        return self._compared("identical", said, here)

    def _different(self, said: Sequence[Any], here: Here) -> str:
        return f"(not {self._compared('identical', said, here)})"

    def _compared(self, how: str, said: Sequence[Any], here: Here) -> str:
        pair = [*said, None, None][:2]
        if any(_only_itself(each, how) for each in pair):
            return f"({self._value(pair[0], here)} == {self._value(pair[1], here)})"
        return f"{how}({self._several(pair, here)})"

    def _less(self, said: Sequence[Any], here: Here) -> str:
        return self._between("less", said, here)

    def _at_most(self, said: Sequence[Any], here: Here) -> str:
        return self._between("at_most", said, here)

    def _between(self, how: str, said: Sequence[Any], here: Here) -> str:
        if len(said) > 2:
            return f"between({how}, {self._several(said[:3], here)})"
        return f"{how}({self._two(said, here)})"

    def _more(self, said: Sequence[Any], here: Here) -> str:
        return self._less([*said, None, None][1::-1], here)

    def _at_least(self, said: Sequence[Any], here: Here) -> str:
        return self._at_most([*said, None, None][1::-1], here)

    def _in(self, said: Sequence[Any], here: Here) -> str:
        """Among texts that are known now, nobody has to go through them."""
        one, many = [*said, None, None][:2]
        if isinstance(one, str) or not _texts(many) or _operator(one) != "var":
            return f"{self._constant(logic.within)}({self._several([one, many], here)})"
        found = self._value(one, here)
        return f"(type({found}) is str and {found} in {self._constant(frozenset(many))})"

    # lists

    def _map(self, said: Sequence[Any], here: Here) -> str:
        many, step, inside = *[*said, None, None][:2], here.inside
        return f"[{self._value(step, inside)} for {inside.sees} in {self._items(many, here)}]"

    def _filter(self, said: Sequence[Any], here: Here) -> str:
        many, test, inside = *[*said, None, None][:2], here.inside
        condition = self._condition(test, inside)
        each = inside.sees
        return f"[{each} for {each} in {self._items(many, here)} if {condition}]"

    def _items(self, many: Any, here: Here) -> str:
        return f"items({self._value(many, here)})"

    def _tests(self, said: Sequence[Any], here: Here) -> str:
        many, test, inside = *[*said, None, None][:2], here.inside
        return f"[{self._condition(test, inside)} for {inside.sees} in {self._items(many, here)}]"

    def _every(self, said: Sequence[Any], here: Here) -> str:
        return f"every({self._tests(said, here)})"

    def _some(self, said: Sequence[Any], here: Here) -> str:
        return f"any({self._tests(said, here)})"

    def _none(self, said: Sequence[Any], here: Here) -> str:
        return f"(not any({self._tests(said, here)}))"

    def _reduce(self, said: Sequence[Any], here: Here) -> str:
        many, step, start = [*said, None, None, None][:3]
        inside = here.inside
        body = f"lambda {inside.sees}: {self._value(step, inside)}"
        return f"fold({self._value(many, here)}, {body}, {self._value(start, here)})"

    # shares of the crowd

    def _fractional(self, said: Sequence[Any], here: Here) -> str:
        shares = _shares(said)
        if shares is None:
            return "None"
        entries = "".join([f"({self._several(share, here)}), " for share in shares])
        return f"share({self._where(said, here)}, ({entries}))"

    def _where(self, said: Sequence[Any], here: Here) -> str:
        """The place in the crowd: of what the rule says, or of the person."""
        if said and not isinstance(said[0], list):
            return f"{self._constant(self._place_at)}({self._value(said[0], here)})"
        before, person = self._constant(self._before), self._constant(self._person)
        return f"place_of(context.get({self._constant('targetingKey')}), {before}, {person})"

    _expressions: Mapping[str, Callable[..., str]] = {
        "$ref": _ref,
        "var": _var,
        "missing": _missing,
        "missing_some": _missing_some,
        "if": _if,
        "and": _and,
        "or": _or,
        "!": _not,
        "!!": _is,
        "==": _equal,
        "!=": _unequal,
        "===": _identical,
        "!==": _different,
        "<": _less,
        "<=": _at_most,
        ">": _more,
        ">=": _at_least,
        "in": _in,
        "map": _map,
        "filter": _filter,
        "all": _every,
        "some": _some,
        "none": _none,
        "reduce": _reduce,
        "fractional": _fractional,
    }


def _operator(rule: Any) -> str | None:
    """Its operator; None for what stands for itself."""
    return next(iter(rule)) if isinstance(rule, dict) and len(rule) == 1 else None


def _arguments(rule: Any) -> Sequence[Any]:
    if isinstance(rule, list):
        return rule
    said = next(iter(rule.values()))
    return said if isinstance(said, list) else [said]


def _first(said: Sequence[Any]) -> Any:
    return said[0] if said else None


def _texts(many: Any) -> bool:
    return isinstance(many, list) and all(isinstance(each, str) for each in many)


def _only_itself(rule: Any, how: str) -> bool:
    """A text that nothing but the same text is equal to, so that Python's own `==` will do."""
    return isinstance(rule, str) and (
        how == "identical" or logic.number(rule) != logic.number(rule)
    )


def _shares(said: Sequence[Any]) -> list[list[Any]] | None:
    """Each share with its weight; None when one of them is none."""
    shares = said if said and isinstance(said[0], list) else said[1:]
    if not all(isinstance(share, list) and len(share) in (1, 2) for share in shares):
        return None
    return [[*share, 1][:2] for share in shares]


def _fixed(shares: list[list[Any]] | None) -> list[tuple[Any, int]] | None:
    if shares is None or any(isinstance(weight, (dict, list)) for _, weight in shares):
        return None
    weights = [crowds.weight(weight) for _, weight in shares]
    if None in weights:
        return []
    return [(what, weight or 0) for (what, _), weight in zip(shares, weights, strict=True)]
