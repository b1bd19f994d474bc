"""Is everybody told once, whatever stumbles on the way?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from email.message import EmailMessage

import pytest

from detente.facts.dependencies import ChangeDropped, ChangePlanned, ChangeRecorded
from detente.facts.incidents import CauseJoined, Closed, Opened
from detente.facts.pager import Taken
from detente.facts.work import BreakerOpened
from detente.kernel.clock import later
from detente.kernel.fact import Fact
from detente.kernel.ledger import LedgerFull, Query
from detente.kernel.money import Money
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


async def merges(node: Node, about: str, into: str) -> None:
    """What fells the first was found a little later, and the first goes on as its incident."""
    now = node.clock.now()
    await node.record(
        Opened(about=into, of="vendor:other", since=now, cause="check:other", reason="dead"),
        CauseJoined(
            about=into, cause="check:cardpay", reason="refused", since=now, of="vendor:cardpay"
        ),
        Closed(about=about, since=now, lasted=0.0, note="it needs that", into=into),
        by="test",
    )
    await asyncio.sleep(1)


def test_an_incident_that_goes_on_as_another(stage) -> None:
    """Nobody hears “over”; whoever has it has the other; the teams of what fell with it hear of that."""

    async def story(node: Node) -> None:
        await opens(node)
        await takes(node, "Ann")
        await merges(node, "incident:1", "incident:2")
        into = queries.matter_or_not_found(node.rows, "incident:2")
        assert (into.held_by, into.taken is not None) == ("Ann", True)
        by_ops = [each for each in told(node) if each[:2] == ("ops", "mail")]
        assert sorted(message for _, _, message in by_ops) == [
            "merged",
            "opened",
            "opened",
            "taken",
        ]
        await closes(node, "incident:2")
        assert [each[2] for each in told(node)].count("closed") == 3
        with pytest.raises(Refused, match="goes on as incident 2"):
            pull(node, "pager.take_over", "incident:1", by="Ben")

    stage.play(story)
    merged = next(each for each in stage.network.mails if "goes on as incident 2" in str(each))
    assert merged["Subject"] == "Re: [Détente] incident 1: CardPay"
    to_ops = [each for each in stage.network.mails if "ops@" in each["To"]]
    with_it = next(each for each in to_ops if "CardPay is down with other: refused" in str(each))
    assert with_it["Subject"] == "[Détente] incident 2: other"
    assert with_it["In-Reply-To"] is None


def test_who_has_the_other_one_keeps_it(stage) -> None:
    """Somebody took what it goes on as before: that person has it, and nobody else."""

    async def story(node: Node) -> None:
        await opens(node)
        await takes(node, "Ann")
        await opens(node, "incident:2", of="vendor:other")
        await node.record(Taken(about="incident:2", who="Ben"), by="Ben")
        closed = Closed(about="incident:1", since=node.clock.now(), lasted=0.0, into="incident:2")
        await node.record(closed, by="test")
        await asyncio.sleep(1)
        assert queries.matter_or_not_found(node.rows, "incident:2").held_by == "Ben"
        assert len(list(node.ledger.read(Query(names=("pager.taken",))))) == 2

    stage.play(story)


def test_what_falls_later_is_told_to_its_teams_once(stage) -> None:
    """They hear what of theirs fell with what; the others hear nothing new."""

    async def story(node: Node) -> None:
        await opens(node, of="vendor:other")
        assert told(node) == [("dev", "mail", "opened")]
        for cause in ("check:cardpay", "check:again"):
            joined = CauseJoined(
                about="incident:1", cause=cause, reason="refused", of="vendor:cardpay"
            )
            await node.record(joined, by="test")
            await asyncio.sleep(1)
        twin = CauseJoined(
            about="incident:1", cause="check:p", reason="x", of="service:portal", remark=True
        )
        await node.record(twin, by="test")
        await asyncio.sleep(1)
        assert told(node) == [(*way, "opened") for way in EVERYBODY]
        heard = pages.heard_panel(node, "incident:1")
        assert heard is not None
        assert len(heard.lines) == 3

    stage.play(story)
    assert stage.network.hooks[0][1]["down_with_it"] == ["vendor:cardpay"]


async def plans(node: Node, about: str, **more: object) -> None:
    change = ChangePlanned(
        about=about, title="move it", starts=later(node.clock.now(), 7_200), touches=("vendor:other",),
        tell=("team:dev", "team:ops"), **{"central": ("vendor:other",), **more},
    )  # fmt: skip
    await node.record(change, by="Ann")
    await asyncio.sleep(1)


def test_a_change_of_a_central_point_is_told_once(stage) -> None:
    """To the teams that it names, and again only if it does not come; others concern nobody."""

    async def story(node: Node) -> None:
        await plans(node, "change:a", falls=("service:portal",), an_hour=(Money(120_000, "EUR"),))
        await plans(node, "change:b")
        await plans(node, "change:c", central=())
        assert told(node) == sorted((*way, "planned") for way in (*EVERYBODY, *EVERYBODY))
        made = ChangeRecorded(
            about="change:a", title="move it", central=("vendor:other",), tell=("team:dev",)
        )
        await node.record(made, by="Ann")
        await node.record(ChangeDropped(about="change:b", why="not now"), by="Ann")
        await asyncio.sleep(4_000)
        assert [each[2] for each in told(node)].count("made") == 0
        assert [each[2] for each in told(node)].count("dropped") == 3

    stage.play(story)
    first = next(each for each in stage.network.mails if "dev@" in each["To"])
    assert first["Subject"] == "[Détente] change: move it"
    said = first.get_body(("plain",)).get_content()
    for part in ("A change of other, a central point, is planned for Mon 2 Nov 2026, 11:00",
                 "Portal", "200.00 EUR", "Said by: Ann"):  # fmt: skip
        assert part in said
    dropped = [each for each in stage.network.mails if "not made after all: not now" in str(each)]
    assert {str(each["Subject"]) for each in dropped} == {"Re: [Détente] change: move it"}


def test_a_change_that_could_not_be_told_is_told_later(stage) -> None:
    """The overview and *Now* say so meanwhile."""
    stage.network.mail_is_down = True

    async def story(node: Node) -> None:
        await plans(node, "change:a")
        late = pages.overview(node, Ask()).late
        assert {(each.what, each.message) for each in late} == {
            ("the change “move it”", "that it is planned")
        }
        assert "about the change “move it”" in pages.signs(node)[0].sentence
        stage.network.mail_is_down = False
        await asyncio.sleep(30)
        assert told(node) == [(*way, "planned") for way in EVERYBODY]

    stage.play(story)


def test_rebuilt_equals_live(stage) -> None:
    """Folding the whole ledger again gives the same rows."""

    async def story(node: Node) -> None:
        stage.network.mail_is_down = True
        await opens(node)
        await takes(node, "Ann")
        stage.network.mail_is_down = False
        await asyncio.sleep(30)
        await merges(node, "incident:1", "incident:2")
        await plans(node, "change:a")
        projection = node.cards[0].projection
        assert projection is not None
        again = Views(":memory:", [projection])
        again.catch_up(node.ledger)
        for table in ("matter", "mark", "joined", "change"):
            asked = f"select * from pager_{table}"
            assert list(node.rows.execute(asked)) == list(again.rows.execute(asked))
        again.close()
        assert queries.owed(node) == []

    stage.play(story)
