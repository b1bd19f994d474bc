"""What does each toggle answer to whom?

A rule book in flagd's format, read once and compiled. Asking never raises: what goes wrong is an
answer too. Every answer that a toggle can give is made beforehand and only handed out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import mmh3
import msgspec
from msgspec import UNSET

from detente.toggles.engine import definition
from detente.toggles.engine.compiler import Clock, Compiler, Rule
from detente.toggles.engine.crowds import GENERATIONS, Generation
from detente.toggles.engine.definition import BadDefinition
from detente.toggles.engine.logic import text

__all__ = ["UNSET", "Answer", "BadDefinition", "Generation", "Ruleset"]

Context = Mapping[str, Any] | None
Metadata = Mapping[str, str | int | float | bool]

PINNED = "fractionalGeneration"
"""Under this name a rule book's metadata says how it shares out crowds."""

_MOST_UNKNOWN = 1_000  # names asked for that are not there: kept, so that they can be told


class Answer(msgspec.Struct, frozen=True, eq=False):
    """What a toggle answers. Where `value` is UNSET, the asker's own default counts."""

    value: Any = UNSET
    variant: str | None = None
    reason: str = "STATIC"  # STATIC, DEFAULT, TARGETING_MATCH, DISABLED, ERROR
    error_code: str | None = None  # FLAG_NOT_FOUND, PARSE_ERROR, GENERAL
    error_details: str = ""
    metadata: Metadata = {}
    handed_out: list[int] = msgspec.field(default_factory=lambda: [0])  # how often, if counted


def _always(answer: Answer) -> Rule:
    return lambda _context, _clock: answer


class Toggle:
    """One toggle, compiled: its rule, and every answer that it can give."""

    def __init__(self, key: str, flag: Mapping[str, Any], shared: Shared) -> None:
        self.key = key
        self._flag = flag
        self._variants: Mapping[str, Any] = flag["variants"]
        self._metadata: Metadata = {**shared.metadata, **flag.get("metadata", {})}
        self._settled: dict[str | None, Answer] = {}
        self._errors = [0]  # counted together: what went wrong is told afresh each time
        self.fixed: Answer | None = self._by_itself()
        """The answer, where it is the same for everybody."""
        self.asked: Rule = _always(self.fixed) if self.fixed else self._rule(shared)

    @property
    def handed_out(self) -> list[tuple[str | None, list[int]]]:
        """How often each variant was."""
        answers = [(each.variant, each.handed_out) for each in self._settled.values()]
        return [*answers, (None, self._errors)]

    def _by_itself(self) -> Answer | None:
        default = self._flag.get("defaultVariant") or None
        if self._flag["state"] == "DISABLED":
            return self._answer(None, None, "DISABLED")
        if not self._flag.get("targeting"):
            return self._answer(None, default, "STATIC" if default else "DEFAULT")
        return None

    def _rule(self, shared: Shared) -> Rule:
        for name in self._variants:
            self._answer(name, name, "TARGETING_MATCH")
        self._answer(None, self._flag.get("defaultVariant") or None, "DEFAULT")
        return self._compiler(shared).compiled(self._flag["targeting"])

    def _compiler(self, shared: Shared) -> Compiler:
        return Compiler(
            self.key,
            place=f"flags.{self.key}.targeting",
            evaluators=shared.evaluators,
            generation=shared.generation,
            settle=self._settle,
            failed=self._failed,
        )

    def _answer(self, outcome: str | None, variant: str | None, reason: str) -> Answer:
        value = self._variants.get(variant, UNSET) if variant is not None else UNSET
        answer = Answer(value, variant, reason, metadata=self._metadata)
        self._settled[outcome] = answer
        return answer

    def _settle(self, outcome: Any) -> Answer:
        """The answer to what a rule came to: true and false are names of variants, too."""
        if outcome is None or outcome.__class__ is str:
            answer = self._settled.get(outcome)
        else:
            answer = None if isinstance(outcome, (list, dict)) else self._settled.get(text(outcome))
        if answer is not None:
            return answer
        return self._wrong(
            "GENERAL", "the rules came to a variant that is not there", text(outcome)
        )

    def _failed(self, problem: Exception) -> Answer:
        return self._wrong("PARSE_ERROR", "the rules could not be followed", str(problem))

    def _wrong(self, code: str, what: str, detail: str) -> Answer:
        return Answer(
            reason="ERROR",
            error_code=code,
            error_details=f"{what}: {detail[:200]}",
            metadata=self._metadata,
            handed_out=self._errors,
        )


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What all toggles of a rule book have in common."""

    evaluators: Mapping[str, Any]
    metadata: Metadata
    generation: Generation


class Ruleset:
    """A rule book, ready to be asked."""

    def __init__(self, book: dict[str, Any], shared: Shared) -> None:
        self._book = book
        self.shared = shared
        self.generation: Generation = shared.generation
        self.metadata: Metadata = shared.metadata
        self.document: bytes = msgspec.json.encode(book)
        """As it is handed on to others."""
        canonical = msgspec.json.encode([shared.generation, book], order="deterministic")
        self.version: str = mmh3.hash_bytes(canonical).hex()
        self._toggles: dict[str, Toggle] = {}
        self.rules: dict[str, Rule] = {}
        """Each toggle's rule, for those in a hurry: (context, clock) → Answer."""
        self.fixed: dict[str, Answer] = {}
        """The answers of those that answer everybody alike."""
        self._unknown: dict[str, Answer] = {}

    @classmethod
    def parse(
        cls,
        document: bytes | str | Mapping[str, Any],
        *,
        generation: Generation | None = None,
        strict: bool = True,
        before: Ruleset | None = None,
    ) -> Ruleset:
        """Read and compile. Raises BadDefinition.

        `generation` says how crowds are shared out; by default what the document's metadata says,
        else v3. With `strict`, every rule is checked as its author would want it; without, as flagd
        does, a broken toggle is one that answers with an error. Toggles that are as they were
        `before` are taken over as they are, with their counts.
        """
        book = definition.document(document)
        if strict:
            definition.check(book)
        ruleset = cls(book, _shared(book, generation))
        unchanged = before._toggles if before and before.shared == ruleset.shared else {}
        for key, flag in book["flags"].items():
            there = unchanged.get(key)
            same = there is not None and there._flag == flag and _kinds(there._flag) == _kinds(flag)
            ruleset._add(key, there if there and same else flag, strict=strict)
        return ruleset

    def _add(self, key: str, flag: Toggle | Mapping[str, Any], *, strict: bool) -> None:
        try:
            toggle = flag if isinstance(flag, Toggle) else Toggle(key, flag, self.shared)
        except BadDefinition as bad:
            if strict:
                raise
            self.fixed[key] = _broken(bad, self.shared)
            self.rules[key] = _always(self.fixed[key])
            return
        self._toggles[key] = toggle
        self.rules[key] = toggle.asked
        if toggle.fixed is not None:
            self.fixed[key] = toggle.fixed

    def evaluate(self, key: str, context: Context = None, *, now: int) -> Answer:
        """What the toggle answers. `now` is in nanoseconds, like every point in time of ours."""
        return self.answer(key, context, lambda: now)

    def answer(self, key: str, context: Context, clock: Clock) -> Answer:
        """The same with a clock, which is looked at only by rules that ask for the time."""
        rule = self.rules.get(key)
        return self.unknown(key) if rule is None else cast(Answer, rule(context, clock))

    def unknown(self, key: str) -> Answer:
        """There is no such toggle."""
        answer = self._unknown.get(key)
        if answer is None:
            told = f"there is no toggle called “{key}”"
            answer = Answer(reason="ERROR", error_code="FLAG_NOT_FOUND", error_details=told)
            if len(self._unknown) < _MOST_UNKNOWN:
                self._unknown[key] = answer
        return answer

    def keys(self) -> list[str]:
        """The names of all toggles."""
        return [*self.rules]

    def definition(self, key: str) -> Mapping[str, Any]:
        """How that toggle is written down. Raises KeyError."""
        return cast(Mapping[str, Any], self._book["flags"][key])

    def handed_out(self) -> Iterator[tuple[str, str | None, list[int]]]:
        """Toggle, variant, and how often that was the answer, where somebody counts."""
        for key, toggle in self._toggles.items():
            for variant, count in toggle.handed_out:
                yield key, variant, count
        for key, answer in [*self._unknown.items()]:
            yield key, None, answer.handed_out


def _kinds(flag: Mapping[str, Any]) -> bytes:
    """Python takes 1 for true and 1.0; a definition does not."""
    return msgspec.json.encode(flag)


def _shared(book: Mapping[str, Any], wanted: Generation | None) -> Shared:
    metadata = book.get("metadata", {})
    pinned = metadata.get(PINNED)
    if pinned is not None and pinned not in GENERATIONS:
        remedy = f"Write one of: {', '.join(GENERATIONS)}"
        raise BadDefinition(f"metadata.{PINNED}", f"is “{pinned}”", remedy)
    if pinned and wanted and pinned != wanted:
        remedy = "Keep the one that people were shared out by, or they will change sides"
        raise BadDefinition(
            f"metadata.{PINNED}", f"is {pinned}, and {wanted} was asked for", remedy
        )
    generation = cast(Generation, wanted or pinned or GENERATIONS[0])
    return Shared(evaluators=book.get("$evaluators", {}), metadata=metadata, generation=generation)


def _broken(bad: BadDefinition, shared: Shared) -> Answer:
    return Answer(
        reason="ERROR",
        error_code="PARSE_ERROR",
        error_details=str(bad),
        metadata=shared.metadata,
    )
