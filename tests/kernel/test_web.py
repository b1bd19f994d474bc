"""The node's pages, levers and events, over real connections."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, cast

import aiohttp
import jsonschema
import msgspec
import pytest
from yarl import URL

from detente.facts.incidents import Noted
from detente.facts.pager import Taken
from detente.facts.watch import OUTAGE, CameBack, WentDown
from detente.kernel import faces, spans
from detente.kernel.catalogue import Catalogue, Service, Vendor
from detente.kernel.clock import NS
from detente.kernel.fact import Recorded
from detente.kernel.forms import decoded
from detente.kernel.ledger import Query
from detente.kernel.ledger.sqlite import SqliteLedger
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import (
    Answered,
    Ask,
    Asked,
    Endpoint,
    Lever,
    NotFound,
    Page,
    Panel,
    Pull,
    Refused,
    Sign,
    Slice,
)  # fmt: skip
from detente.kernel.views import Projection, Rows, Views
from detente.kernel.web.server import PortInUse, WebServer, application

HOSTILE = '<script>alert("x")</script>'
START = 1_700_000_000 * NS


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> int:
        return self.time


class Count(msgspec.Struct):
    """How many?"""

    many: int
    words: str


class Note(msgspec.Struct):
    note: Annotated[str, msgspec.Meta(max_length=40, description="What happened.")]
    minutes: Annotated[int, msgspec.Meta(ge=0)] = 5


def count(node: Node, ask: Ask) -> Count:
    if ask.path["name"] == "nobody":
        raise NotFound("There is nobody of that name.")
    if ask.path["name"] == "broken":
        raise ZeroDivisionError
    return Count(node.ledger.head(), ask.path["name"] + ask.query.get("more", ""))


def jot(_node: Node, pull: Pull) -> list[Noted]:
    return [Noted(about=pull.about, note=f"{pull.form.note} for {pull.form.minutes}")]


def jot_once(node: Node, pull: Pull) -> list[Noted]:
    if node.ledger.head():
        raise Refused("It has been noted already; read the timeline.")
    return [Noted(about=pull.about, note="once")]


def signs(node: Node) -> list[Sign]:
    if not spans.going_on(node.rows):
        return [Sign(tone="good", about="service:shop", sentence="answers in 80 ms")]
    money = (Money(1990, "EUR"),)
    took = next(iter(node.ledger.read(Query(names=("pager.taken",)))), None)
    return [
        Sign(tone="warn", about="service:shop", sentence="its certificate ends soon"),
        Sign(tone="bad", about="check:http", sentence="no answer", since=START - 1, costs=money),
        Sign(
            tone="bad",
            about="vendor:cardpay",
            sentence=HOSTILE,
            since=START,
            costs=money,
            held_by=took.by if took else None,
        ),
        Sign(
            tone="warn",
            about="route:pay",
            of="vendor:cardpay",
            sentence="1 call waits",
            costs=money,
        ),
    ]


LEVERS = (
    Lever("game.jot", "Jot", "It is written down.", ("vendor",), jot, form=Note),
    Lever(
        "game.never",
        "Never",
        "It is never offered.",
        ("vendor",),
        jot_once,
        offered=lambda _node, _about: False,
    ),
    Lever("game.once", "Once", "It is written down, once.", ("vendor",), jot_once),
)


class Fell(msgspec.Struct):
    times: int


async def fall(node: Node, asked: Asked) -> Answered:
    times = decoded(asked.body, Fell, '{"times": 3}').times
    await node.record(
        WentDown(about="check:http", of="vendor:x", since=1, reason="x", failures=times), by="x"
    )
    return Answered(status=204)


async def tick(_node: Node, _asked: Asked) -> Answered:
    async def ticks() -> AsyncIterator[bytes]:
        while True:
            yield b"tick\n"
            await asyncio.sleep(0.01)

    return Answered(type="text/event-stream", stream=ticks())


ENDPOINTS = (
    Endpoint("POST", "/fall", "It falls.", fall, largest=300 << 10),
    Endpoint("GET", "/ticks", "It ticks.", tick),
)
PAGE = Page("/game/{name}", "Game", count, "game/page.html", hears=("incidents.*",))
GAME = Slice(
    noun="game",
    question="Is it fun?",
    settings=msgspec.Struct,
    spans=(OUTAGE,),
    signs=signs,
    pages=(PAGE,),
    panels=(
        Panel("Game", ("vendor", "node"), lambda node, _: Count(7, HOSTILE), "game/panel.html"),
    ),
    levers=LEVERS,
    endpoints=ENDPOINTS,
)
PAGES = (faces.now_page(), faces.timeline_page(), faces.subject_page(), PAGE)


class House:
    """A node with its pages on a port, and a visitor."""

    def __init__(self, node: Node, server: WebServer, visitor: aiohttp.ClientSession, url: URL):
        self.node = node
        self.clock = cast("Clock", node.clock)
        self.server = server
        self.visitor = visitor
        self.url = url

    async def get(self, path: str, **more: Any) -> tuple[int, str]:
        async with self.visitor.get(self.url.join(URL(path)), **more) as answer:
            return answer.status, await answer.text()

    async def json(self, path: str, **more: Any) -> Any:
        return json.loads((await self.get(path, **more))[1])

    async def pull(self, lever: str, headers: dict[str, str] | None = None, **form: str) -> Any:
        where = self.url.join(URL(f"/levers/{lever}"))
        sent = {"Origin": str(self.url.origin())} if headers is None else headers
        return await self.visitor.post(where, data=form, headers=sent, allow_redirects=False)

    def told(self) -> list[str]:
        return [recorded.fact.says() for recorded in self.node.ledger.read()]


@asynccontextmanager
async def house(templates: Path, address: str = "http://ops.example") -> AsyncIterator[House]:
    clock = Clock()
    ledger = SqliteLedger(":memory:", clock=clock, writer="inline")
    views = Views(":memory:", [spans.projection([OUTAGE])])
    vendors = {"cardpay": Vendor(title="CardPay")}
    declared = Catalogue(vendors=vendors, services={"shop": Service(title=HOSTILE)})
    network = cast("Any", None)
    node = Node(clock, random.Random(1), network, ledger, views, declared, (GAME,), {})
    app = application(
        node, PAGES, LEVERS, address=address, token="s3cret", folders={"game": templates}, streams=2
    )
    server = WebServer(app)
    port = await server.start("127.0.0.1", 0)
    jar = aiohttp.CookieJar(unsafe=True)
    try:
        async with aiohttp.ClientSession(cookie_jar=jar) as visitor:
            yield House(node, server, visitor, URL(f"http://127.0.0.1:{port}/"))
    finally:
        await server.close()
        await ledger.close()
        views.close()


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Callable[[House], Awaitable[None]]], None]:
    """Run a scene in a house of its own."""
    (tmp_path / "page.html").write_text(
        '{% extends "base.html" %}{% block main %}<p>{{ answer.words }}</p>{% endblock %}'
    )
    (tmp_path / "panel.html").write_text("<p>{{ answer.words }} about {{ about }}</p>")

    def run(scene: Callable[[House], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with house(tmp_path) as built:
                await scene(built)

        asyncio.run(whole())

    return run


Play = Callable[[Callable[[House], Awaitable[None]]], None]


async def go_down(house: House) -> None:
    down = WentDown(
        about="check:http", of="vendor:cardpay", since=START, reason=HOSTILE, failures=3
    )
    await house.node.record(down, by="detente:watch")


# Pages


def test_one_answer_has_two_faces(play: Play) -> None:
    """A page answers people in HTML and programs in JSON, from the same struct."""

    async def scene(house: House) -> None:
        status, text = await house.get("/game/chess?more=%20please")
        assert (status, "<p>chess please</p>" in text) == (200, True)
        assert await house.json("/game/chess.json?more=!") == {"many": 0, "words": "chess!"}

    play(scene)


def test_every_page_of_the_kernel_answers_both_ways(play: Play) -> None:
    """Now, the timeline and a subject are there before and after something happens."""

    async def scene(house: House) -> None:
        for _ in range(2):
            for path in ("/", "/timeline", "/timeline?routine=1", "/subject/vendor/cardpay"):
                assert (await house.get(path))[0] == 200
            for path in ("/.json", "/now.json", "/timeline.json", "/subject/vendor/cardpay.json"):
                async with house.visitor.get(house.url.join(URL(path))) as answer:
                    assert answer.status == 200
                    assert answer.headers["Cache-Control"] == "no-store"
                    assert isinstance(await answer.json(), dict)
            await go_down(house)

    play(scene)


def test_pages_work_without_javascript(play: Play) -> None:
    """Every lever is a plain form with a button, and nothing depends on inline scripts or styles."""

    async def scene(house: House) -> None:
        _, text = await house.get("/subject/vendor/cardpay")
        assert text.count('<form method="post" action="/levers/game.jot"') == 1
        assert 'name="note"' in text and "What happened." in text
        assert not re.search(r"<script(?![^>]* src=)| style=| on\w+=", text)

    play(scene)


def test_hostile_words_stay_words(play: Play) -> None:
    """Whatever a vendor answers or a person types, it is shown and never run."""

    async def scene(house: House) -> None:
        await go_down(house)
        await house.node.record(Noted(about=f"incident:{HOSTILE}", note=HOSTILE), by=HOSTILE)
        odd = "/timeline?about=" + "%22%3E%3Cscript%3Ealert(1)%3C/script%3E&slice=%3Cscript%3E"
        for path in ("/", "/timeline", "/subject/vendor/cardpay", odd, "/%3Cscript%3E"):
            _, text = await house.get(path)
            assert "<script>" not in text
            assert "&lt;script&gt;" in text

    play(scene)


def test_mistakes_are_answered_in_plain_words(play: Play) -> None:
    """Nothing there, nobody of that name, our own failure: a sentence, as a page or as JSON."""

    async def scene(house: House) -> None:
        for path, status, words in (
            ("/nowhere", 404, "There is no page at /nowhere."),
            ("/game/nobody", 404, "There is nobody of that name."),
            ("/subject/vendor/nobody", 404, "Nothing called"),
            ("/timeline?before=yesterday", 404, "positions are numbers"),
            ("/game/broken", 500, "Something went wrong on our side."),
        ):
            page, _, query = path.partition("?")
            answered, text = await house.get(path)
            assert (answered, words in text) == (status, True)
            answered, text = await house.get(f"{page}.json?{query}")
            assert answered == status
            assert list(json.loads(text)) == ["error"]

    play(scene)


def test_static_files_may_be_kept_for_good(play: Play) -> None:
    """Pages name style and script by fingerprint; with it browsers never ask twice."""

    async def scene(house: House) -> None:
        _, text = await house.get("/")
        links = re.findall(r'(?:href|src)="(/static/[^"]+)"', text)
        assert len(links) == 3
        for link in links:
            async with house.visitor.get(house.url.join(URL(link))) as answer:
                assert answer.status == 200
                assert "immutable" in answer.headers["Cache-Control"]

    play(scene)


def test_programs_find_every_page_and_lever_described(play: Play) -> None:
    """The OpenAPI document names each page's twin and each lever, with schemas that hold."""

    async def scene(house: House) -> None:
        document = await house.json("/openapi.json")
        assert document["openapi"] == "3.1.0"
        twins = {"/now.json", "/timeline.json", "/subject/{kind}/{name}.json", "/game/{name}.json"}
        assert set(document["paths"]) == twins | {
            "/live",
            "/levers/game.jot",
            "/levers/game.never",
            "/levers/game.once",
            "/fall",
            "/ticks",
        }
        for path in ("/now.json", "/timeline.json"):
            said = document["paths"][path]["get"]["responses"]["200"]["content"]
            schema = {**said["application/json"]["schema"], "components": document["components"]}
            jsonschema.validate(await house.json(path), schema)
        body = document["paths"]["/levers/game.jot"]["post"]["requestBody"]["content"]
        schema = {**body["application/json"]["schema"], "components": document["components"]}
        jsonschema.validate({"about": "vendor:cardpay", "note": "x"}, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"about": "vendor:cardpay"}, schema)

    play(scene)


# The door


def test_only_names_of_this_node_are_answered(play: Play) -> None:
    """A site that points its own name at us reads nothing: the Host header must be ours."""

    async def scene(house: House) -> None:
        for host, status in (
            ("localhost:9", 200),
            ("127.0.0.1", 200),
            ("[::1]:3383", 200),
            ("ops.example", 200),
            ("evil.example", 421),
            ("localhost.evil.example", 421),
            ("[", 421),
        ):
            answered, text = await house.get("/now.json", headers={"Host": host})
            assert answered == status, host
            assert status == 200 or "http://ops.example" in json.loads(text)["error"]

    play(scene)


def test_other_sites_cannot_pull_levers(play: Play) -> None:
    """A post needs our own origin or the node's token; anything else changes nothing."""

    async def scene(house: House) -> None:
        ours = str(house.url.origin())
        for headers, status in (
            ({}, 403),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": ours, "Sec-Fetch-Site": "cross-site"}, 403),
            ({"Origin": ours, "Sec-Fetch-Site": "same-site"}, 403),
            ({"Authorization": "Bearer wrong"}, 403),
            ({"Authorization": "Bearer s3cret"}, 303),
            ({"Origin": ours, "Sec-Fetch-Site": "same-origin"}, 303),
            ({"Origin": "http://ops.example"}, 303),
        ):
            before = house.node.ledger.head()
            answer = await house.pull("game.jot", headers, about="vendor:cardpay", note="x")
            assert answer.status == status, headers
            assert house.node.ledger.head() == before + (status == 303)

    play(scene)


def test_everything_leaves_with_strict_headers(play: Play) -> None:
    """Pages, events and mistakes alike forbid foreign scripts, frames and guessed types."""

    async def scene(house: House) -> None:
        for path in ("/", "/now.json", "/nowhere", "/static/detente.js", "/live?hears=*"):
            async with house.visitor.get(house.url.join(URL(path))) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'") and "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Referrer-Policy"] == "same-origin"

    play(scene)


def test_forms_have_a_largest_size(play: Play) -> None:
    """A body beyond the limit is refused in words and not read."""

    async def scene(house: House) -> None:
        answer = await house.pull("game.jot", about="vendor:cardpay", note="x" * 300_000)
        assert answer.status == 413
        assert "256 kB" in await answer.text()
        headers = {"Authorization": "Bearer s3cret"}
        sent = house.visitor.post(house.url / "fall", data=b"x" * (400 << 10), headers=headers)
        async with sent as answer:
            assert answer.status == 413
            assert "more than the 300 kB taken here" in (await answer.json())["error"]

    play(scene)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "The body is not JSON: "),
        (b"\xff", "The body is not JSON: "),
        (b'{"x": ' + b"[" * 100_000, "The body is nested too deeply. Send JSON such as"),
        (b"[]", "The body: expected object, got array. Send JSON such as"),
        (b"{}", "times: this has to be filled in. Send JSON such as"),
        (b'{"times": "x"}', 'times: expected int, got str. Send JSON such as {"times": 3}.'),
        (b'{"times": 9223372036854775808}', "failures: no fact can hold this number"),
    ],
)
def test_programs_hear_what_is_wrong_with_what_they_sent(
    play: Play, body: bytes, says: str
) -> None:
    """Whatever it is: one sentence with the place and the remedy, and nothing is written."""

    async def scene(house: House) -> None:
        headers = {"Authorization": "Bearer s3cret", "Content-Type": "application/json"}
        async with house.visitor.post(house.url / "fall", data=body, headers=headers) as answer:
            assert answer.status == 400
            assert says in (await answer.json())["error"]
        assert house.told() == []
        async with house.visitor.post(
            house.url / "fall", data=b'{"times": 3}', headers=headers
        ) as answer:
            assert answer.status == 204

    play(scene)


def test_streams_leave_room_for_callers(play: Play) -> None:
    """Whoever comes when too many listen is asked to come back, and may once somebody has left."""

    async def scene(house: House) -> None:
        where = house.url / "ticks"
        listening = [await house.visitor.get(where) for _ in range(2)]
        assert [await each.content.readline() for each in listening] == [b"tick\n"] * 2
        async with house.visitor.get(where) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
            assert "2 programs listen already; come back later" in (await answer.json())["error"]
        assert (await house.get("/"))[0] == 200
        listening.pop().close()
        async with asyncio.timeout(10):
            while (again := await house.visitor.get(where)).status == 503:
                await asyncio.sleep(0.01)
        assert await again.content.readline() == b"tick\n"
        again.close()
        listening.pop().close()

    play(scene)


def test_now_shows_what_could_not_be_folded(play: Play) -> None:
    """The rows miss something, the ledger does not: a sign says so, and the node goes on."""

    async def scene(house: House) -> None:
        def stumble(_rows: Rows, _recorded: Recorded) -> None:
            raise OverflowError("too large")

        heard = Projection("brittle", "create table brittle(x);", (Noted.name,), stumble)
        house.node.views = Views(":memory:", [heard, spans.projection([OUTAGE])])
        for _ in range(2):
            await house.node.record(Noted(about="incident:1", note="x"), by="x")
        now = await house.json("/now.json")
        (said,) = (each["sentence"] for each in now["signs"] if each["about"] == "node:here")
        assert said.startswith(
            "2 facts could not be folded into the rows of “brittle”, first at position 1"
            " (OverflowError: too large): its pages may miss something. The ledger is whole"
        )
        house.node.views.close()

    play(scene)


# Levers


def test_pulling_a_lever_records_who_and_says_what_happened(play: Play) -> None:
    """From a page: back to where the button was, with one line telling what was done."""

    async def scene(house: House) -> None:
        ours = {"Origin": str(house.url.origin())}
        await house.visitor.post(house.url / "who", data={"who": " Zoë \n B. "}, headers=ours)
        ours["Referer"] = str(house.url / "game/chess") + "?more=1"
        answer = await house.pull("game.jot", ours, about="vendor:cardpay", note="hi", minutes="7")
        assert (answer.status, answer.headers["Location"]) == (303, "/game/chess?more=1")
        assert [recorded.by for recorded in house.node.ledger.read()] == ["Zoë B."]
        _, fresh = await house.get("/game/chess", headers={"X-Detente-Live": "1"})
        _, first = await house.get("/game/chess")
        _, second = await house.get("/game/chess")
        told = "CardPay: note: hi for 7"
        assert (told in fresh, told in first, told in second) == (False, True, False)

    play(scene)


def test_going_back_never_leaves_this_node(play: Play) -> None:
    """A foreign or odd Referer leads to the subject's own page."""

    async def scene(house: House) -> None:
        ours = str(house.url.origin())
        for referer in ("http://evil.example/x", f"{ours}//evil.example/", "javascript:1"):
            headers = {"Origin": ours, "Referer": referer}
            answer = await house.pull("game.jot", headers, about="vendor:cardpay", note="x")
            assert answer.headers["Location"] == "/subject/vendor/cardpay"

    play(scene)


def test_a_double_click_does_one_thing(play: Play) -> None:
    """The same button pressed many times at once, and again later, pulls its lever once."""

    async def scene(house: House) -> None:
        _, text = await house.get("/subject/vendor/cardpay")
        tokens = re.findall(r'name="once" value="(\w+)"', text)
        assert len(set(tokens)) == len(tokens) == 2
        press = {"about": "vendor:cardpay", "once": tokens[0]}
        for _ in range(2):
            answers = await asyncio.gather(*(house.pull("game.once", **press) for _ in range(5)))
            assert {answer.status for answer in answers} == {303}
        assert house.told() == ["note: once"]
        other = await house.pull("game.once", about="vendor:cardpay", once=tokens[1])
        assert other.status == 409
        assert "read the timeline" in await other.text()

    play(scene)


def test_programs_pull_levers_with_json(play: Play) -> None:
    """They say who they are in a header and hear the position and what was recorded."""

    async def scene(house: House) -> None:
        headers = {"Authorization": "Bearer s3cret", "X-Detente-Who": "deploy robot"}
        body = {"about": "vendor:cardpay", "note": "x", "minutes": 1}
        where = house.url / "levers/game.jot"
        async with house.visitor.post(where, json=body, headers=headers) as answer:
            said = await answer.json()
        assert said["position"] == 1
        assert said["facts"] == [
            {"name": "incidents.noted", "about": "vendor:cardpay", "says": "note: x for 1"}
        ]
        assert [recorded.by for recorded in house.node.ledger.read()] == ["deploy robot"]

    play(scene)


def test_a_bad_form_names_the_field(play: Play) -> None:
    """What is wrong, with which field, in words; nothing is recorded."""

    async def scene(house: House) -> None:
        headers = {"Authorization": "Bearer s3cret"}
        good = {"about": "vendor:cardpay", "note": "x"}
        for lever, body, status, words in (
            ("game.jot", {"about": "vendor:cardpay"}, 400, "note: this has to be filled in"),
            ("game.jot", {**good, "minutes": "soon"}, 400, "minutes: expected int"),
            ("game.jot", {**good, "minutes": -3}, 400, "minutes must be 0 or more"),
            ("game.jot", {**good, "note": "x" * 50}, 400, "note: expected str of length <= 40"),
            ("game.jot", {**good, "mood": "x"}, 400, "“mood” is not asked for"),
            ("game.jot", {"about": "call:1", "note": "x"}, 400, "is for vendor:…"),
            ("game.jot", ["x"], 400, "expected object, got array"),
            ("game.win", good, 404, "There is no lever called “game.win”"),
        ):
            where = house.url / "levers" / lever
            async with house.visitor.post(where, json=body, headers=headers) as answer:
                assert answer.status == status
                assert words in (await answer.json())["error"]
        assert house.told() == []

    play(scene)


# Live


async def events(stream: aiohttp.StreamReader, enough: int) -> list[dict[str, Any]]:
    heard: list[dict[str, Any]] = []
    async for line in stream:
        if line.startswith(b"data: "):
            heard.append(json.loads(line[6:]))
        if len(heard) == enough:
            break
    return heard


def test_an_open_page_hears_what_it_asked_for(play: Play) -> None:
    """Facts of the names asked for arrive, others do not, and none is missed while away."""

    async def scene(house: House) -> None:
        note = Noted(about="incident:1", note="x")
        await house.node.record(note, by="x")
        live = house.url.join(URL("/live?hears=incidents.*,sla.promise_broken&after=0"))
        async with house.visitor.get(live) as answer:
            assert answer.content_type == "text/event-stream"
            assert (await events(answer.content, 1))[0]["position"] == 1
            await go_down(house)
            await house.node.record(note, by="x")
            heard = await events(answer.content, 1)
            assert heard == [{"position": 3, "names": ["incidents.noted"]}]
        async with house.visitor.get(live, headers={"Last-Event-ID": "1"}) as answer:
            assert (await events(answer.content, 1))[0]["position"] == 3
        assert (await house.get("/live"))[0] == 404

    play(scene)


def test_stopping_does_not_wait_for_open_pages(play: Play) -> None:
    """With event streams open the server closes at once, and the streams end."""

    async def scene(house: House) -> None:
        streams = [await house.visitor.get(house.url.join(URL("/live?hears=*"))) for _ in range(3)]
        loop = asyncio.get_running_loop()
        began = loop.time()
        await house.server.close()
        assert loop.time() - began < 0.5
        for stream in streams:
            await stream.content.read()
            stream.close()

    play(scene)


def test_a_port_in_use_is_said_with_its_remedy(play: Play) -> None:
    """Starting where something listens fails with a sentence and leaves nothing open."""

    async def scene(house: House) -> None:
        second = WebServer(application(house.node, (), (), address="", folders={}))
        with pytest.raises(PortInUse, match=f"127.0.0.1:{house.url.port}.*--port"):
            await second.start("127.0.0.1", house.url.port or 0)

    play(scene)


# Now, the timeline, a subject


def test_the_menu_says_where_one_is(play: Play) -> None:
    """The page that is open is marked, or the one above it; elsewhere nothing is."""

    async def scene(house: House) -> None:
        for path, marked in (
            ("/", "/"),
            ("/timeline", "/timeline"),
            ("/subject/vendor/cardpay", ""),
        ):
            _, text = await house.get(path)
            menu = text.partition('<nav id="pages"')[2].partition("</nav>")[0]
            assert (
                re.findall(r'href="([^"]+)" aria-current="page"', menu) == [marked][: bool(marked)]
            )
            assert menu.count("aria-current") == bool(marked)

    play(scene)


def test_now_says_in_one_sentence_whether_all_is_right(play: Play) -> None:
    """Calm while nothing is wrong; then what is wrong, worst first, and what it costs, once."""

    async def scene(house: House) -> None:
        calm = await house.json("/now.json")
        assert (calm["tone"], calm["sentence"]) == ("good", "Everything is all right.")
        assert [each["about"] for each in calm["watched"]] == ["vendor:cardpay", "service:shop"]
        await go_down(house)
        house.clock.time += 60 * NS
        bad = await house.json("/now.json")
        assert (bad["tone"], bad["sentence"]) == ("bad", "One thing is not all right.")
        assert bad["note"] == "Nobody has it yet."
        assert [sign["tone"] for sign in bad["signs"]] == ["bad", "bad", "warn", "warn"]
        assert [each["about"] for each in bad["troubles"]] == ["vendor:cardpay", "service:shop"]
        assert bad["costs"] == [{"minor": 1990, "currency": "EUR"}]
        assert bad["panels"][0]["answer"]["many"] == 7

    play(scene)


def test_a_vendor_shows_the_outages_of_its_checks(play: Play) -> None:
    """A span opened by a fact that names the vendor stands on the vendor's bar and timeline."""

    async def scene(house: House) -> None:
        await go_down(house)
        house.clock.time += 90 * NS
        back = CameBack(about="check:http", of="vendor:cardpay", since=START + 60 * NS, lasted=60.0)
        await house.node.record(back, by="detente:watch")
        said = await house.json("/subject/vendor/cardpay.json")
        assert [(part["start"], part["end"]) for part in said["parts"]] == [
            (START, START + 60 * NS)
        ]
        assert [told["name"] for told in said["told"]] == ["watch.came_back", "watch.went_down"]
        assert [lever["name"] for lever in said["levers"]] == ["game.jot", "game.once"]
        assert (await house.json("/now.json"))["watched"][0]["parts"] == said["parts"]
        check = await house.json("/subject/check/http.json")
        assert check["told"] == said["told"]
        assert (check["says"], check["parts"]) == ("", []), "its slice shows how it was"

    play(scene)


def test_who_has_the_trouble_has_its_parts(play: Play) -> None:
    """Whoever took the vendor's incident stands beside the check that failed, and in the terminal."""

    async def scene(house: House) -> None:
        await go_down(house)
        house.clock.time += 60 * NS
        await house.node.record(Taken(about="incident:1", who="Anna"), by="Anna")
        for about in ("check/http", "vendor/cardpay"):
            (sign,) = (await house.json(f"/subject/{about}.json"))["signs"]
            assert sign["held_by"] == "Anna"
        assert "nobody yet" not in (await house.get("/subject/check/http"))[1]
        assert "nobody yet" in (await house.get("/subject/service/shop"))[1]

    play(scene)


def test_a_lever_says_itself_why_not(play: Play) -> None:
    """The lever's own sentence wins over “not offered”, which says nothing of the reason."""

    async def scene(house: House) -> None:
        headers = {"Authorization": "Bearer s3cret"}
        for after, words in ((0, "not offered for CardPay"), (1, "noted already")):
            if after:
                await go_down(house)
            where = house.url / "levers" / "game.never"
            body = {"about": "vendor:cardpay"}
            async with house.visitor.post(where, json=body, headers=headers) as answer:
                assert answer.status == 409
                assert words in (await answer.json())["error"]

    play(scene)


def test_the_timeline_pages_back_to_the_beginning(play: Play) -> None:
    """Older and older pages tell every fact once, newest first."""

    async def scene(house: House) -> None:
        await go_down(house)
        notes = [Noted(about=f"incident:{n}", note=str(n)) for n in range(150)]
        await house.node.record(*notes, by="x")
        positions, page = [], await house.json("/timeline.json")
        while True:
            positions += [told["position"] for told in page["told"]]
            if page["older"] is None:
                break
            page = await house.json(f"/timeline.json?before={page['older']}")
        assert positions == list(range(151, 0, -1))
        only = await house.json("/timeline.json?slice=watch")
        assert [told["position"] for told in only["told"]] == [1]
        for path in ("/timeline", "/timeline.json"):
            status, text = await house.get(f"{path}?slice=incident")
            assert status == 400
            assert "did you mean incidents?" in text
        about = await house.json("/timeline.json?about=incident:7")
        assert [told["says"] for told in about["told"]] == ["note: 7"]

    play(scene)
