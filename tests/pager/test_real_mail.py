"""Does it work with a real mail server, a real chat and a real browser's requests?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import aiohttp
from aiohttp import web
from aiosmtpd.smtp import SMTP

from detente.facts.incidents import Closed, Opened
from detente.kernel.clock import NS, SystemClock
from detente.kernel.config import Webhook
from detente.kernel.ledger import Query
from detente.kernel.network import RealNetwork
from detente.kernel.node import Node
from detente.kernel.web.server import WebServer, application


class Inbox:
    """Keeps what the mail server took; refuses the first so many."""

    def __init__(self, refuses: int = 0, unknown: tuple[str, ...] = ()) -> None:
        self.mails: list[EmailMessage] = []
        self.refuses = refuses
        self.unknown = unknown

    async def handle_RCPT(  # noqa: N802
        self, _server: object, _session: object, envelope: Any, address: str, _options: object
    ) -> str:
        if address in self.unknown:
            return f"550 <{address}> nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        if self.refuses:
            self.refuses -= 1
            return "451 come back later"
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        return "250 taken"


@asynccontextmanager
async def mail_server(inbox: Inbox) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(inbox, loop=loop), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def chat(said: list[Any]) -> AsyncIterator[int]:
    async def take(request: web.Request) -> web.Response:
        said.append(await request.json())
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def until(node: Node, count: int) -> None:
    async with asyncio.timeout(10):
        while len(list(node.ledger.read(Query(names=("pager.told",))))) < count:
            await asyncio.sleep(0.01)


def test_told_once_in_one_thread_by_real_mail(stage) -> None:
    """Through SMTP and HTTP: each message once, the later mails in the first one's thread."""
    inbox, said = Inbox(), []

    async def story() -> None:
        network = RealNetwork()
        async with mail_server(inbox) as port, chat(said) as chat_port:
            stage.server = f"127.0.0.1:{port}"
            ops = stage.teams["ops"]
            stage.teams["ops"] = type(ops)(
                mail=ops.mail, webhook=Webhook.read(f"http://127.0.0.1:{chat_port}/hook")
            )
            async with stage.node(network) as node:
                opened = Opened(
                    about="incident:1", of="vendor:cardpay", since=node.clock.now(),
                    cause="check:cardpay", reason="ungültige Antwort",
                )  # fmt: skip
                await node.record(opened, by="test")
                await until(node, 3)
                await node.record(Closed(about="incident:1", since=0, lasted=1.0), by="test")
                await until(node, 6)
        async with mail_server(inbox) as port:
            stage.server = f"127.0.0.1:{port}"
            async with stage.node(network):
                await asyncio.sleep(0.1)  # started again: nothing is owed, nothing is sent
        await network.close()

    asyncio.run(story())
    assert len(inbox.mails) == 4
    assert [each["message"] for each in said] == ["opened", "closed"]
    first, second = (each for each in inbox.mails if each["To"] == "ops@example.com")
    assert second["In-Reply-To"] == second["References"] == first["Message-ID"]
    assert second["Subject"] == f"Re: {first['Subject']}"
    body = first.get_body(("plain",))
    assert body is not None
    assert "ungültige Antwort" in body.get_content()


def test_a_server_that_says_later(stage) -> None:
    """A temporary refusal is written down as such and will be tried again."""
    inbox = Inbox(refuses=2)

    async def story() -> None:
        network = RealNetwork()
        async with mail_server(inbox) as port:
            stage.server = f"127.0.0.1:{port}"
            stage.teams = {"ops": type(stage.teams["ops"])(mail=("ops@example.com",))}
            async with stage.node(network) as node:
                opened = Opened(
                    about="incident:1", of="vendor:cardpay", since=0, cause="check:x", reason="x"
                )
                await node.record(opened, by="test")
                async with asyncio.timeout(10):
                    while not list(node.ledger.read(Query(names=("pager.not_told",)))):
                        await asyncio.sleep(0.01)
                (failed,) = node.ledger.read(Query(names=("pager.not_told",)))
                assert "did not take it" in failed.fact.reason  # type: ignore[attr-defined]
        await network.close()

    asyncio.run(story())
    assert inbox.mails == []


async def tells(stage: Any, inbox: Inbox, count: int) -> list[Any]:
    """What the pager writes down when an incident opens and its mails go to that inbox."""
    stage.teams = {
        "ops": type(stage.teams["ops"])(mail=("Ann <ann@example.com>", "gone@example.com"))
    }
    network = RealNetwork()
    async with mail_server(inbox) as port:
        stage.server = f"127.0.0.1:{port}"
        async with stage.node(network) as node:
            opened = Opened(
                about="incident:1", of="vendor:cardpay", since=0, cause="check:x", reason="x"
            )
            await node.record(opened, by="test")
            async with asyncio.timeout(10):
                while len(found := list(node.ledger.read(Query(names=("pager.*",))))) < count:
                    await asyncio.sleep(0.01)
            stage.signs = node.cards[0].signs(node)
    await network.close()
    return [each.fact for each in found]


def test_one_address_is_refused(stage) -> None:
    """The others are told; whom the server refused, and its words, are a fact and a sign."""
    told, refused = asyncio.run(tells(stage, Inbox(unknown=("gone@example.com",)), 2))
    assert told.to == ("Ann <ann@example.com>",)
    assert refused.to == ("gone@example.com",)
    assert refused.reason == "g…@example.com: 550 <g…@example.com> nobody of that name"
    (sign,) = stage.signs
    assert sign.tone == "warn"
    assert "nobody of that name" in sign.sentence


def test_every_address_is_refused(stage) -> None:
    """Then nobody was told, and there is no hurry to try again before somebody put it right."""
    inbox = Inbox(unknown=("gone@example.com", "ann@example.com"))
    (failed,) = asyncio.run(tells(stage, inbox, 1))
    assert failed.name == "pager.not_told"
    assert "a…@example.com: 550" in failed.reason
    assert failed.next_at > SystemClock().now() + 3_000 * NS
    assert not inbox.mails


def test_the_link_in_the_mail(stage) -> None:
    """Following it shows a button; pressing the button says who has it, without any login."""
    stage.running = False

    async def story() -> None:
        network = RealNetwork()
        async with stage.node(network) as node:
            opened = Opened(
                about="incident:1", of="vendor:cardpay", since=0, cause="check:x", reason="x <b>"
            )
            await node.record(opened, by="test")
            server = WebServer(
                application(node, node.cards[0].pages, node.cards[0].levers, address=node.address)
            )
            port = await server.start("127.0.0.1", 0)
            await _follow_and_press(node, f"http://127.0.0.1:{port}")
            await server.close()
        await network.close()

    asyncio.run(story())


async def _follow_and_press(node: Node, here: str) -> None:
    from detente.pager.decisions import token

    path = f"/pager/take/1/{token(node.token, 'incident:1', 'ops')}"
    async with aiohttp.ClientSession() as browser:
        for method in ("HEAD", "GET"):
            async with browser.request(method, here + path) as page:
                assert page.status == 200
                shown = await page.text()
        assert "x &lt;b&gt;" in shown
        assert not list(node.ledger.read(Query(names=("pager.taken",))))
        about = f"letter:1.{path.rpartition('/')[2]}"
        asked = {"about": about, "once": "abc", "who": ""}
        headers = {"Origin": here, "Referer": here + path}
        async with browser.post(f"{here}/levers/pager.answer", data=asked, headers=headers) as page:
            assert page.status == 200, await page.text()
            shown = await page.text()
            assert "someone of Operations has it" in shown
        for other in ("/pager", "/pager.json", f"{path}.json"):
            async with browser.get(here + other) as page:
                assert page.status == 200, await page.text()
        async with browser.get(f"{here}/pager/take/1/0000") as page:
            assert page.status == 404
    (taken,) = node.ledger.read(Query(names=("pager.taken",)))
    assert taken.about == "incident:1"
