"""Is everybody told once, whatever stumbles on the way?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from email.message import EmailMessage

import pytest

from detente.facts.incidents import Closed, Opened
from detente.facts.pager import Taken
from detente.facts.work import BreakerOpened
from detente.kernel.fact import Fact
from detente.kernel.ledger import LedgerFull, Query
from detente.kernel.network import MailServer, NotReached, Reply, Unwelcome
from detente.kernel.node import Node
from detente.kernel.slice import Ask, NotFound, Pull, Refused
from detente.kernel.views import Views
from detente.pager import decisions, pages, queries
from detente.pager.levers import LEVERS, Take


async def opens(node: Node, about: str = "incident:1", of: str = "vendor:cardpay") -> None:
    now = node.clock.now()
    await node.record(
        Opened(about=about, of=of, since=now, cause="check:cardpay", reason="refused"), by="test"
    )
    await asyncio.sleep(1)


async def closes(node: Node, about: str = "incident:1") -> None:
    await node.record(Closed(about=about, since=node.clock.now(), lasted=60.0), by="test")
    await asyncio.sleep(1)


async def takes(node: Node, who: str) -> None:
    await node.record(Taken(about="incident:1", who=who), by=who)
    await asyncio.sleep(1)


def told(node: Node) -> list[tuple[str, str, str]]:
    found = [each.fact for each in node.ledger.read(Query(names=("pager.told",)))]
    return sorted((each.team, each.channel, each.message) for each in found)  # type: ignore[attr-defined]


def failures(node: Node) -> list[Fact]:
    return [each.fact for each in node.ledger.read(Query(names=("pager.not_told",)))]


EVERYBODY = [("dev", "mail"), ("ops", "mail"), ("ops", "webhook")]


def test_everybody_is_told_once(stage) -> None:
    """Beginning, taking and end reach each team once in each of its ways, in one thread."""

    async def story(node: Node) -> None:
        await opens(node)
        assert told(node) == [(*way, "opened") for way in EVERYBODY]
        await takes(node, "Ann")
        await closes(node)
        await asyncio.sleep(4_000)
        assert len(told(node)) == 9

    stage.play(story)
    to_dev = [each for each in stage.network.mails if "dev@" in each["To"]]
    assert [each["Subject"] for each in to_dev] == [
        "[Détente] incident 1: CardPay", *["Re: [Détente] incident 1: CardPay"] * 2,
    ]  # fmt: skip
    assert to_dev[0]["To"] == "dev@example.com, boss@example.com"
    assert {each["References"] for each in to_dev[1:]} == {to_dev[0]["Message-ID"]}
    assert [said["message"] for _, said in stage.network.hooks] == ["opened", "taken", "closed"]


def test_only_the_teams_it_names(stage) -> None:
    """A vendor that names its teams is told to those only."""

    async def story(node: Node) -> None:
        await opens(node, of="vendor:other")
        assert told(node) == [("dev", "mail", "opened")]

    stage.play(story)


def test_a_restart_tells_nobody_again(stage) -> None:
    """What was told before a restart is not told after it; what was not, is."""

    async def before(node: Node) -> None:
        await opens(node)

    async def away(node: Node) -> None:
        await takes(node, "Ann")

    async def after(node: Node) -> None:
        await asyncio.sleep(1)
        assert [each[2] for each in told(node)].count("opened") == 3
        assert [each[2] for each in told(node)].count("taken") == 3

    stage.play(before)
    stage.running = False
    stage.play(away)
    stage.running = True
    stage.play(after)
    stage.play(after)
    assert len(stage.network.mails) == 4


def test_mail_that_does_not_go_out_is_tried_until_it_does(stage) -> None:
    """With growing waits, across restarts, while the chat is told at once; then nothing is left."""
    stage.network.mail_is_down = True

    async def hours(node: Node) -> None:
        await opens(node)
        assert told(node) == [("ops", "webhook", "opened")]
        await asyncio.sleep(3_600)
        assert 30 < len(failures(node)) < 60
        late = pages.overview(node, Ask()).late
        assert {(each.team, each.channel) for each in late} == {("dev", "mail"), ("ops", "mail")}
        signs = pages.signs(node)
        assert len(signs) == 2
        assert "connection refused" in signs[0].sentence

    async def later(node: Node) -> None:
        stage.network.mail_is_down = False
        await asyncio.sleep(301)
        assert told(node) == [(*way, "opened") for way in EVERYBODY]
        assert pages.signs(node) == []

    stage.play(hours)
    stage.play(later)
    assert len({each["Message-ID"] for each in stage.network.mails}) == 2
    assert len(stage.network.mails) == 2


def test_over_before_the_mail_went_out(stage) -> None:
    """Nobody gets "it began" after "it is over": one mail says both."""
    stage.network.mail_is_down = True

    async def story(node: Node) -> None:
        await opens(node)
        await asyncio.sleep(1_200)
        await closes(node)
        stage.network.mail_is_down = False
        await asyncio.sleep(301)
        assert told(node) == [
            ("dev", "mail", "closed"), ("ops", "mail", "closed"), ("ops", "webhook", "closed"),
            ("ops", "webhook", "opened"),
        ]  # fmt: skip

    stage.play(story)


def test_incidents_of_long_ago_are_not_told(stage) -> None:
    """Whoever declares a pager today hears nothing of last month."""

    async def last_month(node: Node) -> None:
        await opens(node)
        await closes(node)
        await asyncio.sleep(30 * 86_400)

    async def today(node: Node) -> None:
        await asyncio.sleep(10)
        assert told(node) == []

    stage.running = False
    stage.play(last_month)
    stage.running = True
    stage.play(today)


class HangingChat:
    """Takes a chat message and never answers; mail goes through."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def call(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None,
        body: bytes = b"", timeout: float = 10.0,
    ) -> Reply:  # fmt: skip
        await asyncio.sleep(timeout)
        raise NotReached(f"{url} did not answer")

    async def mail(self, message: EmailMessage, server: MailServer) -> tuple[Unwelcome, ...]:
        self.mails.append(message)
        return ()

    async def close(self) -> None:
        pass


def test_a_hanging_chat_delays_nobody_else(stage) -> None:
    """Mails of many incidents go out while one chat hangs, and its address is not written down."""
    stage.network = HangingChat()

    async def story(node: Node) -> None:
        for number in range(1, 6):
            await opens(node, f"incident:{number}")
        assert told(node).count(("ops", "mail", "opened")) == 5
        await asyncio.sleep(30)
        assert failures(node)
        assert all("chat.test" not in json.dumps(each.reason) for each in failures(node))  # type: ignore[attr-defined]

    stage.play(story)


def test_a_chat_that_answers_no(stage) -> None:
    """An answer that is no 2xx has not told anybody."""

    class Gone(HangingChat):
        async def call(self, *_: object, **__: object) -> Reply:
            return Reply(404, (), b"no such channel")

    stage.network = Gone()

    async def story(node: Node) -> None:
        await opens(node)
        assert told(node) == [("dev", "mail", "opened"), ("ops", "mail", "opened")]
        assert "HTTP 404" in failures(node)[0].reason  # type: ignore[attr-defined]

    stage.play(story)


def test_a_full_disk_repeats_no_mail(stage) -> None:
    """What was handed over and could not be noted is noted later, and not handed over again."""

    async def story(node: Node) -> None:
        append, left = node.ledger.append, 6

        async def full(*args: object, **more: object) -> object:
            nonlocal left
            if more.get("by") == "detente:pager" and left:
                left -= 1
                raise LedgerFull("the disk is full")
            return await append(*args, **more)  # type: ignore[arg-type]

        node.ledger.append = full  # type: ignore[method-assign, assignment]
        await opens(node)
        await asyncio.sleep(60)
        assert left == 0
        assert told(node) == [(*way, "opened") for way in EVERYBODY]

    stage.play(story)
    assert len(stage.network.mails) == 2


def test_what_detente_does_meanwhile(stage) -> None:
    """A message says that calls are parked, who needs the vendor, and where to say "I have it"."""

    async def story(node: Node) -> None:
        opened = BreakerOpened(about="route:charge", vendor="vendor:cardpay", reason="slow")
        await node.record(opened, by="test")
        await opens(node)

    stage.play(story)
    said = stage.network.hooks[0][1]
    assert said["needed_by"] == ["Portal"]
    assert said["measures"] == [
        "calls on the route charge are parked at once and passed on when it works again"
    ]
    assert said["take_url"].startswith("http://127.0.0.1:3383/pager/take/1/")


def pull(node: Node, name: str, about: str, who: str = "", by: str = "someone") -> list[Fact]:
    lever = next(each for each in LEVERS if each.name == name)
    return list(
        lever.decide(node, Pull(about=about, by=by, at=node.clock.now(), form=Take(who=who)))
    )


def test_i_have_it(stage) -> None:
    """By lever or by link, by name or for the team; twice is refused kindly, taking over is not."""

    async def story(node: Node) -> None:
        await opens(node)
        assert pull(node, "pager.take", "incident:1", by="Ann") == [
            Taken(about="incident:1", who="Ann")
        ]
        letter = f"letter:1.{decisions.token(node.token, 'incident:1', 'ops')}"
        assert pull(node, "pager.answer", letter) == [
            Taken(about="incident:1", who="someone of Operations", way="link", team="ops")
        ]
        await takes(node, "Ann")
        with pytest.raises(Refused, match="Ann has it already"):
            pull(node, "pager.take_over", "incident:1", by="ann")
        with pytest.raises(Refused, match="If you have it now, take it over"):
            pull(node, "pager.take", "incident:1", by="ben")
        with pytest.raises(NotFound, match="no incident 99"):
            pull(node, "pager.take", "incident:99")
        assert pull(node, "pager.answer", letter, who="Ben")
        with pytest.raises(NotFound, match="not one of ours"):
            pull(node, "pager.answer", "letter:1.0123")
        await closes(node)
        with pytest.raises(Refused, match="over"):
            pull(node, "pager.take", "incident:1", by="Ben")
        with pytest.raises(NotFound):
            pull(node, "pager.take", "incident:99", by="Ben")

    stage.play(story)


def test_looking_at_the_link_takes_nothing(stage) -> None:
    """Mail scanners follow links: the page shows a button and records nothing."""

    async def story(node: Node) -> None:
        await opens(node)
        head = node.ledger.head()
        token = decisions.token(node.token, "incident:1", "dev")
        page = pages.take_page(node, Ask(path={"incident": "1", "token": token}))
        assert (page.team, page.held_by, page.over) == ("dev", None, False)
        assert node.ledger.head() == head
        with pytest.raises(NotFound):
            pages.take_page(node, Ask(path={"incident": "2", "token": token}))

    stage.play(story)


def test_who_would_be_told(stage) -> None:
    """The overview names teams and ways, with addresses in part only."""

    async def story(node: Node) -> None:
        cardpay, other, _portal = pages.overview(node, Ask()).hearers
        assert [(each.team, each.channel, each.to) for each in cardpay.ears] == [
            ("ops", "mail", ("o…@example.com",)),
            ("ops", "webhook", ("chat.test",)),
            ("dev", "mail", ("d…@example.com", "b…@example.com")),
        ]
        assert [each.team for each in other.ears] == ["dev"]
        await opens(node)
        heard = pages.heard_panel(node, "incident:1")
        assert heard is not None
        assert {each.tone for each in heard.lines} == {"good"}
        assert pages.heard_panel(node, "incident:2") is None

    stage.play(story)


def test_rebuilt_equals_live(stage) -> None:
    """Folding the whole ledger again gives the same rows."""

    async def story(node: Node) -> None:
        stage.network.mail_is_down = True
        await opens(node)
        await takes(node, "Ann")
        stage.network.mail_is_down = False
        await asyncio.sleep(30)
        await closes(node)
        projection = node.cards[0].projection
        assert projection is not None
        again = Views(":memory:", [projection])
        again.catch_up(node.ledger)
        for table in ("matter", "mark"):
            asked = f"select * from pager_{table}"
            assert list(node.rows.execute(asked)) == list(again.rows.execute(asked))
        again.close()
        assert queries.owed(node) == []

    stage.play(story)
