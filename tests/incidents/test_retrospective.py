"""Are the four questions answered from the facts, finished by people, and never closed unnoticed?"""

from __future__ import annotations

import asyncio
import re

import pytest
from msgspec.structs import replace
from tests.incidents.test_pages import drawn

from detente.facts.acceptance import Ran, SuiteRan
from detente.facts.incidents import QUESTIONS
from detente.facts.toggles import Defined
from detente.facts.watch import CameBack, SheetFiled, Tally, WentDown
from detente.facts.work import DrillEnded
from detente.incidents import pages
from detente.incidents.decisions import afterwards
from detente.incidents.engine.again import MONTH, rate
from detente.incidents.levers import LEVERS, Drop, Give, Markdown, TakeOn
from detente.incidents.pages.retrospective import Retrospection, as_markdown, retrospective
from detente.incidents.wording import DRAFT, BadMarkdown, read_markdown
from detente.kernel.fact import Fact
from detente.kernel.forms import BadForm, fill
from detente.kernel.ledger import Query
from detente.kernel.node import Node
from detente.kernel.slice import Ask, Asked, Nothing, Pull, Refused
from detente.kernel.views import Views
from detente.kernel.web.pulling import Pulling

VENDOR = "vendor:cardpay"
PAGE = next(each for each in pages.PAGES if each.path.endswith("/retrospective"))


async def an_incident(node: Node, *, lasts: float = 120) -> None:
    down = WentDown(
        about="check:cardpay", of=VENDOR, since=node.clock.now(), reason="refused", failures=3,
        environment="production",
    )  # fmt: skip
    await node.record(down, by="watch")
    await asyncio.sleep(lasts)
    back = CameBack(about="check:cardpay", of=VENDOR, since=node.clock.now(), lasted=lasts)
    await node.record(back, by="watch")
    await asyncio.sleep(70)


async def pull(node: Node, verb: str, form: object = Nothing(), by: str = "ann") -> list[Fact]:
    lever = next(each for each in LEVERS if each.name == f"incidents.{verb}")
    assert lever.offered(node, "incident:1")
    asked = Pull(about="incident:1", by=by, at=node.clock.now(), form=form)
    facts = list(lever.decide(node, asked))
    if facts:
        await node.record(*facts, by=by)
        await asyncio.sleep(0.01)
    return facts


def answer(node: Node) -> Retrospection:
    return retrospective(node, Ask(path={"number": "1"}))


def happened(node: Node, name: str) -> list[Fact]:
    query = Query(names=(f"incidents.{name}",))
    return [each.fact for each in node.ledger.read(query)]


def test_drafts_say_what_the_facts_say(stage) -> None:
    """Before anybody wrote a word, all four questions have a draft, and none counts as answered."""

    async def story(node: Node) -> None:
        await an_incident(node)
        found = answer(node)
        assert [each.question for each in found.questions] == list(QUESTIONS.values())
        assert all(each.draft and each.text for each in found.questions)
        texts = {each.section: each.text for each in found.questions}
        assert "Check cardpay went down: refused." in texts["happened"]
        assert "Unknown: nothing on record changed" in texts["wrong"]
        assert "noticed 0 ms after" in texts["wrong"]
        assert "Nobody is on record as having been told." in texts["wrong"]
        assert "first time on record" in texts["again"]
        assert "We cannot promise that it will not." in texts["again"]
        assert "never rehearsed" in texts["then"]
        assert len(found.lacking) == 4
        assert "drafts from the facts" in drawn(node, PAGE, number="1")

    stage.play(story)


def test_from_opening_to_closing(stage) -> None:
    """Not closed while an answer is missing, nor on not knowing, unless that is said on purpose."""

    async def story(node: Node) -> None:
        await an_incident(node)
        with pytest.raises(AssertionError):
            await pull(node, "close_retrospective")
        await pull(node, "open_retrospective")
        with pytest.raises(Refused, match="“What happened\\?” is not answered yet"):
            await pull(node, "close_retrospective")
        for section in QUESTIONS:
            await pull(node, "answer", Give(section=section, answer="We don't know."))
        with pytest.raises(Refused, match="say on purpose that nobody knows"):
            await pull(node, "close_retrospective")
        for section in QUESTIONS:
            seen = answer(node).seen
            form = Give(section=section, answer="We don't know.", nobody_knows=True, seen=seen)
            await pull(node, "answer", form)
        assert "That was said on purpose" in drawn(node, PAGE, number="1").replace(
            "that was", "That was"
        )
        await pull(node, "close_retrospective")
        found = answer(node)
        assert (found.state, found.closed_by) == ("closed", "ann")
        assert "Save the answer" not in drawn(node, PAGE, number="1")
        with pytest.raises(AssertionError):
            await pull(node, "answer", Give(section="wrong", answer="a cable"))

    stage.play(story)


def test_nobody_overwrites_what_they_have_not_seen(stage) -> None:
    """An answer given meanwhile is never lost: whoever comes second hears who was quicker."""

    async def story(node: Node) -> None:
        await an_incident(node)
        await pull(node, "open_retrospective")
        await pull(node, "answer", Give(section="wrong", answer="a cable"), by="Ann")
        with pytest.raises(Refused, match="Ann answered “What went wrong\\?” on"):
            await pull(node, "answer", Give(section="wrong", answer="a switch"), by="Bob")
        seen = answer(node).seen
        await pull(node, "answer", Give(section="wrong", answer="a switch", seen=seen), by="Bob")
        assert await pull(node, "answer", Give(section="wrong", answer="a switch", seen=1)) == []
        assert answer(node).questions[1].by == "Bob"

    stage.play(story)


def test_two_who_answer_in_the_same_moment(stage) -> None:
    """Both decided before either was written down: the ledger takes one and the other is told so."""

    async def story(node: Node) -> None:
        await an_incident(node)
        await pull(node, "open_retrospective")
        pulling = Pulling(node, LEVERS)
        said = [
            {"about": "incident:1", "section": "wrong", "answer": each, "once": each}
            for each in ("a cable", "a switch")
        ]
        both = [pulling.pull("incidents.answer", each, by=each["answer"]) for each in said]
        outcomes = await asyncio.gather(*both, return_exceptions=True)
        (refused,) = [each for each in outcomes if isinstance(each, Exception)]
        assert isinstance(refused, Refused)
        assert len(happened(node, "answered")) == 1

    stage.play(story)


def test_as_a_file_and_back(stage) -> None:
    """What is printed is what is read; drafts stay drafts until their mark is deleted."""

    async def story(node: Node) -> None:
        await an_incident(node)
        await pull(node, "open_retrospective")
        file = (await as_markdown(node, Asked(method="GET", path={"number": "1"}))).body.decode()
        assert file == answer(node).markdown
        assert await pull(node, "answer_from", Markdown(markdown=file)) == []
        agreed = file.replace(DRAFT, "", 1)
        edited = re.sub(r"We cannot promise.*", "It will not, says Bob.\n\n  - he moved it", agreed)
        form = fill(Markdown, {"markdown": edited})
        (given,) = await pull(node, "answer_from", form)
        assert (given.section, "Rising action" in given.answer) == ("happened", True)  # type: ignore[attr-defined]
        with pytest.raises(BadForm, match="The file is of incident 9"):
            await pull(
                node, "answer_from", Markdown(markdown=file.replace("incident 1:", "incident 9:"))
            )
        stale = edited.replace(DRAFT, "")
        stale = stale.replace("- Rising", "- Other rising")
        with pytest.raises(Refused, match="take the file anew"):
            await pull(node, "answer_from", Markdown(markdown=stale))
        fresh = answer(node).markdown.replace(DRAFT, "").replace("- [ ] Nobody", "- [x] Nobody")
        facts = await pull(node, "answer_from", Markdown(markdown=fresh))
        assert [each.unknown for each in facts] == [True] * 4  # type: ignore[attr-defined]
        await pull(node, "close_retrospective")

    stage.play(story)


BAD = [
    ("hello", "No line says “# Retrospective of incident N”"),
    ("# Retrospective of incident 1: x", "“<!-- as read at … -->” below the title is missing"),
    (
        "# Retrospective of incident 1: x\n<!-- as read at 3 -->\n## Who is to blame?\nBob",
        "Line 3: “Who is to blame\\?” is none of the four questions",
    ),
    (
        "# Retrospective of incident 1: x\n<!-- as read at 3 -->\n## What happened?\na\n## what happened\nb",
        "Line 5: “What happened\\?” was answered in line 3 already",
    ),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_a_file_that_cannot_be_read_says_where(text: str, says: str) -> None:
    """The line, and what to do about it."""
    with pytest.raises(BadMarkdown, match=says):
        read_markdown(text)


@pytest.mark.parametrize(
    "text", ["We don’t know", "unknown", "TBD", "Nobody knows why.", "a cable??", "todo: ask Bob"]
)
def test_not_knowing_is_noticed(text: str) -> None:
    """However it is put."""
    assert afterwards.says_unknown(text)
    assert not afterwards.says_unknown("The vendor moved a host and told nobody.")


def test_rebuilt_equals_live(stage) -> None:
    """Folding the whole ledger again gives the same answers and actions."""

    async def story(node: Node) -> None:
        await an_incident(node)
        await pull(node, "open_retrospective")
        await pull(node, "answer", Give(section="again", answer="perhaps"))
        form = TakeOn(title="look", owner="Bob", due="2030-01-01", closes_on="check:outside")
        await pull(node, "take_on", form)
        await node.record(ran("outside", ok=1), by="watch")
        await asyncio.sleep(1)
        projection = node.cards[0].projection
        assert projection is not None
        again = Views(":memory:", [projection])
        again.catch_up(node.ledger)
        for table in ("retrospective", "answer", "action"):
            asked = f"select * from incidents_{table}"
            rows = list(node.rows.execute(asked))
            assert rows
            assert rows == list(again.rows.execute(asked))
        again.close()

    stage.play(story)


def test_it_is_overdue_on_now(stage) -> None:
    """A retrospective that waits too long is a sign, until it is closed."""
    stage.settings = replace(stage.settings, answered_within=3_600.0, retrospective_after=60.0)

    async def story(node: Node) -> None:
        await an_incident(node, lasts=30)
        assert answer(node).state == "not opened", "it was over too soon"
        await asyncio.sleep(3_600)
        await an_incident(node, lasts=90)
        assert [each.about for each in happened(node, "retrospective_opened")] == ["incident:2"]
        assert pages.signs(node) == []
        await asyncio.sleep(3_600)
        (sign,) = pages.signs(node)
        assert "retrospective of incident 2 is overdue: 4 of 4 questions" in sign.sentence
        assert sign.href == "/incidents/2/retrospective"

    stage.play(story)


def ran(check: str, *, ok: int) -> SheetFiled:
    tallies = {check: Tally(expected=2, ok=ok, not_run=2 - ok)}
    return SheetFiled(about="place:here", since=0, until=1, sha256="", tallies=tallies)


def test_an_action_ends_when_what_it_names_has_run(stage) -> None:
    """Not when it exists only, not before it was taken on, and without anybody's doing."""

    def task(closes_on: str) -> TakeOn:
        return TakeOn(title=f"have {closes_on}", owner="Bob", due="2030-01-01", closes_on=closes_on)

    async def story(node: Node) -> None:
        await an_incident(node)
        await node.record(ran("outside", ok=2), by="watch")
        for closes_on in ("check:outside", "test:sign-in", "toggle:calm", "drill:cardpay"):
            await pull(node, "take_on", task(closes_on))
        assert [each.state for each in answer(node).tasks] == ["open"] * 4
        await node.record(ran("outside", ok=0), ran("other", ok=2), by="watch")
        failed = Ran(about="test:sign-in", place="ci", outcome="failed", took=1.0)
        await node.record(failed, by="acceptance")
        aborted = DrillEnded(about="route:charge", vendor=VENDOR, lasted=9.0, aborted=True)
        await node.record(aborted, by="work")
        await asyncio.sleep(1)
        assert [each.state for each in answer(node).tasks] == ["open"] * 4
        closing = await node.record(
            ran("outside", ok=2),
            replace(failed, outcome="passed"),
            Defined(about="toggle:calm", definition="{}"),
            replace(aborted, aborted=False),
            by="others",
        )
        await asyncio.sleep(1)
        tasks = answer(node).tasks
        assert [each.state for each in tasks] == ["done"] * 4
        assert [each.action.done_by for each in tasks] == [*range(closing.first, closing.last + 1)]
        assert "the check outside has run 2 times" in drawn(node, PAGE, number="1")
        await node.record(ran("outside", ok=2), by="watch")
        await asyncio.sleep(1)
        assert len(happened(node, "action_done")) == 4, "done is done"

    stage.play(story)


def test_a_suite_that_ran_as_before_ends_the_actions_of_what_passed_in_it(stage) -> None:
    """What failed or was skipped in it has not been shown."""

    async def story(node: Node) -> None:
        await an_incident(node)
        for test in ("buy", "pay", "claim"):
            form = TakeOn(title=test, owner="Bob", due="2030-01-01", closes_on=f"test:{test}")
            await pull(node, "take_on", form)
        suite = SuiteRan(
            about="suite:shop", place="production", passed={"buy": 1.0}, failed={"pay": 1.0},
            skipped={"claim": 0.0},
        )  # fmt: skip
        await node.record(suite, by="detente:acceptance")
        await asyncio.sleep(1)
        states = {each.action.title: each.state for each in answer(node).tasks}
        assert states == {"buy": "done", "pay": "open", "claim": "open"}

    stage.play(story)


def test_an_action_that_ended_while_the_node_was_away(stage) -> None:
    """The fact is found when the node comes back, and read again it ends nothing twice."""

    async def before(node: Node) -> None:
        await an_incident(node)
        form = TakeOn(title="look", owner="Bob", due="2030-01-01", closes_on="check:outside")
        await pull(node, "take_on", form)

    async def away(node: Node) -> None:
        await node.record(ran("outside", ok=1), by="watch")

    async def back(node: Node) -> None:
        await asyncio.sleep(1)
        assert len(happened(node, "action_done")) == 1

    async def forgets(node: Node) -> None:
        await node.ledger.append((), by="test", reader=("incidents.actions", 0))

    stage.play(before)
    stage.running = False
    stage.play(away)
    stage.running = True
    stage.play(back)
    stage.running = False
    stage.play(forgets)
    stage.running = True
    stage.play(back)


def test_actions_are_refused_in_words_and_overdue_on_now(stage) -> None:
    """A closing that cannot happen, a day that is none; an overdue action is a sign until it ends."""

    async def story(node: Node) -> None:
        await an_incident(node)
        good = TakeOn(title="look", owner="Bob", due="2030-01-01", closes_on="check:outside")
        for bad, says in (
            (replace(good, closes_on="bob:says so"), "write one of check:NAME, test:NAME"),
            (replace(good, due="soon"), "due: “soon” is no day; write one such as"),
            (replace(good, due="1970-01-01"), "is over already"),
            (replace(good, due="2999-01-01"), "more than ten years from now"),
        ):
            with pytest.raises(BadForm, match=says):
                await pull(node, "take_on", bad)
        (taken,) = await pull(node, "take_on", good)
        assert pages.signs(node) == []
        with pytest.raises(BadForm, match="has none called “7”; there is 1-1"):
            await pull(node, "drop_action", Drop(action="7", why="x"))
        await node.record(replace(taken, action="1-2", due=node.clock.now()), by="ann")  # type: ignore[type-var]
        await asyncio.sleep(1)
        (sign,) = pages.signs(node)
        assert (
            sign.sentence
            == "an action is overdue: look (done once check outside is there and has run)"
        )
        assert sign.held_by == "Bob"
        await pull(node, "drop_action", Drop(action="1-2", why="another way was found"))
        assert pages.signs(node) == []
        assert "another way was found" in drawn(node, PAGE, number="1")
        with pytest.raises(Refused, match="1-2 has ended already"):
            await pull(node, "drop_action", Drop(action="1-2", why="x"))

    stage.play(story)


def test_rates_are_honest() -> None:
    """Against the exact intervals in the tables (Garwood), and none promises zero."""
    once, none, ten = rate(1, MONTH), rate(0, MONTH), rate(10, 2 * MONTH)
    assert (once.at_least, once.at_most) == pytest.approx((0.0253, 5.5716), abs=1e-3)
    assert (none.at_least, none.at_most) == pytest.approx((0.0, 3.6889), abs=1e-3)
    assert (ten.a_month, ten.at_least, ten.at_most) == pytest.approx((5, 2.3977, 9.1952), abs=1e-3)
