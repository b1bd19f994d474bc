"""The gateway passes on what was asked, to the letter."""

from __future__ import annotations

import asyncio
import gzip
from io import BytesIO

import aiohttp
import pytest
from yarl import URL

from detente.work.engine.gateway import MAX_REQUEST, Gateway, turned_away
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


def told(*, body: bytes = b"", **headers: str) -> tuple[int, str]:
    """What a caller is told who asks the way browsers do."""

    async def answer(_incoming: Incoming) -> Outgoing:
        return Outgoing(200, (), b"ok")

    async def play() -> tuple[int, str]:
        gateway = Gateway(answer)
        await gateway.start("127.0.0.1", 0)
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{gateway.port}/payments/x"
            async with session.post(url, data=BytesIO(body), headers=said) as reply:
                found = reply.status, await reply.text()
        await gateway.close()
        return found

    return asyncio.run(play())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "[half"}, 421),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:3384"}, 200),
        ({}, 200),
    ],
)
def test_web_pages_may_not_use_our_keys(headers: dict[str, str], status: int) -> None:
    """Programs call routes; a page in somebody's browser is turned away, whatever name it uses."""
    found, says = told(**headers)
    assert found == status
    assert status == 200 or "detail" in says


def test_too_much_is_told_in_our_words() -> None:
    """A body that is too long gets a plain sentence with the limit."""
    status, says = told(body=b"x" * (MAX_REQUEST + 1))
    assert status == 413
    assert "10 MB" in says


@pytest.mark.parametrize(
    ("host", "only_here", "names", "comes_in"),
    [
        ("localhost:3384", True, (), True),
        ("evil.test", True, (), False),
        ("evil.test", False, (), True),
        ("evil.test", False, ("payments.internal",), False),
        ("Payments.Internal:3384", False, ("payments.internal",), True),
        ("127.0.0.1:3384", False, ("payments.internal",), True),
        ("[fd00::1]:3384", False, ("fd00::1",), True),
        ("payments.internal", True, ("payments.internal",), True),
    ],
)
def test_names_by_which_the_gateway_may_be_called(
    host: str, only_here: bool, names: tuple[str, ...], comes_in: bool
) -> None:
    """Where any are declared, a page that has its own name point here gets nothing."""
    outgoing = turned_away({"Host": host}, only_here=only_here, names=names)
    assert (outgoing is None) == comes_in
    if outgoing is not None and names:
        assert b"call it as payments.internal" in outgoing.body
        assert b"gateway_names" in outgoing.body
