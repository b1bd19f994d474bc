"""Do we answer like flagd? The evaluator's conformance suite, both generations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gherkin.parser import Parser
from gherkin.pickles.compiler import Compiler as Pickles

from detente.toggles.engine.crowds import Generation
from detente.toggles.engine.definition import BadDefinition, check, document
from detente.toggles.engine.ruleset import UNSET, Answer, Ruleset
from detente.toggles.engine.typed import fitting

from ...suites import suite, wants

pytestmark = [pytest.mark.suite, wants("flagd-evaluator"), wants("flagd-schemas")]

EVALUATOR, SCHEMAS = suite("flagd-evaluator"), suite("flagd-schemas")
NOW = 1_790_000_000_000_000_000
READ = {
    "Boolean": lambda said: said == "true",
    "String": str,
    "Integer": int,
    "Float": float,
    "Object": lambda said: json.loads(said.replace('\\"', '"')),
}
FRACTIONAL = ("@fractional-v1", "@fractional-v2", "@fractional-v3")


def scenarios() -> Iterator[Any]:
    """Each case for each generation; a case tagged with some generations is for those only."""
    for file in sorted((EVALUATOR / "gherkin").glob("*.feature")):
        feature = {**Parser().parse(file.read_text()), "uri": file.name}
        for case in Pickles().compile(feature):
            tagged = {tag["name"] for tag in case["tags"]} & set(FRACTIONAL)
            for generation in ("v3", "v2"):
                if not tagged or f"@fractional-{generation}" in tagged:
                    lines = [step["text"] for step in case["steps"]]
                    about = f"{file.stem}-{case['name']}-{generation}"
                    yield pytest.param(case["steps"], generation, id=f"{about}: {lines[1:]}"[:150])


class Harness:
    """What the suite's sentences mean here."""

    def __init__(self, generation: Generation) -> None:
        flags = (EVALUATOR / "flags" / "testkit-flags.json").read_bytes()
        self.ruleset = Ruleset.parse(flags, generation=generation, strict=False)
        self.context: dict[str, Any] = {}
        self.key, self.default, self.answer, self.value = "", None, Answer(), None

    def step(self, text: str, table: list[dict[str, str]]) -> None:
        words = text.split('"')[1::2] if '\\"' not in text else _quoted(text)
        if "-flag with key" in text:
            self.key, self.default = (
                words[0],
                READ[text.partition("-flag")[0].split()[-1]](words[1]),
            )
        elif "nested property" in text:
            self.context[words[0]] = {words[1]: words[2]}
        elif "a targeting key" in text:
            self.context["targetingKey"] = words[0]
        elif "containing a key" in text:
            self.context[words[0]] = READ[words[1]](words[2])
        elif "was evaluated" in text:
            self.ask()
        else:
            self.compare(text, words, table)

    def ask(self) -> None:
        self.answer = self.ruleset.evaluate(self.key, self.context, now=NOW)
        fits = fitting(self.answer.value, self.default)
        if fits is UNSET and self.answer.value is not UNSET:
            self.answer = Answer(reason="ERROR", error_code="TYPE_MISMATCH")
        self.value = self.default if fits is UNSET else fits

    def compare(self, text: str, words: list[str], table: list[dict[str, str]]) -> None:
        if "details value" in text:
            wanted = READ[
                {bool: "Boolean", str: "String", int: "Integer", float: "Float"}.get(
                    type(self.default), "Object"
                )
            ](words[0])
            assert self.value == wanted
            assert type(self.value) is type(wanted)
        elif "the reason" in text:
            assert self.answer.reason == words[0]
        elif "error-code" in text:
            assert self.answer.error_code == words[0]
        elif "metadata is empty" in text:
            assert self.answer.metadata == {}
        elif "metadata should contain" in text:
            wanted = {row["key"]: READ[row["metadata_type"]](row["value"]) for row in table}
            assert self.answer.metadata == wanted
        else:
            assert text == "an evaluator"


def _quoted(text: str) -> list[str]:
    return [part.replace("\0", '\\"') for part in text.replace('\\"', "\0").split('"')[1::2]]


@pytest.mark.parametrize(("steps", "generation"), [*scenarios()])
def test_scenario(steps: list[dict[str, Any]], generation: Generation) -> None:
    """What flagd's own suite says a toggle answers, it answers."""
    harness = Harness(generation)
    for step in steps:
        rows = step.get("argument", {}).get("dataTable", {}).get("rows", [])
        cells = [[cell["value"] for cell in row["cells"]] for row in rows]
        harness.step(step["text"], [dict(zip(cells[0], row, strict=True)) for row in cells[1:]])


def test_the_suite_is_whole() -> None:
    """All eleven files are there, and every case but those of the first generation is played."""
    played = [*scenarios()]
    assert len([*(EVALUATOR / "gherkin").glob("*.feature")]) == 11
    by = {g: sum(case.values[1] == g for case in played) for g in ("v2", "v3")}
    assert by == {"v2": 125, "v3": 104}


# -- definitions ---------------------------------------------------------------------------------


def _files(*parts: str) -> list[Path]:
    return sorted(SCHEMAS.joinpath(*parts).glob("*.json"))


def _book(file: Path) -> dict[str, Any]:
    """Rules that come alone are put into a flag."""
    said = json.loads(file.read_text())
    if file.parent.parent.name != "targeting":
        return {name: value for name, value in said.items() if name != "$schema"}
    said.pop("$schema", None)
    flag = {"state": "ENABLED", "variants": {"on": True}, "targeting": said}
    return {"flags": {"x": flag}, "$evaluators": {"some-ref": {"==": [1, 1]}}}


@pytest.mark.parametrize(
    "file",
    [
        *_files("test", "flags", "positive"),
        *_files("test", "targeting", "positive"),
        SCHEMAS / "examples" / "minimal.json",  # full.json breaks its own schema
    ],
    ids=lambda file: file.stem,
)
def test_good_definitions_are_taken(file: Path) -> None:
    """What the schema calls right, compiles under the strictest eye; arrays are flagd's own."""
    book = _book(file)
    if isinstance(book["flags"], list):
        with pytest.raises(BadDefinition, match="flags: is not an object"):
            document(book)
    else:
        assert Ruleset.parse(book).keys() == [*book["flags"]]


@pytest.mark.parametrize(
    "file",
    [*_files("test", "flags", "negative"), *_files("test", "targeting", "negative")],
    ids=lambda file: file.stem,
)
def test_bad_definitions_are_refused(file: Path) -> None:
    """What the schema calls wrong is refused, with the place and what to do."""
    with pytest.raises(BadDefinition) as refused:
        check(document(_book(file)))
    assert refused.value.place
    assert refused.value.remedy
