"""The docs say what the code does: made parts are fresh, examples run, links lead somewhere."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from detente.app import declared_type, levers_of, mistakes, pages_of
from detente.commands import root
from detente.kernel.config import loads
from detente.slices import CARDS

HOME = Path(__file__).parents[1]
DOCS = HOME / "docs"
REFERENCE = DOCS / "reference"
sys.path.insert(0, str(DOCS))

from making import commands, settings, written  # noqa: E402
from making.facts import shipped  # noqa: E402
from making.marks import anchor  # noqa: E402

PAGES = [
    *(HOME / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(DOCS.rglob("*.md")),
    *sorted((HOME / "changelog.d").glob("*.md")),
]
NOUNS = [card.noun for card in CARDS]

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def called(page: Path) -> str:
    return str(page.relative_to(HOME))


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """The fenced blocks of a page in one of these languages."""
    for _, language, text in _FENCE.findall(page.read_text("utf-8")):
        if language in languages:
            yield textwrap.dedent(text)


def test_made_parts_say_what_the_code_says() -> None:
    """Whoever changes a setting, fact, lever, page or command makes the reference anew."""
    stale = [called(page) for page in written.stale()]
    assert not stale, f"run `.venv/bin/python docs/make.py reference`: {', '.join(stale)}"


@pytest.mark.parametrize("noun", NOUNS)
def test_every_setting_is_in_the_reference(noun: str) -> None:
    """Each key of a slice's section stands on the slice's page, under the section it belongs to."""
    text = (REFERENCE / f"{noun}.md").read_text("utf-8")
    for path, key in settings.keys(noun):
        below = text.partition(f"### `{path}`\n")[2].partition("\n### ")[0]
        assert f"| `{key}` |" in below, f"{path}.{key} is not described in {noun}.md"


def test_every_fact_is_in_the_reference() -> None:
    """Each fact has a heading of its own, and a line in the table of all facts."""
    index = (REFERENCE / "facts.md").read_text("utf-8")
    for name in shipped():
        noun = name.partition(".")[0]
        page = REFERENCE / ("facts.md" if noun == "node" else f"{noun}.md")
        assert f"### `{name}`" in page.read_text("utf-8"), f"{name} is not described"
        assert f"[`{name}`](" in index, f"{name} is not in facts.md"


def test_every_lever_and_page_is_in_the_reference() -> None:
    """Whatever one can open or pull is written down."""
    text = "".join(page.read_text("utf-8") for page in REFERENCE.glob("*.md"))
    for lever in levers_of():
        assert f"`{lever.name}`" in text, f"the lever {lever.name} is not described"
    for page in pages_of():
        assert f"`{page.path}`" in text, f"the page {page.path} is not described"


def test_every_command_is_in_the_reference_and_explains_itself() -> None:
    """Each command has help, a section, and a line in the table of all commands."""
    overview = (REFERENCE / "commands.md").read_text("utf-8")
    text = "".join(page.read_text("utf-8") for page in REFERENCE.glob("*.md"))
    for typed, command in commands.every():
        assert command.help, f"{typed} does not say what it does"
        assert f"### `{typed}`" in text, f"{typed} is not described"
        assert f"[`{typed}`](" in overview, f"{typed} is not in commands.md"


def test_glossary_knows_our_words() -> None:
    """Every noun, fact and kind of span is in the glossary, so nobody has to guess."""
    text = (REFERENCE / "glossary.md").read_text("utf-8")
    headings = {line[4:].casefold() for line in text.splitlines() if line.startswith("### ")}
    for card in CARDS:
        assert card.noun in headings, f"the glossary does not explain {card.noun}"
        for kind in card.spans:
            assert kind.name in headings, f"the glossary does not explain the span {kind.name}"
    for name in shipped():
        assert f"`{name}`" in text, f"the glossary does not mention {name}"


CONFIGURATIONS = [(page, text) for page in PAGES for text in blocks(page, "yaml")]


@pytest.mark.parametrize(
    ("page", "text"), CONFIGURATIONS, ids=[called(p) for p, _ in CONFIGURATIONS]
)
def test_example_configurations_are_right(page: Path, text: str) -> None:
    """Every piece of detente.yaml in the docs passes the check that users run."""
    loads(text, declared_type(), name=called(page), environ={}, cross=mistakes)


def test_every_slice_shows_an_example_of_its_section() -> None:
    """Nobody has to put a section together from a table of keys."""
    for noun in NOUNS:
        shown = [yaml.safe_load(text) for text in blocks(REFERENCE / f"{noun}.md", "yaml")]
        assert any(noun in each for each in shown), f"{noun}.md has no example of `{noun}:`"


def test_example_programs_run() -> None:
    """The program in the how-to about simulating does what it says."""
    for program in blocks(DOCS / "how-to" / "simulate.md", "python"):
        exec(compile(program, "simulate.md", "exec"), {"__name__": "example"})


TYPED = [
    (page, line)
    for page in PAGES
    for text in blocks(page, "")
    for line in text.splitlines()
    if line.startswith("detente ") or " detente " in line.partition("&&")[2]
]


@pytest.mark.parametrize(("page", "line"), TYPED, ids=[f"{called(p)}: {line}" for p, line in TYPED])
def test_typed_commands_exist(page: Path, line: str) -> None:
    """Each command line in the docs names commands and options that there are."""
    for typed in line.split(" && "):
        command: click.Command = root
        words = typed.partition(" > ")[0].split()[1:]
        while words and isinstance(command, click.Group):
            below = command.get_command(click.Context(command), words[0])
            if below is None:
                break
            command, words = below, words[1:]
        assert command is not root, f"{called(page)} types “{typed}”, which is no command"
        options = {name for each in command.params for name in each.opts} | {"--help"}
        unknown = [
            each for each in words if re.fullmatch(r"--[\w-]+", each) and each not in options
        ]
        assert not unknown, f"{called(page)}: “{typed}” has no option {', '.join(unknown)}"


_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")


def anchors(page: Path) -> set[str]:
    """Where one can jump to on a page."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    return {anchor(line.lstrip("# ")) for line in text.splitlines() if re.match(r"#+ ", line)}


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link inside the docs leads to a file that is there, and to a heading that it has."""
    for groups in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        where = groups[0] or groups[1]
        if re.match(r"[a-z]+:", where):
            continue
        path, _, jump = where.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{called(page)} leads to {path}, which is not there"
        if jump:
            assert jump in anchors(target), f"{called(page)} leads to #{jump}, no heading of {path}"


def test_readme_keeps_it_short() -> None:
    """What it does in at most seven bullets, something real watched in at most twelve lines."""
    text = (HOME / "README.md").read_text("utf-8")
    does = text.partition("## What this does\n")[2].partition("\n#")[0]
    assert 0 < len(re.findall(r"^- ", does, re.MULTILINE)) <= 7
    first = next(blocks(HOME / "README.md", "yaml"))
    assert len(first.strip().splitlines()) <= 12


MISSION = DOCS / "mission.md"
ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in MISSION.read_text("utf-8").splitlines()
    if re.match(r"\| \d", line)
]


def test_the_mission_has_each_row_once() -> None:
    """Nothing that the stories ask for is left out, or told twice."""
    assert [int(row[0]) for row in ROWS] == list(range(1, 29))


@pytest.mark.parametrize("row", ROWS, ids=[f"row {row[0]}" for row in ROWS])
def test_the_mission_names_what_is_there(row: list[str]) -> None:
    """Each row names a command or a page that exists, a test that holds it, and what is thin."""
    _, does, see, held, thin = row
    assert does
    assert thin
    assert re.search(r"\]\(\.\./tests/[\w/]+\.py\)", held), "no test is named"
    typed = {name for name, _ in commands.every()}
    paths = {page.path for page in pages_of()}
    paths |= {each.path for card in CARDS for each in card.endpoints}
    named = re.findall(r"`([^`]+)`", see)
    assert named
    for each in named:
        assert each in (typed if each.startswith("detente ") else paths), f"there is no {each}"


FRAGMENTS = [
    page for page in sorted((HOME / "changelog.d").glob("*.md")) if page.name != "README.md"
]
_KINDS = ("added", "changed", "fixed", "removed", "security")


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=called)
def test_changelog_fragments_say_what_they_are_about(fragment: Path) -> None:
    """The name says which noun and which kind of change, so that a release can sort them."""
    about, _, change = fragment.stem.rpartition(".")
    nouns = (*NOUNS, "kernel", "story", "demo")
    assert about.startswith(tuple(f"{noun}-" for noun in nouns) + nouns), fragment.name
    assert change in _KINDS, fragment.name
    assert fragment.read_text("utf-8").strip().endswith("."), f"{fragment.name} is no sentence"


def test_pictures_are_shown_or_taken() -> None:
    """No picture lies about that nothing takes anew."""
    from making import pictures

    taken = pictures.names()
    kept = {each.name for each in pictures.PICTURES.glob("*.png")}
    assert kept <= taken, f"nothing takes {', '.join(sorted(kept - taken))}"
