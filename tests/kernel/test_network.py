"""The ways out, against a server that misbehaves on request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from email.message import EmailMessage

import msgspec
import pytest

from detente.kernel.network import (
    MAX_REPLY,
    MailServer,
    NoAnswer,
    NotReached,
    RealNetwork,
    Reply,
    is_loopback,
)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def against(serve: Serve, act: Callable[[RealNetwork, str], Awaitable[object]]) -> object:
    """Do something with a real network and a server that answers as told."""

    async def story() -> object:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        network = RealNetwork()
        try:
            return await act(network, f"http://127.0.0.1:{port}")
        finally:
            await network.close()
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0)

    return asyncio.run(story())


async def head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def posted(
    body: bytes = b"{}", timeout: float = 2.0, **headers: str
) -> Callable[..., Awaitable[Reply]]:
    async def act(network: RealNetwork, url: str) -> Reply:
        return await network.call("POST", f"{url}/x", body=body, timeout=timeout, headers=headers)

    return act


def test_an_answer_in_pieces_is_read_whole() -> None:
    """However the answer is cut on its way, all of it arrives."""
    piece = b"x" * 70_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
        )
        for _ in range(5):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0.01)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    reply = against(serve, posted())
    assert isinstance(reply, Reply)
    assert (reply.status, len(reply.body)) == (201, 5 * len(piece))
    assert [value for name, value in reply.headers if name == "X-A"] == ["1", "2"]


def test_a_large_request_arrives_whole() -> None:
    """Ten megabytes go out with their length, and without a complaint."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = (await head(reader)).lower()
        assert b"content-length: 10000000" in said
        seen.append(await reader.readexactly(10_000_000))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    reply = against(serve, posted(b"y" * 10_000_000, timeout=20))
    assert isinstance(reply, Reply)
    assert reply.body == b"ok"
    assert seen == [b"y" * 10_000_000]


def test_nobody_listens() -> None:
    """A refused connection is safe to repeat."""

    async def act(network: RealNetwork, url: str) -> None:
        with pytest.raises(NotReached, match="no connection"):
            await network.call("POST", "http://127.0.0.1:1/x", timeout=2)
        with pytest.raises(NotReached):
            await network.call("POST", "http://nobody.invalid/x", timeout=2)
        with pytest.raises(NotReached):
            await network.call("POST", "nonsense", timeout=2)

    against(lambda _reader, _writer: asyncio.sleep(0), act)


def test_a_header_that_cannot_be_sent_is_never_sent() -> None:
    """A line break in a header is our own mistake; the vendor has seen nothing."""
    with pytest.raises(NotReached, match="cannot be sent"):
        against(lambda _reader, _writer: asyncio.sleep(0), posted(Bad="a\r\nb"))


def test_taken_and_not_answered() -> None:
    """Once the request was sent, silence and hanging up both mean: nobody knows."""

    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        await reader.read()

    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)

    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()

    async def talks_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"\x00\x01\x02 what?\r\n\r\n")
        await writer.drain()

    with pytest.raises(NoAnswer, match="no answer within 200 ms"):
        against(hangs, posted(timeout=0.2))
    for serve in (hangs_up, breaks_off, talks_nonsense):
        with pytest.raises(NoAnswer):
            against(serve, posted())


def test_an_answer_without_end_is_no_answer() -> None:
    """We do not fill our memory with what no business call would say."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(MAX_REPLY // 2**20 + 5):
            writer.write(b"z" * 2**20)
            await writer.drain()

    with pytest.raises(NoAnswer, match="longer than 10 MB"):
        against(serve, posted(timeout=20))


def test_redirects_are_told_and_not_followed() -> None:
    """Where the answer points is the caller's business."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 307 Elsewhere\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    reply = against(serve, posted())
    assert isinstance(reply, Reply)
    assert reply.status == 307


def test_a_mail_server_that_is_not_there() -> None:
    """The sentence names the server."""

    async def act(network: RealNetwork, _url: str) -> None:
        message = EmailMessage()
        message["From"], message["To"] = "a@shop.example", "b@shop.example"
        with pytest.raises(NotReached, match=r"the mail server 127\.0\.0\.1:1 did not take it"):
            await network.mail(message, MailServer(host="127.0.0.1", port=1, tls="none"))

    against(lambda _reader, _writer: asyncio.sleep(0), act)


def test_an_address_goes_out_as_it_was_written() -> None:
    """What the other side may have signed is not written anew: no quoting, no tidying."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await head(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def act(network: RealNetwork, url: str) -> None:
        for path in ("/a%2Fb/%7ex/../c?q=a+b%20c&d=%e9", "/M\u00fcller"):
            await network.call("GET", f"{url}{path}")
        with pytest.raises(NotReached, match="not an address"):
            await network.call("GET", "http://[half/x?token=hush")

    against(serve, act)
    assert b" /a%2Fb/%7ex/../c?q=a+b%20c&d=%e9 HTTP/1.1" in seen[0]
    assert b" /M%C3%BCller HTTP/1.1" in seen[1]


def test_bytes_that_are_no_text_become_text() -> None:
    """A header in Latin-1, as old programs write them, can be kept like any other."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 201 OK\r\nX-Name: M\xfcller\r\nContent-Length: 0\r\n\r\n")

    reply = against(serve, posted())
    assert isinstance(reply, Reply)
    assert ("X-Name", "M\u00fcller") in reply.headers
    assert msgspec.msgpack.encode(reply)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True), ("[::1]", True), ("localhost", True), ("a.localhost.", True),
        ("10.0.0.1", False), ("evil.example", False), ("", False), ("127.0.0.1.evil.example", False),
    ],
)  # fmt: skip
def test_this_machine_is_known_by_its_names(host: str, here: bool) -> None:
    """Only names that never lead elsewhere count."""
    assert is_loopback(host) is here
