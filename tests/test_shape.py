"""One noun, everywhere: whoever knows one place of a slice knows them all."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner

import detente
from detente.app import declared_type
from detente.commands import root
from detente.kernel.fact import known
from detente.kernel.slice import Lever, Page, Panel, Slice
from detente.slices import CARDS

SOURCE = Path(detente.__file__).parent
PROJECT = SOURCE.parent.parent
REFERENCE = PROJECT / "docs" / "reference"

SHIPPED = {name: cls for name, cls in known().items() if cls.__module__.startswith("detente.")}
"""Ours only: other tests name facts of their own."""

NOUNS = [card.noun for card in CARDS]
each_card = pytest.mark.parametrize("card", CARDS, ids=NOUNS)
LEVERS = [pytest.param(card, lever, id=lever.name) for card in CARDS for lever in card.levers]
PAGES = [pytest.param(card, page, id=page.path) for card in CARDS for page in card.pages]
SHOWN = [
    pytest.param(card, shown, id=shown.template)
    for card in CARDS
    for shown in (*card.pages, *card.panels)
]


def reference(name: str) -> str:
    path = REFERENCE / name
    assert path.is_file(), f"docs/reference/{name} is missing: write it"
    return path.read_text()


def headings(text: str) -> set[str]:
    return {line.lstrip("#").strip().lower() for line in text.splitlines() if line.startswith("#")}


# -- the noun ------------------------------------------------------------------------------------


def test_no_noun_is_taken_twice() -> None:
    """Each slice has a noun of its own."""
    assert len(set(NOUNS)) == len(NOUNS)


@each_card
def test_the_folder_is_called_like_the_slice(card: Slice) -> None:
    """`detente.<noun>.slice` holds the card, and nothing else does."""
    module = importlib.import_module(f"detente.{card.noun}.slice")
    assert module.card is card


@each_card
def test_settings_stand_under_the_noun(card: Slice) -> None:
    """`<noun>:` in `detente.yaml`, where nothing written means the defaults, and typos are mistakes."""
    assert isinstance(getattr(declared_type()(), card.noun), card.settings)
    assert card.settings.__struct_config__.forbid_unknown_fields
    assert card.settings.__module__ == f"detente.{card.noun}.settings"


@each_card
def test_the_command_is_called_like_the_slice(card: Slice) -> None:
    """`detente <noun> --help` explains itself."""
    commands: dict[str, Command] = getattr(root, "commands", {})
    asked = CliRunner().invoke(root, [card.noun, "--help"])
    assert asked.exit_code == 0, f"`detente {card.noun}` is missing: {[*commands]}, {asked.output}"
    assert f"detente {card.noun}" in asked.output or card.noun in asked.output


@pytest.mark.parametrize(("card", "page"), PAGES)
def test_pages_live_under_the_noun(card: Slice, page: Page) -> None:
    """`/<noun>` and below, and the first of them is the slice's own."""
    assert page.path == f"/{card.noun}" or page.path.startswith(f"/{card.noun}/")
    assert page.title


@each_card
def test_the_slice_has_a_front_page(card: Slice) -> None:
    """`/<noun>` answers the slice's question, and the menu leads there."""
    assert [page.path for page in card.pages if page.in_menu] == [f"/{card.noun}"]


@each_card
def test_facts_carry_the_noun(card: Slice) -> None:
    """`<noun>.past_tense`, all in `detente.facts.<noun>`."""
    mine = {name: cls for name, cls in SHIPPED.items() if name.startswith(f"{card.noun}.")}
    assert mine, f"nothing can happen to {card.noun}"
    assert {cls.__module__ for cls in mine.values()} == {f"detente.facts.{card.facts or card.noun}"}


def test_no_fact_is_homeless() -> None:
    """Every fact belongs to a slice, or to the node."""
    assert {name.partition(".")[0] for name in SHIPPED} <= {*NOUNS, "node"}
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)*", name) for name in SHIPPED)


@each_card
def test_the_reference_has_a_page_of_the_noun(card: Slice) -> None:
    """`docs/reference/<noun>.md` opens with the noun and the slice's question."""
    text = reference(f"{card.noun}.md")
    assert text.splitlines()[0].lstrip("# ").lower() == card.noun
    assert card.question in text


@each_card
def test_the_tests_have_a_folder_of_the_noun(card: Slice) -> None:
    """`tests/<noun>/` with the decisions in it."""
    folder = PROJECT / "tests" / card.noun
    assert (folder / "test_decisions.py").is_file(), (
        f"tests/{card.noun}/test_decisions.py is missing"
    )


@each_card
def test_the_package_opens_with_the_question(card: Slice) -> None:
    """The first line of a slice's `__init__` is the question its card asks."""
    said = importlib.import_module(f"detente.{card.noun}").__doc__ or ""
    assert said.strip().splitlines()[0] == card.question
    assert card.question.endswith("?")


# -- what the card lists -------------------------------------------------------------------------


@pytest.mark.parametrize(("card", "lever"), LEVERS)
def test_levers_name_and_explain_themselves(card: Slice, lever: Lever) -> None:
    """`<noun>.<verb>`, a button with a word on it, and a sentence that says what will happen."""
    assert re.fullmatch(rf"{card.noun}\.[a-z]+(_[a-z]+)*", lever.name)
    assert lever.label
    assert lever.explains.endswith(".")
    assert len(lever.explains) > 20
    assert lever.kinds


def test_no_lever_is_named_twice() -> None:
    """Programs ask for levers by name."""
    names = [lever.name for card in CARDS for lever in card.levers]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("card", "shown"), SHOWN)
def test_templates_are_there(card: Slice, shown: Page | Panel) -> None:
    """A page or panel shows a template of its own slice."""
    noun, _, name = shown.template.partition("/")
    assert noun == card.noun
    assert (SOURCE / noun / "templates" / name).is_file(), f"{shown.template} is missing"


@each_card
def test_no_template_is_left_over(card: Slice) -> None:
    """Every template of a slice is shown by its card or used by one that is."""
    folder = SOURCE / card.noun / "templates"
    there = {f"{card.noun}/{path.name}" for path in folder.glob("*.html")}
    used = {shown.template for shown in (*card.pages, *card.panels)}
    looked_at: set[str] = set()
    while left := (used & there) - looked_at:
        for template in left:
            text = (SOURCE / card.noun / "templates" / template.partition("/")[2]).read_text()
            used |= set(re.findall(r"""["']([a-z]+/[a-z_]+\.html)["']""", text))
            looked_at.add(template)
    assert there - used == set()


@pytest.mark.parametrize(("card", "page"), PAGES)
def test_pages_hear_facts_that_can_happen(card: Slice, page: Page) -> None:
    """A misspelt name in `hears` would be a page that never moves."""
    assert page.hears, f"{page.path} would stand still while the world moves on"
    for name in page.hears:
        if name.endswith(".*"):
            assert any(each.startswith(name[:-1]) for each in SHIPPED), name
        elif name != "*":
            assert name in SHIPPED


@each_card
def test_projections_keep_to_themselves(card: Slice) -> None:
    """Tables are called like the slice, and folded from facts that can happen."""
    if card.projection is None:
        return
    assert card.projection.noun == card.noun
    tables = re.findall(r"create table (\w+)", card.projection.tables)
    assert tables
    assert all(table.startswith(f"{card.noun}_") for table in tables)
    assert set(card.projection.hears) <= set(SHIPPED)


@each_card
def test_effects_have_names(card: Slice) -> None:
    """What stumbles is told by name."""
    assert all(effect.name for effect in card.effects)
    assert card.commands is None or _loads(card.commands)


def _loads(where: str) -> bool:
    module, _, name = where.partition(":")
    return hasattr(importlib.import_module(module), name)


# -- the glossary ----------------------------------------------------------------------------------


@each_card
def test_the_glossary_knows_the_noun_and_its_spans(card: Slice) -> None:
    """No word on a page that only Dev or only Ops would know: each has its entry."""
    entries = headings(reference("glossary.md"))
    wanted = {card.noun, *(kind.name for kind in card.spans)}
    assert wanted <= entries, f"docs/reference/glossary.md lacks {wanted - entries}"


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_reference_knows_every_fact(name: str) -> None:
    """Every fact stands in the reference by the name it has on disk."""
    text = reference("glossary.md") + reference("facts.md")
    assert f"`{name}`" in text, f"docs/reference/facts.md lacks {name}"


# -- imports ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_imports_keep_to_their_floors() -> None:
    """The same contracts as in `make check`."""
    lint = [
        sys.executable,
        "-c",
        "import sys; from importlinter.cli import lint_imports_command as c; c()",
    ]
    done = subprocess.run(
        [*lint, "--no-logo", "--no-cache"], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


HEAVY = {
    "aiohttp",
    "apsw",
    "jinja2",
    "click",
    "rich",
    "yaml",
    "jsonschema",
    "aiosmtplib",
    "httptools",
}


@pytest.mark.parametrize(
    "statement",
    [
        "import detente",
        "import detente.work",
        "from detente.work import guard",
        "from detente import toggles; toggles.on('x')",
        "from detente import toggles; toggles.follow('http://127.0.0.1:9', cache=None)",
    ],
)
def test_what_a_users_program_imports_is_light(statement: str) -> None:
    """A program that guards its calls pays for no server."""
    asks = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", asks], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    loaded = set(json.loads(done.stdout))
    assert loaded & HEAVY == set()
    assert not [name for name in loaded if name.startswith(("detente.app", "detente.slices"))]
    assert not [
        name for name in loaded if re.match(r"detente\.(kernel\.(web|ledger|node)|facts)", name)
    ]
