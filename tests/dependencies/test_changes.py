"""Is a change told once, warned about before, and on the one timeline?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detente.dependencies import levers, pages, queries
from detente.dependencies.endpoints import take_in
from detente.facts.dependencies import ChangePlanned, ChangeRecorded
from detente.kernel.faces import signs_of, subject
from detente.kernel.forms import BadForm
from detente.kernel.node import Node
from detente.kernel.slice import Ask, Asked, NotFound, Refused
from detente.kernel.web.pulling import Outcome, Pulling
from detente.testing import World, simulate

from ..suites import suite, wants
from .agency import MAP

CAS = "infrastructure:cas"
TITLE = "moved sign-on to a VM"
NAMES = (
    "dependencies.change_planned",
    "dependencies.change_recorded",
    "dependencies.change_dropped",
)
PAGE: Callable[[Node, Ask], pages.ChangesPage] = pages.changes


async def pull(world: World, name: str, about: str, **form: str) -> Outcome:
    pulling = Pulling(world.node, levers.LEVERS)
    return await pulling.pull(f"dependencies.{name}", {"about": about, **form}, by="ann")


async def post(world: World, said: object, by: str = "") -> tuple[int, dict[str, Any]]:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    answered = await take_in(world.node, Asked(method="POST", body=body, by=by))
    return answered.status, json.loads(answered.body)


# -- by hand ---------------------------------------------------------------------------------------


def test_a_planned_change_of_a_central_point_is_warned_about_until_it_is_made() -> None:
    """On *Now*, with who planned it, what falls and what it costs; once it was made, it is quiet."""

    async def story(world: World) -> None:
        await pull(world, "record_change", CAS, title=TITLE, at="2026-11-02 10:00")
        (planned,) = world.facts(*NAMES)
        assert isinstance(planned, ChangePlanned)
        assert planned.central == (CAS,)
        (sign,) = [each for each in signs_of(world.node) if each.about == planned.about]
        assert (sign.tone, sign.held_by, sign.since) == ("warn", "ann", None)
        assert sign.sentence.startswith(
            f"“{TITLE}” is planned for 2 November 10:00 UTC. Sign-on is a"
        )
        assert "4\N{NARROW NO-BREAK SPACE}200.00 EUR an hour" in sign.sentence
        await pull(world, "made", planned.about)
        assert isinstance(world.facts(*NAMES)[1], ChangeRecorded)
        assert not [each for each in signs_of(world.node) if each.about == planned.about]

    simulate(story, declared=MAP)


def test_a_change_nobody_spoke_of_again_is_overdue() -> None:
    """It stays planned, and an hour after its time it is asked whether it was made."""

    async def story(world: World) -> None:
        await pull(
            world,
            "record_change",
            "infrastructure:mailer",
            title="new relay",
            at="2026-11-02 10:00",
        )
        assert not [each for each in signs_of(world.node) if each.tone == "warn"], "nothing falls"
        await world.passes(2.5 * 3_600)
        (each,) = PAGE(world.node, Ask()).planned
        assert (each.overdue, each.state) == (True, "overdue: was it made?")
        (sign,) = [each for each in signs_of(world.node) if each.tone == "warn"]
        assert sign.sentence == "“new relay” was planned for 2 November 10:00 UTC: was it made?"

    simulate(story, declared=MAP)


def test_a_change_is_made_or_dropped_once() -> None:
    """Not made twice, not dropped after it was made, not made in the future; and not what nobody planned."""

    async def story(world: World) -> None:
        for _ in range(2):
            await pull(world, "record_change", CAS, title=TITLE, at="2026-11-03 10:00")
        first, second = (each.about for each in world.facts(*NAMES))
        with pytest.raises(Refused, match="from now: it cannot have been made yet"):
            await pull(world, "made", first, at="2026-11-03 10:00")
        await pull(world, "made", first, at="2026-11-02 08:30")
        with pytest.raises(Refused, match="was made already"):
            await pull(world, "made", first)
        with pytest.raises(Refused, match="was made already"):
            await pull(world, "drop_change", first)
        await pull(world, "drop_change", second, why="no\nneed")
        with pytest.raises(Refused, match="was dropped"):
            await pull(world, "made", second)
        with pytest.raises(NotFound, match="no change nobody"):
            await pull(world, "made", "change:nobody")
        page = PAGE(world.node, Ask())
        assert [each.state for each in page.past] == ["dropped", "made"]
        assert page.past[0].change.why == "no need"

    simulate(story, declared=MAP)


@pytest.mark.parametrize(
    ("about", "form", "says"),
    [
        (CAS, {"title": " "}, "title: this has to be filled in"),
        (CAS, {"title": "x", "touches": "db1, portl"}, "touches: nothing called “portl” is declared; did"),
        ("infrastructure:css", {"title": "x"}, "touches: nothing called “css” is declared; did you mean cas"),
        (CAS, {"title": "x", "at": "soon"}, "at: “soon” is not a time"),
        (CAS, {"title": "x", "link": "cas"}, "link: “cas” is no address"),
        (CAS, {"title": "x", "tuches": "db1"}, "“tuches” is not asked for here"),
    ],
)  # fmt: skip
def test_a_form_filled_in_wrongly_changes_nothing(
    about: str, form: dict[str, str], says: str
) -> None:
    """One sentence with the field and the remedy."""

    async def story(world: World) -> None:
        with pytest.raises(BadForm, match=says):
            await pull(world, "record_change", about, **form)
        assert not world.facts(*NAMES)

    simulate(story, declared=MAP)


def test_a_change_shows_where_it_belongs() -> None:
    """With what it touches, on the subject's page and in its panel; a change alone touches nothing."""

    async def story(world: World) -> None:
        await pull(
            world, "record_change", CAS, title=TITLE, touches="db1", link="https://t.example/1"
        )
        await pull(world, "record_change", "node:here", title="renewed a domain")
        found = queries.touching(world.node.rows, "infrastructure:db1", 0)
        assert [each.title for each in found] == [TITLE]
        assert found[0].link == "https://t.example/1"
        panel = pages.falls_panel(world.node, CAS)
        assert panel is not None
        assert [each.change.title for each in panel.changes] == [TITLE]
        assert pages.change_panel(world.node, found[0].about) is not None
        touched = subject(world.node, Ask(path={"kind": "infrastructure", "name": "db1"}))
        assert [each.name for each in touched.told] == ["dependencies.change_recorded"]
        assert pages.change_panel(world.node, "change:nobody") is None

    simulate(story, declared=MAP)


# -- by other programs -----------------------------------------------------------------------------


def test_the_same_id_is_written_once(tmp_path: Path) -> None:
    """Told again, at the same moment or after a crash: the same answer, and one fact."""
    said = {"title": TITLE, "touches": ["cas"], "id": "jira-4711", "at": "2026-11-09 06:00"}

    async def first(world: World) -> None:
        answers = await asyncio.gather(*(post(world, said) for _ in range(3)))
        assert sorted(status for status, _ in answers) == [200, 200, 201]
        (new,) = (taken for status, taken in answers if status == 201)
        assert new["about"] == "change:jira-4711"
        assert new["planned"] is True
        assert new["central"] == [CAS]
        assert new["tell"] == ["team:ops", "team:dev"]
        assert "Careful: cas is a central point" in new["says"]

    async def after_a_crash(world: World) -> None:
        status, taken = await post(world, {**said, "title": "something else"})
        assert (status, taken["repeated"]) == (200, True)
        (fact,) = world.recorded(*NAMES)
        assert fact.by == "program:changes"

    simulate(first, declared=MAP, ledger=tmp_path / "ledger.db")
    simulate(after_a_crash, declared=MAP, ledger=tmp_path / "ledger.db")


def test_without_an_id_each_is_a_change_of_its_own() -> None:
    """And whoever says who they are is named."""

    async def story(world: World) -> None:
        for _ in range(2):
            status, _ = await post(world, {"title": "rebooted"}, by="ann")
            assert status == 201
        assert [each.by for each in world.recorded(*NAMES)] == ["ann", "ann"]
        assert len({each.about for each in world.facts(*NAMES)}) == 2

    simulate(story, declared=MAP)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (b"x", "The body is not JSON"),
        ([1], "The body: expected object, got array"),
        ({}, "title: this has to be filled in"),
        ({"title": 5}, "title: write a text"),
        ({"titel": "a"}, "“titel” is not asked for here; a change has title, touches, at, link, id"),
        ({"title": "a", "touches": "cas"}, 'touches: write a list of names, such as \\["cas"\\]'),
        ({"title": "a", "touches": [7]}, "touches: write a list of names"),
        ({"title": "a", "touches": ["cass"]}, "did you mean cas"),
        ({"title": "a", "at": "morgen"}, "at: “morgen” is not a time"),
        ({"title": "a", "id": "../x"}, "id: up to 80 letters"),
        ({"title": "x" * 201}, "title: 201 letters are too many"),
        ({"context": {"type": "dev.cdevents.service.deployed.0.3.0"}}, "no CDEvent: subject is missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_and_changes_nothing(said: object, says: str) -> None:
    """One clear sentence naming the field."""

    async def story(world: World) -> None:
        with pytest.raises(BadForm, match=says):
            await post(world, said)
        assert not world.facts(*NAMES)

    simulate(story, declared=MAP)


# -- CDEvents --------------------------------------------------------------------------------------


def event(
    type: str = "service.upgraded", subject: str = "/services/tax", **content: Any
) -> dict[str, Any]:
    return {
        "context": {
            "id": "5328c37f", "source": "ci", "type": f"dev.cdevents.{type}.0.3.0",
            "timestamp": "2026-11-02T08:00:00Z",
        },
        "subject": {"id": subject, "content": content},
    }  # fmt: skip


def test_a_pipelines_deployment_is_a_change() -> None:
    """Found on the map by the last part of its id; told once, by source and id, bare or wrapped."""

    async def story(world: World) -> None:
        told = event(artifactId="pkg:oci/tax@sha256%3A0b31b1c02ff458ad9b7b81")
        status, taken = await post(world, told)
        assert (status, taken["touches"]) == (201, ["service:tax"])
        (fact,) = world.facts(*NAMES)
        assert isinstance(fact, ChangeRecorded)
        assert fact.title == "tax was upgraded (tax 0b31b1c02ff4)"
        wrapped = {"specversion": "1.0", "id": "other", "data": told}
        assert (await post(world, wrapped))[1]["repeated"] is True
        assert len(world.facts(*NAMES)) == 1

    simulate(story, declared=MAP)


def test_what_is_no_change_of_production_is_taken_and_not_written() -> None:
    """A build, a deployment to a test environment: a pipeline is thanked, so that it sends no more."""
    declared = MAP.replace(
        "tax: {", "tax: {environments: {production: {}, test: {twin_of: production}}, "
    )

    async def story(world: World) -> None:
        for told in (event("build.started"), event(environment={"id": "test"})):
            status, taken = await post(world, told)
            assert (status, taken["recorded"]) == (200, False)
        assert not world.facts(*NAMES)
        assert (await post(world, event(environment={"id": "production"})))[0] == 201

    simulate(story, declared=declared)


@pytest.mark.suite
@wants("cdevents")
def test_every_event_of_the_conformance_suite_is_understood() -> None:
    """All of them are taken; those about services and environments are changes."""
    files = sorted((suite("cdevents") / "conformance").glob("*.json"))

    async def story(world: World) -> None:
        written = set()
        for number, path in enumerate(files):
            told = json.loads(path.read_text())
            told["context"]["id"] += f"-{number}"
            _, taken = await post(world, told)
            if taken["recorded"]:
                written.add(path.stem)
        assert written == {
            *(f"service_{how}" for how in ("deployed", "upgraded", "rolledback", "removed", "published")),
            *(f"environment_{how}" for how in ("created", "modified", "deleted")),
        }  # fmt: skip
        assert len(world.facts(*NAMES)) == len(written)

    assert len(files) >= 48
    simulate(story, declared=MAP)


# -- rows ------------------------------------------------------------------------------------------


def test_rows_folded_anew_are_the_rows_folded_live() -> None:
    """Changes planned, made and dropped, and what was made without a plan."""

    async def story(world: World) -> None:
        for number in range(12):
            at = world.chance.choice(["", "2026-11-05 06:00"])
            name = world.chance.choice(["cas", "db1", "mailer"])
            await pull(world, "record_change", f"infrastructure:{name}", title=f"{number}", at=at)
        for change in queries.planned(world.node.rows):
            await pull(world, world.chance.choice(["made", "drop_change"]), change.about)
        asked = "select * from dependencies_change order by about"
        live = list(world.node.rows.execute(asked))
        assert len(live) == 12
        world.node.views.rebuild(world.node.ledger)
        assert list(world.node.rows.execute(asked)) == live

    simulate(story, declared=MAP)
