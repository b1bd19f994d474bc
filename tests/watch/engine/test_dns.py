from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.watch.engine import dns
from detente.watch.engine.loop import Loop
from detente.watch.engine.once import probe_once
from detente.watch.engine.resolver import Found, Resolver, Server, server
from detente.watch.engine.wire import Probe, Result


def labels(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def record(owner: str, kind: int, content: bytes, ttl: int = 60) -> bytes:
    return labels(owner) + struct.pack(">HHIH", kind, 1, ttl, len(content)) + content


def reply(packet: bytes, *records: bytes, code: int = 0, flags: int = 0x8180) -> bytes:
    """The answer to a question, with these records."""
    number = packet[:2]
    head = struct.pack(">HHHHH", flags | code, 1, len(records), 0, 0)
    return number + head + packet[12:] + b"".join(records)


def asked(packet: bytes) -> tuple[str, int]:
    """The name and kind that a question asks for."""
    parts, at = [], 12
    while packet[at]:
        parts.append(packet[at + 1 : at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(parts), struct.unpack_from(">H", packet, at + 1)[0]


HOME = socket.inet_aton("127.0.0.1")


@pytest.fixture
def here(serve, acts):
    """A port that takes connections."""
    return serve(acts.hangs)


def connect(here: int, dns_port: int, host: str = "shop.example", **more: object) -> Result:
    given = {"id": "shop", "kind": "tcp", "target": f"{host}:{here}", "timeout": 1.0}
    probe = Probe(**(given | more))  # type: ignore[arg-type]
    return probe_once(probe, resolvers=[f"127.0.0.1:{dns_port}"])


def test_a_name_is_looked_up(stage, here):
    """A name is asked of the name server, and the lookup is timed as a phase of its own."""
    port = stage.datagrams(lambda packet: reply(packet, record("shop.example", dns.A, HOME)))
    seen = connect(here, port)
    assert (seen.verdict, seen.reason, seen.ip) == ("ok", "", "127.0.0.1")
    assert seen.dns is not None
    assert seen.dns > 0


def test_aliases_are_followed(stage, here):
    """A chain of aliases within one answer leads to the address."""

    def answer(packet: bytes) -> bytes:
        return reply(
            packet,
            record("shop.example", dns.CNAME, labels("a.cdn.example")),
            record("a.cdn.example", dns.CNAME, labels("b.cdn.example")),
            record("other.example", dns.A, b"\x09\x09\x09\x09"),
            record("b.cdn.example", dns.A, HOME),
        )

    assert connect(here, stage.datagrams(answer)).verdict == "ok"


def test_a_name_that_does_not_exist(stage, here):
    """A missing name is the target's fault and is told as such."""
    seen = connect(here, stage.datagrams(lambda packet: reply(packet, code=3)))
    assert (seen.verdict, seen.failed_in) == ("failed", "dns")
    assert seen.reason == "name shop.example does not exist"


def test_a_name_without_the_address_we_want(stage, here):
    """A name that exists without such an address says so; any family tries IPv4, then IPv6."""
    kinds: list[int] = []

    def answer(packet: bytes) -> bytes:
        kinds.append(asked(packet)[1])
        return reply(packet)

    port = stage.datagrams(answer)
    assert connect(here, port, ip=4).reason == "name shop.example has no IPv4 address"
    assert connect(here, port, ip=6).reason == "name shop.example has no IPv6 address"
    assert connect(here, port).reason == "name shop.example has no address"
    assert kinds == [dns.A, dns.AAAA, dns.A, dns.AAAA]


def test_a_name_with_only_ipv6(stage, acts):
    """A name that has only an IPv6 address is reached over IPv6."""
    here = stage.serve(acts.hangs, "::1")
    six = socket.inet_pton(socket.AF_INET6, "::1")

    def answer(packet: bytes) -> bytes:
        kind = asked(packet)[1]
        return (
            reply(packet, record("shop.example", kind, six)) if kind == dns.AAAA else reply(packet)
        )

    assert connect(here, stage.datagrams(answer)).ip == "::1"


def test_a_failing_domain_is_theirs_a_refusing_server_is_ours(stage, here):
    """SERVFAIL speaks about the domain, REFUSED about how we set up our name servers."""
    seen = connect(here, stage.datagrams(lambda packet: reply(packet, code=2)))
    assert (seen.verdict, "SERVFAIL" in seen.reason) == ("failed", True)
    seen = connect(here, stage.datagrams(lambda packet: reply(packet, code=5)))
    assert (seen.verdict, "REFUSED" in seen.reason) == ("inconclusive", True)


def test_a_dead_name_server_is_our_fault(stage, here, closed_port):
    """If no name server answers at all, the check could not be made: nobody is down."""
    silent = connect(here, stage.datagrams(lambda _: None), timeout=0.3)
    gone = connect(here, closed_port)
    for seen in (silent, gone):
        assert seen.verdict == "inconclusive"
        assert seen.reason.startswith("no name server answers this machine (127.0.0.1)")
    assert gone.total < 0.5


def test_a_name_that_nobody_answers_for_is_theirs(stage, here):
    """If the server is alive but has no word on this name, it is the name's fault."""

    def answer(packet: bytes) -> bytes | None:
        return reply(packet) if asked(packet)[0] == "" else None

    seen = connect(here, stage.datagrams(answer), timeout=0.5)
    assert seen.verdict == "failed"
    assert seen.reason == "no answer to the lookup of shop.example within 0.5 s"


def test_a_lost_question_is_asked_again(stage, here):
    """One lost packet delays the answer and changes nothing else."""
    lost: list[bytes] = []

    def answer(packet: bytes) -> bytes | None:
        if not lost:
            lost.append(packet)
            return None
        name = asked(packet)[0]
        return reply(packet, record(name, dns.A, HOME)) if name else reply(packet)

    assert connect(here, stage.datagrams(answer), timeout=2.0).verdict == "ok"


def test_forged_and_broken_answers_are_ignored(stage, here):
    """Wrong number, wrong question, noise: only the answer to our question counts."""
    evil = record("shop.example", dns.A, b"\x06\x06\x06\x06")

    def answer(packet: bytes) -> list[bytes]:
        wrong_number = bytes([packet[0] ^ 1]) + packet[1:]
        wrong_name = packet[:12] + labels("evil.example") + packet[-4:]
        good = record("shop.example", dns.A, HOME)
        cut_short = reply(packet, good)[:-3]
        return [
            b"",
            b"\0" * 5,
            b"\xff" * 300,
            packet,
            reply(wrong_number, evil),
            reply(wrong_name, evil),
            cut_short,
            reply(packet, good),
        ]

    assert connect(here, stage.datagrams(answer)).ip == "127.0.0.1"


def ask(resolver: Resolver, loop: Loop, host: str, family: int = 0) -> object:
    """Look a name up and wait for what comes."""
    heard: list[object] = []

    class Listener:
        def found(self, answer: Found) -> None:
            heard.append(answer)

        def not_found(self, why: object) -> None:
            heard.append(why)

    resolver.look_up(host, family, Listener(), 0.5)
    while not heard:
        loop.turn(0.5)
    return heard[0]


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


def test_answers_are_kept_as_long_as_they_allow(stage, loop, tmp_path):
    """Within its time to live an answer is not asked for again; without one it always is."""
    counted: list[str] = []

    def answer(packet: bytes) -> bytes:
        name, kind = asked(packet)
        counted.append(name)
        return reply(packet, record(name, kind, HOME, ttl=0 if name == "fresh" else 60))

    servers = [Server("127.0.0.1", stage.datagrams(answer))]
    resolver = Resolver(loop, servers=servers, hosts=tmp_path / "none", conf=tmp_path / "none")
    for name in ("kept", "kept", "fresh", "fresh"):
        assert ask(resolver, loop, name) == Found(socket.AF_INET, "127.0.0.1")
    assert counted == ["kept", "fresh", "fresh"]
    resolver.close()


def test_what_the_machine_itself_knows(stage, loop, tmp_path):
    """The hosts file is asked first, and followed when it changes; localhost needs nobody."""
    hosts = tmp_path / "hosts"
    hosts.write_text("# ours\n10.0.0.7 shop.example Shop\n::7 shop.example\nnonsense x\n\n")
    servers = [Server("127.0.0.1", stage.datagrams(lambda packet: reply(packet, code=3)))]
    resolver = Resolver(loop, servers=servers, hosts=hosts, conf=tmp_path / "none")
    assert ask(resolver, loop, "shop.example") == Found(socket.AF_INET, "10.0.0.7")
    assert ask(resolver, loop, "shop.example", socket.AF_INET6) == Found(socket.AF_INET6, "::7")
    assert ask(resolver, loop, "shop") == Found(socket.AF_INET, "10.0.0.7")
    assert ask(resolver, loop, "app.localhost") == Found(socket.AF_INET, "127.0.0.1")
    assert ask(resolver, loop, "localhost", socket.AF_INET6) == Found(socket.AF_INET6, "::1")
    hosts.unlink()
    assert "does not exist" in str(ask(resolver, loop, "shop.example"))
    resolver.close()


def test_search_domains_are_for_short_names(stage, loop, tmp_path):
    """Only a name without a dot is tried in the search domains."""
    counted: list[str] = []

    def answer(packet: bytes) -> bytes:
        counted.append(asked(packet)[0])
        return reply(packet, code=3)

    conf = tmp_path / "resolv.conf"
    conf.write_text("search corp.example lab.example\nnameserver 10.9.9.9\noptions ndots:5\n")
    servers = [Server("127.0.0.1", stage.datagrams(answer))]
    resolver = Resolver(loop, servers=servers, hosts=tmp_path / "none", conf=conf)
    ask(resolver, loop, "db", socket.AF_INET)
    ask(resolver, loop, "db.example", socket.AF_INET)
    assert counted == ["db.corp.example", "db.lab.example", "db", "db.example"]
    resolver.close()


def test_the_next_server_is_asked_if_the_first_is_gone(stage, loop, tmp_path, closed_port):
    """A name server that is not there costs a moment, not the answer."""
    good = stage.datagrams(lambda packet: reply(packet, record("shop.example", dns.A, HOME)))
    servers = [Server("127.0.0.1", closed_port), Server("127.0.0.1", good)]
    resolver = Resolver(loop, servers=servers, hosts=tmp_path / "none", conf=tmp_path / "none")
    assert ask(resolver, loop, "shop.example") == Found(socket.AF_INET, "127.0.0.1")
    resolver.close()


def test_name_servers_as_people_write_them():
    """An address, or an address with a port; never a name."""
    assert server("10.0.0.2") == Server("10.0.0.2", 53)
    assert server("10.0.0.2:5353") == Server("10.0.0.2", 5353)
    assert server("[::1]:5353") == Server("::1", 5353)
    assert server("::1") == Server("::1", 53)
    with pytest.raises(ValueError, match="by its IP address"):
        server("dns.example:53")


QUESTION = dns.question(7, "shop.example", dns.A)
ANSWER = reply(
    QUESTION,
    record("shop.example", dns.CNAME, labels("b.example")),
    record("b.example", dns.A, HOME),
)


@given(st.binary(max_size=300))
def test_noise_is_no_answer(noise):
    """No packet whatever raises an error."""
    dns.read(QUESTION[:2] + b"\x81\x80" + noise, 7, "shop.example", dns.A)
    dns.read(noise, 7, "shop.example", dns.A)


@given(st.integers(2, len(ANSWER) - 1), st.integers(0, 255))
def test_a_damaged_answer_is_no_crash(at, value):
    """An answer with one byte changed is read or ignored."""
    damaged = bytearray(ANSWER)
    damaged[at] = value
    dns.read(bytes(damaged), 7, "shop.example", dns.A)


def test_names_that_point_at_themselves_end():
    """Compression loops and alias loops come to an end."""
    looping = ANSWER[:12] + b"\xc0\x0c" + ANSWER[14:]
    assert dns.read(looping, 7, "shop.example", dns.A) is None
    circle = reply(QUESTION, record("shop.example", dns.CNAME, labels("shop.example")))
    assert dns.read(circle, 7, "shop.example", dns.A) == dns.Reply(0, False, (), 60)


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..b", ".".join(["abcdefgh"] * 40)])
def test_what_cannot_be_a_name(name, stage, here):
    """A name that DNS cannot carry fails with a sentence."""
    with pytest.raises(ValueError, match="cannot be a host name"):
        dns.question(1, name, dns.A)
    seen = connect(here, stage.datagrams(lambda _: None), name)
    assert "cannot be a host name" in seen.reason
