"""Every mistake about toggles is told at once, with its place and what to write instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detente.app import Declared, declared_type, mistakes
from detente.kernel.catalogue import Catalogue
from detente.kernel.config import ConfigErrors, load, loads
from detente.toggles.decisions.definition import declared

AROUND = """
teams: {dev: {}}
services: {shop: {}}
watch: {checks: {shop: {http: "http://shop.test/health"}}}
"""


def told(text: str) -> str:
    with pytest.raises(ConfigErrors) as wrong:
        loads(AROUND + text, declared_type(), name="detente.yaml", environ={}, cross=mistakes)
    return str(wrong.value)


@pytest.mark.parametrize(
    ("said", "place", "remedy"),
    [
        ("owner: dve", "owner", "did you mean dev?"),
        ("for: shp", "for", "did you mean shop?"),
        ("remove_by: soon", "remove_by", "a date such as 2026-05-31"),
        ("rules: [{who: {}}]", "rules[0].who", "say what must be so"),
        ("rules: [{who: staff}]", "rules[0].who", "no segment is called staff"),
        ("rules: [{who: {a: {in: [1], is: 2}}}]", "rules[0].who.a", "say one of is, in"),
        ("rules: [{who: {a: {version: latest}}}]", "version", "write it like >=2.1.0"),
        ("rules: [{who: {a: 1}, gets: onn}]", "rules[0].gets", "did you mean on?"),
        ("rules: [{who: {$flagd.x: 1}}]", "rules[0]", "belong to the evaluator"),
        ("{percent: 10%, variants: {a: 1, b: 2}}", "percent", "with rules"),
        ("{percent: 10%, default: on}", "percent", "leave one of both out"),
        ("{variants: {a: 1, b: x}}", "variants", "of one kind, not numbers and texts"),
        ("{variants: {a: 1, b: 2}, default: c}", "default", "declared: a, b"),
        ("at_least: 3", "at_least", "add `default:`"),
        ("{default: 3, at_least: 5}", "default", "outside its own bounds"),
        ("{default: 3, rules: [{who: {a: 1}}]}", "rules[0]", "give the knob's values names"),
        ("schedule: [{at: 2026-12-01T08:00:00, to: on}]", "schedule[0].at", "which time zone"),
        ("schedule: [{at: 2300-12-01T08:00:00Z, to: on}]", "schedule[0].at", "before 2100"),
        ("schedule: [{at: 0001-01-01T08:00:00Z, to: on}]", "schedule[0].at", "in the year 1;"),
        ("remove_by: 2027-02-31", "remove_by", "a date such as 2026-05-31"),
        ("variants: {}", "variants", "at least 1 entries"),
        ("schedule: [{at: 2026-12-01T08:00:00Z, to: up}]", "schedule[0].to", "on, off or a share"),
        ("guard: {checks: [shap]}", "guard.checks[0]", "did you mean shop?"),
        ("guard: {promises: [up]}", "guard.promises[0]", "no promise is called up"),
        ("guard: {routes: [pay]}", "guard.routes[0]", "no route is called pay"),
        ("guard: {for: 0s}", "guard.for", "write 10m"),
        ("guard: {for: 30h}", "guard.for", "write 24h or less"),
        ("{definition: {state: ENABLED, variants: {}}}", "definition", "variants"),
        (
            "{definition: {state: ENABLED, variants: {on: true}}, percent: 5%}",
            "percent",
            "a definition says it all",
        ),
    ],
)
def test_a_mistake_names_place_and_remedy(said: str, place: str, remedy: str) -> None:
    """One sentence at the key that is wrong."""
    entry = said if said.startswith("{") else "{" + said + "}"
    says = told(f"toggles: {{toggles: {{it: {entry}}}}}")
    assert f"toggles.toggles.it.{place}" in says or place in says
    assert "  toggles.toggles.it" in says
    assert remedy in says


def test_all_at_once() -> None:
    """Three mistakes make three sentences."""
    says = told("toggles: {toggles: {a: {owner: x}, b: {for: y}, c: {percent: 1%, default: on}}}")
    assert says.count("toggles.toggles.") == 3


FLAG = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
STAFF = {"ends_with": [{"var": "email"}, "@example.com"]}


def filed(folder: Path, document: object, more: str = "{}") -> Declared:
    (folder / "flags.json").write_text(
        document if isinstance(document, str) else json.dumps(document)
    )
    path = folder / "detente.yaml"
    path.write_text(f"{AROUND}\ntoggles: {{file: flags.json, toggles: {more}}}\n")
    return load(path, declared_type(), environ={}, cross=mistakes)


def test_a_file_of_flagd_beside_the_configuration(tmp_path: Path) -> None:
    """Its flags are toggles; what it shares by name is written into each; the section may own them."""
    targeting = {"if": [{"$ref": "staff"}, "on"]}
    document = {"flags": {"it": {**FLAG, "targeting": targeting}}, "$evaluators": {"staff": STAFF}}
    settings = filed(tmp_path, document, "{it: {owner: dev, for: shop, guard: {for: 5m}}}")
    made = declared(settings.toggles, Catalogue(services=settings.services))["it"]  # type: ignore[attr-defined]
    assert made.definition["targeting"] == {"if": [STAFF, "on"]}
    assert (made.owner, made.of, made.guard is not None) == ("dev", "service:shop", True)


@pytest.mark.parametrize(
    ("document", "more", "remedy"),
    [
        ("{", "{}", "flags.json is not JSON: line 1"),
        ("[1]", "{}", "the document: is not an object"),
        ("[" * 100_000 + "]" * 100_000, "{}", "flags.json is nested too deeply"),
        ('{"flags":' * 500 + "{}" + "}" * 500, "{}", "levels deep"),
        ({"flags": {"it": {"state": "ON"}}}, "{}", "flags.it"),
        ({"flags": {"it": FLAG}}, "{it: {percent: 5%}}", "defined in toggles.file already"),
        ({"flags": {"a/b": FLAG}}, "{}", "the flag “a/b” cannot have an address"),
        ({"flags": {}}, "{stream: {}}", "toggles.toggles.stream: /toggles/stream is an address"),
        (
            {"flags": {"it": FLAG}, "metadata": {"fractionalGeneration": "v2"}},
            "{}",
            "is v2, and v3 was asked for",
        ),
    ],
)
def test_what_is_wrong_with_the_file(
    tmp_path: Path, document: object, more: str, remedy: str
) -> None:
    """It is named, and what is wrong in it."""
    with pytest.raises(ConfigErrors, match=remedy):
        filed(tmp_path, document, more)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The operating system's word for it, at the key that names the file."""
    path = tmp_path / "detente.yaml"
    path.write_text("toggles: {file: nowhere.json}\n")
    with pytest.raises(ConfigErrors, match=r"toggles\.file: nowhere\.json cannot be read"):
        load(path, declared_type(), environ={}, cross=mistakes)
