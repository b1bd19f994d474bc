from __future__ import annotations

import socket
import threading

import pytest

from detente.watch.engine.once import probe_once
from detente.watch.engine.wire import Probe, Result

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def ask(port: int, **more: object) -> Result:
    given = {"id": "shop", "kind": "http", "target": f"http://127.0.0.1:{port}/", "timeout": 2.0}
    return probe_once(Probe(**(given | more)))  # type: ignore[arg-type]


def test_a_good_answer_is_ok_with_all_its_phases(serve, acts):
    """A good answer is ok, and every phase on the way is timed and adds up."""
    seen = ask(serve(acts.says(OK)))
    assert (seen.verdict, seen.reason, seen.status) == ("ok", "", 200)
    assert seen.ip == "127.0.0.1"
    assert seen.bytes == len(OK)
    phases = [seen.dns, seen.connect, seen.first_byte, seen.transfer]
    assert None not in phases
    assert seen.tls is None
    assert sum(filter(None, phases)) <= seen.total + 1e-9


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "HTTP 503 Service Unavailable"),
        (b"HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n", "HTTP 799"),
        (b"\x00\xff\x00garbage garbage\r\n\r\n", "answered, but not with HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "answered, but not with HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "the answer broke off after 44 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "the answer broke off within its headers"),
        (b"", "connection closed by 127.0.0.1:{port} without an answer"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_told_in_words(serve, acts, said, reason):
    """Whatever comes back, however broken, becomes a sentence that both sides can read."""
    port = serve(acts.says(said))
    seen = ask(port)
    assert (seen.verdict, seen.reason) == ("failed", reason.format(port=port))


def test_a_broken_chunk_is_told(serve, acts):
    """An answer that begins well and then cannot be read is failed, not a crash."""
    seen = ask(serve(acts.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")))
    assert seen.verdict == "failed"
    assert seen.reason.startswith("the answer cannot be read to its end")


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", OK),
        tuple(bytes([byte]) for byte in OK),
        (OK + b"and more than was promised",),
    ],
)  # fmt: skip
def test_every_framing_of_the_same_answer_is_read(serve, acts, parts):
    """Chunked, until the end, after a 100, byte by byte: the body is found in all of them."""
    seen = ask(serve(acts.says(*parts)), expect_body="hello")
    assert (seen.verdict, seen.reason) == ("ok", "")


def test_answers_without_a_body_end_at_their_headers(serve, acts):
    """HEAD announces a length and 204 has none: neither waits for a body."""
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
    assert ask(serve(acts.says(said)), method="HEAD").verdict == "ok"
    assert ask(serve(acts.says(b"HTTP/1.1 204 No Content\r\n\r\n"))).verdict == "ok"


def test_expectations(serve, acts):
    """Status, text and pattern are judged as they were asked for, and the reason names them."""
    port = serve(acts.says(OK))
    assert ask(port, expect_body="hell").verdict == "ok"
    assert ask(port, expect_body="heaven").reason == "“heaven” is not in the answer"
    assert ask(port, expect_body_regex="h.l+o$").verdict == "ok"
    assert ask(port, expect_body_regex="^x").reason == "nothing in the answer matches “^x”"
    assert ask(port, expect_status=(404, (500, 599))).reason == "HTTP 200 OK"
    assert ask(port, expect_status=(404, (200, 204))).verdict == "ok"


def test_redirects_are_answers(serve, acts):
    """A redirect is an answer and is not followed."""
    said = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    seen = ask(serve(acts.says(said)))
    assert (seen.verdict, seen.status) == ("ok", 302)


def test_too_slow_counts_as_failed(serve, acts):
    """An answer slower than wanted fails, and the reason says where the time went."""
    wait = threading.Event()

    def slow(sock: socket.socket) -> None:
        acts.hear(sock)
        wait.wait(0.15)
        sock.sendall(OK)

    seen = ask(serve(slow), slow_after=0.1)
    assert seen.verdict == "failed"
    assert "wanted within 0.1 s (most of it waiting for the first byte)" in seen.reason


def test_silence_ends_at_the_deadline(serve, acts, closed_port):
    """Hung, refused, reset: each has its own words and its own phase."""
    hung = ask(serve(acts.hangs), timeout=0.1)
    assert hung.verdict == "failed"
    assert "within 0.1 s (connected, waiting for the first byte)" in hung.reason
    assert hung.failed_in == "first_byte"
    assert 0.1 <= hung.total < 1
    refused = ask(closed_port)
    assert refused.reason == f"connection refused by 127.0.0.1:{closed_port}"
    assert refused.failed_in == "connect"
    port = serve(acts.resets)
    assert ask(port).reason == f"connection reset by 127.0.0.1:{port}"


def test_a_dripping_answer_does_not_outlive_the_deadline(serve, acts):
    """A server that sends a byte now and then cannot keep a run alive."""
    over = threading.Event()

    def drip(sock: socket.socket) -> None:
        acts.hear(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not over.wait(0.01):
            sock.sendall(b"x")

    seen = ask(serve(drip), timeout=0.15)
    over.set()
    assert seen.failed_in == "transfer"
    assert seen.reason.startswith("the answer was not complete within 0.15 s")


def test_endless_answers_are_cut(serve, acts):
    """A mebibyte is enough of any body, and 64 KiB of any headers."""
    over = threading.Event()

    def flood(opening: bytes, filler: bytes):
        def handle(sock: socket.socket) -> None:
            acts.hear(sock)
            sock.sendall(opening)
            while not over.is_set():
                sock.sendall(filler)

        return handle

    bodies = serve(flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096))
    assert ask(bodies).verdict == "ok"
    missing = ask(bodies, expect_body="never")
    assert missing.reason == "“never” is not in the first 1024 KiB of the answer"
    headers = ask(serve(flood(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n")))
    assert headers.reason == "answered, but its headers do not end within 64 KiB"
    over.set()


def test_the_request_says_what_was_ordered(serve, acts):
    """Method, path, headers, body and credentials reach the server; credentials stay out of reasons."""
    heard: list[bytes] = []

    def listen(sock: socket.socket) -> None:
        heard.append(acts.hear(sock))
        sock.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")

    port = serve(listen)
    seen = ask(
        port,
        target=f"http://dev:s3cret@127.0.0.1:{port}/a b?q=ü#part",
        method="POST",
        headers={"user-agent": "shop", "X-One": "1"},
        body=b"ping",
    )
    request = heard[0]
    assert request.startswith(b"POST /a%20b?q=%C3%BC HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{port}\r\n".encode() in request
    assert b"User-Agent: shop\r\n" in request
    assert b"Content-Length: 4\r\n" in request
    assert b"Authorization: Basic ZGV2OnMzY3JldA==\r\n" in request
    assert request.endswith(b"\r\n\r\nping")
    assert "s3cret" not in repr(seen)


def test_ipv6_targets(stage, acts):
    """An IPv6 address in brackets is asked like any other."""
    port = stage.serve(acts.says(OK), "::1")
    seen = ask(port, target=f"http://[::1]:{port}/")
    assert (seen.verdict, seen.ip) == ("ok", "::1")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"target": "ftp://x/"}, "is no URL"),
        ({"target": "http://[::1/"}, "is no URL"),
        ({"target": "http://x:99999/"}, "is no URL"),
        ({"headers": {"X": "a\r\nEvil: 1"}}, "the header “X” cannot be sent"),
        ({"method": "GET /"}, "is not an HTTP method"),
        ({"expect_body_regex": "("}, "the pattern for the body is wrong"),
        ({"expect_status": (7,)}, "no status codes from 7 to 7"),
        ({"timeout": 0.0}, "leaves no time"),
        ({"ip": 6}, "not an IPv6 address"),
        ({"kind": "tcp", "target": "::1:80"}, "in brackets"),
        ({"kind": "tcp", "target": "host"}, "is not a host and a port"),
    ],
)
def test_nonsense_is_our_own_fault(wrong, says):
    """A probe that makes no sense is inconclusive, with a sentence that says what to change."""
    seen = ask(1, **wrong)
    assert seen.verdict == "inconclusive"
    assert says in seen.reason
