"""Is everything that may have been a cause found in the ledger, with what became of it?"""

from __future__ import annotations

import asyncio

from tests.incidents.test_pages import drawn

from detente.facts.dependencies import ChangeDropped, ChangePlanned, ChangeRecorded
from detente.facts.releases import Began, Requested, RolledBack, Shipped, Stopped
from detente.facts.toggles import Defined, FlippedBack, SwitchedOff, SwitchedOn
from detente.facts.watch import CameBack, Warned, WentDown
from detente.incidents import pages, queries
from detente.incidents.engine.suspects import Change
from detente.incidents.pages.changed import Changed, changed
from detente.incidents.queries import changes
from detente.kernel.clock import later
from detente.kernel.fact import Fact
from detente.kernel.node import Node
from detente.kernel.slice import Ask

CAS, PORTAL = "infrastructure:cas", "service:portal"
PAGE = next(each for each in pages.PAGES if each.path == "/incidents/{number}/changed")
A_WEEK = 7 * 86_400


async def write(node: Node, *facts: Fact, wait: float = 60) -> None:
    await node.record(*facts, by="ann")
    await asyncio.sleep(wait)


async def falls(node: Node) -> None:
    down = WentDown(
        about="check:portal", of=PORTAL, since=node.clock.now(), reason="HTTP 500", failures=3,
        environment="production",
    )  # fmt: skip
    await write(node, down)


async def rises(node: Node) -> None:
    back = CameBack(about="check:portal", of=PORTAL, since=node.clock.now(), lasted=60.0)
    await write(node, back, wait=70)


def found(node: Node) -> dict[str, Change]:
    incident = queries.one_or_not_found(node.rows, "incident:1")
    return {each.about: each for each in changes.before(node.ledger, incident, A_WEEK)}


def ranking(node: Node) -> Changed:
    return changed(node, Ask(path={"number": "1"}))


def requested(node: Node, name: str, *touches: str) -> Requested:
    now = node.clock.now()
    return Requested(about=name, title="new", starts=now, ends=later(now, 60), touches=touches)


def test_a_release_touches_what_its_request_says(agency) -> None:
    """One candidate a release, at the moment production changed, undone when it was rolled back."""

    async def story(node: Node) -> None:
        await write(
            node, requested(node, "release:1", PORTAL), requested(node, "release:2", PORTAL)
        )
        await write(node, Began(about="release:2", version="9"))
        await write(node, Stopped(about="release:2", step="gate", why="a test failed"))
        await write(node, Began(about="release:1", version="4.2", before="4.1"))
        shipped = node.clock.now()
        await write(node, Shipped(about="release:1", version="4.2"))
        await falls(node)
        undone = node.clock.now()
        why = "41 of 60 failed"
        back = RolledBack(about="release:1", to="4.1", why=why, because="check:portal")
        await write(node, back, wait=10)
        await rises(node)
        assert set(found(node)) == {"release:1"}, "what was stopped changed nothing"
        change = found(node)["release:1"]
        assert (change.at, change.undone, change.touches) == (shipped, undone, (PORTAL,))
        assert change.blamed == why
        first = ranking(node).candidates[0]
        assert (first.about, first.strength) == ("release:1", "strong")
        assert any("it was taken back, and 10 s later" in each for each in first.reasons)

    agency.play(story)


def test_a_toggle_touches_what_it_belongs_to(agency) -> None:
    """The newest definition says so; every flip is a change, and the next flip takes it back."""

    async def story(node: Node) -> None:
        defined = Defined(about="toggle:new", definition="{}", belongs_to=PORTAL)
        await write(node, defined, SwitchedOn(about="toggle:old"), SwitchedOff(about="toggle:old"))
        await write(node, SwitchedOn(about="toggle:new"))
        await falls(node)
        flipped = FlippedBack(about="toggle:new", because="check:portal", why="9 of 9 failed")
        await write(node, flipped, wait=10)
        await rises(node)
        answer = ranking(node)
        assert answer.known
        first = answer.candidates[0]
        assert (first.about, first.says) == ("toggle:new", "switched on for everybody")
        assert "a guard took it back because of this: 9 of 9 failed" in first.reasons

    agency.play(story)


def test_changes_of_infrastructure_count_when_they_were_made(agency) -> None:
    """Made under the name it was planned under; planned only; and dropped."""

    async def story(node: Node) -> None:
        now = node.clock.now()
        for name in ("change:vm", "change:disk", "change:no"):
            await write(node, ChangePlanned(about=name, title="move", touches=(CAS,), starts=now))
        await write(node, ChangeDropped(about="change:no"))
        made = node.clock.now()
        moved = ChangeRecorded(about="change:vm", title="moved sign-on to a VM", touches=(CAS,))
        await write(node, moved)
        await falls(node)
        assert found(node)["change:vm"].at == made
        assert found(node)["change:disk"].says == "was planned for then: move"
        assert "change:no" not in found(node)
        answer = ranking(node)
        assert answer.candidates[0].about == "change:vm"
        assert "touched Sign-on, which Portal needs, directly" in answer.candidates[0].reasons
        shown = drawn(node, PAGE, number="1")
        assert "moved sign-on to a VM" in shown
        assert "What changed?" in shown

    agency.play(story)


def test_others_that_were_down_and_warnings_that_lasted(agency) -> None:
    """An outage that was over before is not taken for one that went on."""

    async def story(node: Node) -> None:
        for name in ("cas", "vm1"):
            of, since = f"infrastructure:{name}", node.clock.now()
            twin = WentDown(
                about=f"check:{name}", of=of, since=since, reason="refused", failures=3,
                environment="test",
            )  # fmt: skip
            await write(node, twin)
        back = CameBack(
            about="check:vm1", of="infrastructure:vm1", since=node.clock.now(), lasted=9.0
        )
        await write(node, back)
        soon = Warned(
            about="check:tls", of=PORTAL, since=node.clock.now(), reason="certificate ends"
        )
        await write(node, soon)
        await falls(node)
        assert {name: each.lasts for name, each in found(node).items()} == {
            "check:cas": True, "check:vm1": False, "check:tls": True,
        }  # fmt: skip

    agency.play(story)


def test_nothing_changed(agency) -> None:
    """Then the answer is that nobody knows; reactions and what is older than a week do not count."""

    async def story(node: Node) -> None:
        await write(node, ChangeRecorded(about="change:old", title="old", touches=(PORTAL,)))
        await asyncio.sleep(8 * 86_400)
        await falls(node)
        await write(node, ChangeRecorded(about="change:new", title="restarted", touches=(PORTAL,)))
        answer = ranking(node)
        assert (answer.known, answer.considered) == (False, 0)
        assert answer.verdict == "Unknown: nothing on record changed in the 7 days before it."
        assert "Unknown" in drawn(node, PAGE, number="1")

    agency.play(story)
