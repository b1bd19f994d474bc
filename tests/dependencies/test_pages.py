"""Can both sides see what falls when this falls?"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from rich.console import Console

import detente.dependencies
from detente.app import levers_of
from detente.dependencies import cli, pages  # noqa: F401 - how it looks in a terminal
from detente.facts.dependencies import Suspected
from detente.kernel.faces import panels_of, subject
from detente.kernel.forms import BadForm
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import Ask, NotFound, Page, Pull
from detente.kernel.terminal.show import show
from detente.kernel.terminal.words import Seeing
from detente.kernel.web.kit import Reading, draw, environment
from detente.testing import World, simulate

from .agency import MAP, WATCHED

MAP_PAGE, CHANGES, WITHOUT = pages.PAGES
TEMPLATES = Path(detente.dependencies.__file__).parent / "templates"


def drawn(node: Node, page: Page, query: Mapping[str, str] | None = None, **path: str) -> str:
    """The page as HTML; its answer is JSON as well, and comes back from it."""
    answer = page.answer(node, Ask(path=path, query=query or {}))
    assert msgspec.json.decode(msgspec.json.encode(answer), type=type(answer)) == answer
    kit = environment(
        node, {"dependencies": TEMPLATES}, pages=pages.PAGES, levers=levers_of(node.cards)
    )
    reading = Reading(now=node.clock.now(), path=page.path)
    return draw(kit, page.template, reading, page=page, answer=answer)


def printed(answer: object, node: Node) -> str:
    """The same on a terminal."""
    file = StringIO()
    show(answer, on=Console(file=file, width=120), see=Seeing(node.clock.now()))
    return file.getvalue()


def picture(html: str) -> ElementTree.Element:
    """The drawing, which must be well-formed."""
    found = re.search(r'<svg width="\d+" height="\d+".*?</figure>', html, re.DOTALL)
    assert found
    return ElementTree.fromstring(found[0].partition("</div>")[0])


def places(html: str) -> dict[str, str]:
    """The classes of each box, by the title in it."""
    boxes = [each for each in picture(html).iter("g") if "place" in each.get("class", "")]
    return {
        next(text.text or "" for text in box.iter("text")): box.get("class", "") for box in boxes
    }


def look(world: World, text: str) -> None:
    assert text in drawn(world.node, MAP_PAGE), text


def test_the_map_shows_how_everything_stands() -> None:
    """Sign, word and colour in every box; sign-on is down, and whatever needs it cannot work."""

    async def story(world: World) -> None:
        await world.passes(60)
        well = drawn(world.node, MAP_PAGE)
        assert "Nothing on the map is known to be down." in well
        assert places(well)["Sign-on"].split() == ["place", "good", "infrastructure", "central"]
        world.vendor("cas").away = True
        await world.passes(60)
        html = drawn(world.node, MAP_PAGE)
        assert "Sign-on is down: 4 of 4 journeys cannot be done meanwhile: 4" in html
        assert "bad" in places(html)["Renew a permit"]
        assert "plain" in places(html)["CardPay"] or "good" in places(html)["CardPay"]
        words = [each.text for each in picture(html).iter("text") if each.get("class") == "word"]
        assert words.count("down") == 1
        assert words.count("cannot work") == 8
        assert (
            sum(each.get("class", "").endswith("broken") for each in picture(html).iter("path"))
            >= 8
        )
        on_screen = printed(MAP_PAGE.answer(world.node, Ask()), world.node)
        assert "Sign-on is down: 4 of 4 journeys" in on_screen
        assert re.search(r"infrastructure cas +4 of 4 .*EUR +8 +✗ down\s+central", on_screen)
        assert "nothing falls: spare of db2" in on_screen

    simulate(story, declared=MAP + WATCHED)


def test_what_if_by_following_a_link() -> None:
    """Every box leads to the map without it; there, what would fall is counted and priced."""

    async def story(world: World) -> None:
        html = drawn(world.node, MAP_PAGE)
        (link,) = (
            each.get("href", "")
            for each in picture(html).iter("a")
            if "Sign-on" in str(each.get("aria-label"))
        )
        assert link == "/dependencies?down=cas"
        html = drawn(world.node, MAP_PAGE, {"down": "cas"})
        assert (
            "If Sign-on is down, 4 of 4 journeys cannot be done: 4\N{NARROW NO-BREAK SPACE}200.00 EUR an hour."
            in html
        )
        boxes = places(html)
        assert "asked" in boxes["Sign-on"]
        assert sum("bad" in each for each in boxes.values()) == 9
        links = {str(each.get("aria-label")): each.get("href") for each in picture(html).iter("a")}
        assert links["infrastructure Sign-on: taken away, a central point"] == "/dependencies"
        assert links["infrastructure db1: stands"] == "/dependencies?down=cas,db1"
        both = MAP_PAGE.answer(world.node, Ask(query={"down": "db1,db2"}))
        assert isinstance(both, pages.MapPage)
        assert both.what_if is not None
        assert both.what_if.an_hour == (Money(360_000, "EUR"),)
        assert [each.over for each in both.what_if.falls if each.about == "service:tax"] == [
            ("infrastructure:db1", "infrastructure:db2")
        ]
        alone = MAP_PAGE.answer(world.node, Ask(query={"down": "db1"}))
        assert isinstance(alone, pages.MapPage)
        assert alone.what_if is not None
        assert alone.what_if.weakened == ("service:permits", "service:tax")
        assert "nothing else falls: every journey can still be done" in alone.what_if.sentence

    simulate(story, declared=MAP)


def test_what_if_on_a_terminal() -> None:
    """`detente dependencies without cas`: the sentence, what falls over what, and who should know."""

    async def story(world: World) -> None:
        answer = WITHOUT.answer(world.node, Ask(path={"name": "cas"}))
        assert "If Sign-on is down" in drawn(world.node, WITHOUT, name="cas")
        on_screen = printed(answer, world.node)
        assert re.search(r"journey renew +permits", on_screen)
        assert "ops, dev" in on_screen

    simulate(story, declared=MAP)


def test_a_name_nobody_declared() -> None:
    """The nearest right one, and a page that says so."""

    async def story(world: World) -> None:
        with pytest.raises(
            BadForm, match="down: nothing called “cass” is declared; did you mean cas"
        ):
            MAP_PAGE.answer(world.node, Ask(query={"down": "cass"}))

    simulate(story, declared=MAP)


def test_what_is_looked_for_is_found() -> None:
    """By name or title, in any case; what is not there is said calmly."""

    async def story(world: World) -> None:
        html = drawn(world.node, MAP_PAGE, {"find": "PERMIT"})
        assert {name for name, classes in places(html).items() if "found" in classes} == {
            "Renew a permit",
            "permits",
        }
        html = drawn(world.node, MAP_PAGE, {"find": "<b>"})
        assert "Nothing on the map is called like that" in html
        assert "&lt;b&gt;" in html
        assert "<b>" not in html

    simulate(story, declared=MAP)


def test_an_empty_map_says_how_to_begin() -> None:
    """No drawing, no table, one hint; without journeys it says what is missing."""

    async def story(world: World) -> None:
        assert "Nothing is on the map yet" in drawn(world.node, MAP_PAGE)
        assert "No change is planned" in drawn(world.node, CHANGES)
        assert "Nothing is on the map yet" in printed(
            MAP_PAGE.answer(world.node, Ask()), world.node
        )
        assert "changes record --help" in printed(CHANGES.answer(world.node, Ask()), world.node)

    async def bare(world: World) -> None:
        look(world, "Declare journeys")
        answer = MAP_PAGE.answer(world.node, Ask(query={"down": "cas"}))
        assert isinstance(answer, pages.MapPage)
        assert answer.what_if is not None
        assert answer.what_if.sentence == "If cas is down, 1 other thing cannot work."

    simulate(story, declared="name: x")
    simulate(bare, declared="infrastructure: {cas: {}}\nservices: {shop: {needs: [cas]}}")


def test_a_large_map_is_drawn_in_part() -> None:
    """As much as one can look at, and it says so; what is looked for is always there."""
    hosts = "\n".join(f"  h{n}: {{}}" for n in range(200))
    services = "\n".join(f"  s{n}: {{needs: [h{n}]}}" for n in range(200))

    async def story(world: World) -> None:
        html = drawn(world.node, MAP_PAGE, {"find": "s177"})
        assert len(places(html)) == 90
        assert {"s177", "h177"} <= set(places(html))
        assert "310 more are not drawn" in html
        assert "388 more" in html
        every = MAP_PAGE.answer(world.node, Ask(query={"all": ""}))
        assert isinstance(every, pages.MapPage)
        assert len(every.points) == 400

    simulate(story, declared=f"infrastructure:\n{hosts}\nservices:\n{services}")


def test_changes_and_suspicions_are_shown() -> None:
    """Planned ones with their warning and levers, on both pages; what fell together by its names."""

    async def story(world: World) -> None:
        lever = next(
            each
            for each in levers_of(world.node.cards)
            if each.name == "dependencies.record_change"
        )
        form = lever.form(
            title="moved <sign-on>", at="2026-11-28 06:00", touches="", link="https://t.example/1"
        )
        pull = Pull(about="infrastructure:cas", by="ann", at=world.now, form=form)
        await world.node.record(*lever.decide(world.node, pull), by="ann")
        nodes = ("service:forms", "vendor:cardpay")
        suspected = Suspected(about="suspicion:x", together=nodes, since=world.now, chance=2e-8)
        await world.node.record(suspected, by="detente:dependencies")
        for page in (MAP_PAGE, CHANGES):
            html = drawn(world.node, page)
            assert "moved &lt;sign-on&gt;" in html
            assert "Sign-on is a central point. Would fall: Renew a permit" in html
            assert "/levers/dependencies.made" in html
            assert 'href="https://t.example/1"' in html
            on_screen = printed(page.answer(world.node, Ask()), world.node)
            assert "Must know: ops, dev" in on_screen
        look(world, "less than 1 in a million")

    async def explained(world: World) -> None:
        nodes = ("service:tax", "service:forms")
        suspected = Suspected(about="suspicion:x", together=nodes, since=world.now, chance=2e-8)
        await world.node.record(suspected, by="detente:dependencies")
        assert "nobody declared why" not in drawn(world.node, MAP_PAGE)

    simulate(story, declared=MAP)
    simulate(explained, declared=MAP)


def test_the_panel_stands_on_everything_that_hangs_together() -> None:
    """What falls with it, what it needs and over what it falls; nothing where nothing is declared."""

    async def story(world: World) -> None:
        for about in ("infrastructure:cas", "vendor:cardpay", "service:permits", "journey:renew"):
            shown = [each for each in panels_of(world.node, about) if each.noun == "dependencies"]
            assert [each.title for each in shown] == ["What falls with it"], about
            page = subject(
                world.node, Ask(path=dict(zip(("kind", "name"), about.split(":"), strict=True)))
            )
            assert page.title == world.node.title(about)
        panel = pages.falls_panel(world.node, "journey:renew")
        assert panel is not None
        assert panel.sentence == ""
        assert set(panel.over) == {
            "service:permits",
            "infrastructure:cas",
            "infrastructure:vmhost1",
        }
        assert "Falls if one of these falls: vmhost1, cas, permits" in printed(panel, world.node)
        permits = pages.falls_panel(world.node, "service:permits")
        assert permits is not None
        assert [(each.about, each.sort) for each in permits.needs][-1] == (
            "infrastructure:mailer",
            "without",
        )
        on_screen = printed(permits, world.node)
        assert "Needs some of: db1 · nobody looks, db2" in on_screen
        assert pages.falls_panel(world.node, "vendor:alone") is None
        assert pages.falls_panel(world.node, "vendor:nobody") is None
        with pytest.raises(NotFound):
            subject(world.node, Ask(path={"kind": "infrastructure", "name": "nobody"}))
        await asyncio.sleep(0)

    simulate(story, declared=MAP.replace("vendors:\n", "vendors:\n  alone: {}\n"))
