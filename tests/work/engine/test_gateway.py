"""The gateway passes on what was asked, to the letter."""

from __future__ import annotations

import asyncio
import gzip

import aiohttp
import pytest
from yarl import URL

from detente.work.engine.gateway import Gateway
from detente.work.engine.travel import Incoming, Outgoing, end_to_end


def asked(path: str, *, body: bytes = b"", headers: dict[str, str] | None = None) -> Incoming:
    """What arrives when a caller asks for that path."""
    came: list[Incoming] = []

    async def answer(incoming: Incoming) -> Outgoing:
        came.append(incoming)
        return Outgoing(200, (("Content-Type", "text/plain"),), b"ok")

    async def play() -> None:
        gateway = Gateway(answer)
        await gateway.start("127.0.0.1", 0)
        url = URL(f"http://127.0.0.1:{gateway.port}{path}", encoded=True)
        async with aiohttp.ClientSession() as session:
            async with session.post(url, data=body, headers=headers) as reply:
                assert await reply.text() == "ok"
        await gateway.close()

    asyncio.run(play())
    return came[0]


@pytest.mark.parametrize(
    ("path", "route", "rest"),
    [
        ("/payments/charges", "payments", "/charges"),
        ("/payments", "payments", ""),
        ("/payments?a=1", "payments", "?a=1"),
        ("/payments/a%2Fb/payments?x=%20", "payments", "/a%2Fb/payments?x=%20"),
        ("/pay%6Dents/x", "payments", "/x"),
    ],
)
def test_a_path_is_cut_behind_the_route(path: str, route: str, rest: str) -> None:
    """What stands behind the route reaches the vendor as it was written."""
    incoming = asked(path)
    assert (incoming.route, incoming.path) == (route, rest)


def test_a_packed_body_stays_packed() -> None:
    """The vendor unpacks it: its signature, if it has one, is over these bytes."""
    packed = gzip.compress(b'{"amount": 1}')
    assert asked("/payments/x", body=packed, headers={"Content-Encoding": "gzip"}).body == packed


def test_what_belongs_to_one_connection_does_not_travel() -> None:
    """Hop-by-hop headers, those a connection lists, and those named in any case stay behind."""
    headers = [("Connection", "X-Mine"), ("x-mine", "1"), ("AUTHORIZATION", "a"), ("Accept", "b")]
    assert end_to_end(headers, without={"authorization"}) == (("Accept", "b"),)
