"""What people see of toggles: how each stands, what could go, who would get what."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

import detente.toggles
from detente.app import levers_of, pages_of
from detente.facts.toggles import Counted, Usage
from detente.kernel.forms import BadForm
from detente.kernel.slice import Ask, NotFound
from detente.kernel.terminal.show import show
from detente.kernel.terminal.words import Seeing
from detente.kernel.web.kit import Reading, draw, environment
from detente.kernel.web.pulling import Pulling
from detente.testing import World, simulate
from detente.toggles import cli, pages  # noqa: F401 - cli: how pages look in a terminal

DECLARED = """
teams: {dev: {}}
services: {shop: {title: Shop}}
watch: {checks: {shop: {http: "http://shop.test/health", every: 10s}}}
toggles:
  toggles:
    checkout:
      title: New checkout
      owner: dev
      for: shop
      remove_by: 2026-11-20
      rules: [{who: {country: NO}, gets: off}]
      guard: {for: 10m}
    engine: {variants: {old: solr, new: elastic}, for: shop}
    everywhere: {}
    unasked: {schedule: [{at: 2027-01-01T08:00:00Z, to: 25%}]}
"""


async def pull(world: World, lever: str, name: str, **said: Any) -> None:
    said = {"about": f"toggle:{name}", "why": "we want it", **said}
    await Pulling(world.node, levers_of()).pull(f"toggles.{lever}", said, by="ada")


async def counted(world: World, *names: str) -> None:
    usage = {name: {"on": Usage(3), "off": Usage(7)} for name in names}
    told = Counted(about="program:shop", since=world.now - 10**9, until=world.now, counts=usage)
    await world.node.record(told, by="program:shop")


def lines(world: World) -> dict[str, pages.Line]:
    return {each.name: each for each in pages.overview(world.node, Ask()).toggles}


def drawn(world: World, template: str, answer: Any) -> str:
    folders = {"toggles": Path(detente.toggles.__file__).parent / "templates"}
    made = environment(world.node, folders, pages=pages_of(), levers=levers_of())
    assert msgspec.json.encode(answer), "the page has a JSON twin"
    page = next((each for each in pages.PAGES if each.template == template), None)
    return draw(made, template, Reading(now=world.now), answer=answer, page=page)


def typed(world: World, answer: Any) -> str:
    screen = Console(file=io.StringIO(), width=160, highlight=False)
    show(answer, on=screen, see=Seeing(world.now))
    return screen.file.getvalue()  # type: ignore[attr-defined]


def test_every_lever_is_listed_with_its_state_in_words() -> None:
    """How it stands, since when, by whom; what comes next; whose it is; who asked."""

    async def story(world: World) -> None:
        await pull(world, "percentage", "checkout", percent="10")
        await pull(world, "set", "engine", value="new")
        await counted(world, "checkout")
        listed = lines(world)
        assert listed["checkout"].state == "on for 10\N{NO-BREAK SPACE}%, and 1 rule"
        assert (listed["checkout"].by, listed["checkout"].owner) == ("ada", "dev")
        assert listed["checkout"].guarded_until
        assert listed["engine"].state == "set to new"
        assert listed["unasked"].step is not None
        assert listed["unasked"].step.to == "25%"
        overview = pages.overview(world.node, Ask())
        html = drawn(world, "toggles/list.html", overview)
        assert "New checkout" in html
        assert "we want it" in html
        text = typed(world, overview)
        assert "guarded until" in text
        assert "25% in 59 days" in text

    simulate(story, declared=DECLARED)


def test_dead_toggles_are_called_so_quietly(tmp_path: Path) -> None:
    """Overdue, forgotten by every program, the same for everybody for weeks: each with what to do."""
    ledger, used = tmp_path / "ledger.db", ("checkout", "engine", "everywhere")

    async def first(world: World) -> None:
        await pull(world, "on", "everywhere")

    async def second(world: World) -> None:
        await counted(world, *used)
        assert not any(each.advice for each in lines(world).values())

    async def third(world: World) -> None:
        await counted(world, *used)
        listed = lines(world)
        assert listed["checkout"].advice.startswith("was to be removed by 2026-11-20")
        assert listed["unasked"].advice.startswith("no program has asked for it in 19 days")
        assert listed["everywhere"].advice.startswith("everybody has had it for 19 days")
        assert not listed["engine"].advice
        assert not pages.signs(world.node)
        dead = pages.dead_panel(world.node, "node:here")
        assert dead is not None
        assert "take the toggle out" in drawn(world, "toggles/dead.html", dead)

    for day, story in ((2, first), (12, second), (21, third)):
        start = datetime(2026, 11, day, 10, 0, tzinfo=UTC)
        simulate(story, declared=DECLARED, ledger=ledger, start=start)


def test_silence_proves_nothing_while_no_program_tells(tmp_path: Path) -> None:
    """Where nobody counts, nobody is dead."""

    async def story(world: World) -> None:
        assert not any(each.advice for each in lines(world).values())

    for day in (1, 19):
        start = datetime(2026, 11, day, 10, 0, tzinfo=UTC)
        simulate(story, declared=DECLARED, ledger=tmp_path / "ledger.db", start=start)


def test_who_would_get_what() -> None:
    """One asks with a name and attributes, and hears the variant, the value and why."""

    async def story(world: World) -> None:
        await pull(world, "on", "checkout")

        def asked(**query: str) -> pages.Tried | None:
            return pages.one(world.node, Ask({"name": "checkout"}, query)).tried

        tried = asked(who="ada", **{"with": "country=NO, age=3"})
        assert tried is not None
        assert (tried.variant, tried.value) == ("off", "false")
        assert tried.because == "a rule or a share says so"
        assert asked() is None
        with pytest.raises(BadForm, match="name=value"):
            asked(**{"with": "country"})
        with pytest.raises(NotFound, match="/toggles lists"):
            pages.one(world.node, Ask({"name": "nothing"}))

    simulate(story, declared=DECLARED)


def test_one_toggle_with_all_that_is_known() -> None:
    """Definition, guard with its numbers and its picture, history: on the page and in a terminal."""

    async def story(world: World) -> None:
        await world.passes(3_600)
        await pull(world, "on", "checkout")
        await world.passes(120)
        world.vendor("shop").errors = 0.9
        await world.passes(300)
        page = pages.one(world.node, Ask({"name": "checkout"}))
        assert page.guard is not None
        eye = page.guard.eyes[0]
        assert (eye.title, eye.tone) == ("check shop", "bad")
        assert eye.points[-1][1] < page.guard.line < eye.points[0][1]
        assert page.declared != page.definition
        html = drawn(world, "toggles/toggle.html", page)
        assert "<polyline" in html
        assert "The guard flipped it back: " in html
        text = typed(world, page)
        assert "more than chance explains" in text
        assert "flipped back by the guard" in text

    simulate(story, declared=DECLARED)


def test_a_toggle_that_nobody_touched() -> None:
    """Nothing to guard, nobody who asked: said in words, not left empty."""

    async def story(world: World) -> None:
        page = pages.one(world.node, Ask({"name": "checkout"}))
        html = drawn(world, "toggles/toggle.html", page)
        assert "Nothing to guard yet" in html
        assert "check shop" in html
        knob = drawn(world, "toggles/toggle.html", pages.one(world.node, Ask({"name": "engine"})))
        assert "No guard" in knob

    simulate(story, declared=DECLARED)


def test_panels_belong_to_services_and_releases() -> None:
    """A service shows its toggles; a release those that were switched for it; others nothing."""

    async def story(world: World) -> None:
        await pull(world, "on", "everywhere", release="41")

        def shown(about: str) -> list[str]:
            mine = pages.panel(world.node, about)
            return [each.name for each in mine.toggles] if mine else []

        assert shown("service:shop") == ["checkout", "engine"]
        assert shown("release:41") == ["everywhere"]
        assert shown("vendor:nobody") == []

    simulate(story, declared=DECLARED)


def test_nothing_declared() -> None:
    """The empty page says what to do."""

    async def story(world: World) -> None:
        overview = pages.overview(world.node, Ask())
        assert "Declare a toggle under toggles:" in drawn(world, "toggles/list.html", overview)
        assert "declare toggles under `toggles:`" in typed(world, overview)

    simulate(story, declared="services: {shop: {}}")
