"""Which address does a name have right now?

A small name client inside the prober's own loop. No thread pool stands between it and the checks,
so one dead name server cannot hold up checks that do not need it. Answers are kept as long as they
allow, at most thirty seconds; what did not work is never kept.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from detente.kernel.clock import Seconds
from detente.watch.engine import dns
from detente.watch.engine.faults import Fault, fault
from detente.watch.engine.loop import READ, Loop
from detente.watch.engine.plan import Mistake, host_and_port, literal

KEEP_AT_MOST = 30.0
PATIENCE = 1.0  # seconds, then the next server is asked as well
SOCKETS = 6  # that one lookup may have open
REMEMBERED = 10_000  # names

_HOSTS = Path("/etc/hosts")
_RESOLV_CONF = Path("/etc/resolv.conf")
_KINDS = {socket.AF_INET: (dns.A,), socket.AF_INET6: (dns.AAAA,), 0: (dns.A, dns.AAAA)}
_FAMILY = {dns.A: socket.AF_INET, dns.AAAA: socket.AF_INET6}
_SAID = {1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED"}


class Server(NamedTuple):
    """One name server."""

    ip: str
    port: int = 53


class Found(NamedTuple):
    """An address for a name."""

    family: int
    ip: str


class Waiter(Protocol):
    """Who wants to know."""

    def found(self, answer: Found) -> None: ...

    def not_found(self, why: Fault) -> None: ...


def server(written: str) -> Server:
    """A name server as people write it: an IP address, with a port if it is not 53."""
    if literal(written, 53) is not None:
        return Server(written)
    host, port = host_and_port(written)
    if literal(host, port) is None:
        raise Mistake(f"a name server must be given by its IP address, not as “{written}”")
    return Server(host, port)


class Surroundings:
    """What this machine knows about names: its hosts file, its servers, its search domains."""

    def __init__(self, servers: Sequence[Server], hosts: Path, conf: Path) -> None:
        self._given = tuple(servers)
        self._files = (hosts, conf)
        self._stamps: tuple[int, ...] = ()
        self.servers: tuple[Server, ...] = self._given
        self.search: tuple[str, ...] = ()
        self.hosts: dict[str, list[Found]] = {}

    def refresh(self) -> None:
        """Read the files again if they have changed."""
        stamps = tuple(_stamp(path) for path in self._files)
        if stamps == self._stamps:
            return
        self._stamps = stamps
        hosts, conf = (_lines(path) for path in self._files)
        self.hosts = _read_hosts(hosts)
        words = [line for line in conf if len(line) > 1]
        self.search = tuple(next((w[1:] for w in reversed(words) if w[0] == "search"), ()))
        listed = [w[1] for w in words if w[0] == "nameserver" and literal(w[1], 53)]
        self.servers = self._given or tuple(map(Server, listed)) or (Server("127.0.0.1"),)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _lines(path: Path) -> list[list[str]]:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return []
    return [line.partition("#")[0].split() for line in text.splitlines()]


def _read_hosts(lines: Iterable[list[str]]) -> dict[str, list[Found]]:
    known: dict[str, list[Found]] = {}
    for ip, *names in filter(None, lines):
        address = literal(ip, 0)
        if address is None:
            continue
        for name in names:
            known.setdefault(name.lower(), []).append(Found(address.family, address.ip))
    return known


class Resolver:
    """Answers with an address: at once if it is known, otherwise as soon as a server says it."""

    def __init__(
        self,
        loop: Loop,
        *,
        servers: Sequence[Server] = (),
        hosts: Path = _HOSTS,
        conf: Path = _RESOLV_CONF,
        chance: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.loop = loop
        self.chance = chance
        self.around = Surroundings(servers, hosts, conf)
        self.heard: Seconds = float("-inf")  # when any server last answered anything
        self._kept: dict[tuple[str, int], tuple[Seconds, Found]] = {}
        self._asking: dict[tuple[str, int], Lookup] = {}

    def look_up(self, host: str, family: int, waiter: Waiter, patience: Seconds) -> None:
        """Tell the waiter, now or later, the address of a host. Family 0: IPv4 if there is one."""
        known = self._known(host, family)
        if known is not None:
            waiter.found(known)
            return
        lookup = self._asking.get((host, family))
        if lookup is not None:
            lookup.waiters.append(waiter)
            return
        lookup = self._asking[host, family] = Lookup(self, host, family, patience)
        lookup.waiters.append(waiter)
        lookup.begin()

    def leave(self, host: str, family: int, waiter: Waiter) -> None:
        """This waiter no longer wants to know."""
        lookup = self._asking.get((host, family))
        if lookup is not None and waiter in lookup.waiters:
            lookup.waiters.remove(waiter)
            if not lookup.waiters:
                self.finished(lookup)

    def silence(self, host: str, since: Seconds) -> Fault:
        """Why a lookup brought no answer: is it the name, or do our servers not answer at all?"""
        if self.heard >= since:
            return Fault(False, f"no answer to the lookup of {host}")
        return self.cut_off()

    def cut_off(self) -> Fault:
        servers = ", ".join(one.ip for one in self.around.servers)
        return Fault(True, f"no name server answers this machine ({servers})")

    def keep(self, host: str, family: int, found: Found, ttl: int) -> None:
        """Remember an answer for as long as it allows."""
        if len(self._kept) >= REMEMBERED:
            self._kept.clear()
        until = self.loop.monotonic() + min(ttl, KEEP_AT_MOST)
        self._kept[host, family] = (until, found)

    def finished(self, lookup: Lookup) -> None:
        """Nobody asks this any more."""
        self._asking.pop((lookup.host, lookup.family), None)
        lookup.close()

    def _known(self, host: str, family: int) -> Found | None:
        kept = self._kept.get((host, family))
        if kept is not None and kept[0] > self.loop.monotonic():
            return kept[1]
        if host == "localhost" or host.endswith(".localhost"):
            six = family == socket.AF_INET6
            return Found(socket.AF_INET6, "::1") if six else Found(socket.AF_INET, "127.0.0.1")
        self.around.refresh()
        fits = [one for one in self.around.hosts.get(host, ()) if family in (0, one.family)]
        return min(fits) if fits else None

    def close(self) -> None:
        for lookup in list(self._asking.values()):
            self.finished(lookup)


class Lookup:
    """One name on its way: question after question, server after server, until somebody says."""

    def __init__(self, resolver: Resolver, host: str, family: int, patience: Seconds) -> None:
        self.resolver = resolver
        self.host, self.family = host, family
        self.waiters: list[Waiter] = []
        self._patience = min(PATIENCE, max(0.05, patience))
        self._servers = resolver.around.servers
        search = resolver.around.search if "." not in host else ()
        names = [f"{host}.{domain}".lower() for domain in search] + [host]
        self._questions = [(name, kind) for name in names for kind in _KINDS[family]]
        self._sockets: dict[int, socket.socket] = {}
        self._number = self._sign_of_life = 0
        self._asked = 0
        self._said: dict[Server, int | None] = {}  # what did not help; None: it is not there
        self._exists = False
        self._tick = 0

    def begin(self) -> None:
        """Ask the first question."""
        self._number, self._sign_of_life = self._two_numbers()
        self._asked = 0
        self._said.clear()
        self._ask()

    def _two_numbers(self) -> tuple[int, int]:
        chance = self.resolver.chance(4)
        first, second = int.from_bytes(chance[:2]), int.from_bytes(chance[2:])
        return first, second if second != first else first ^ 1

    def _ask(self) -> None:
        """Ask the next server that has not yet said something useless."""
        left = [one for one in self._servers if one not in self._said]
        if not left:
            self._give_up()
            return
        if len(self._sockets) < SOCKETS:
            chosen = left[self._asked % len(left)]
            self._asked += 1
            problem = self._send(chosen)
            if problem is not None:
                self._useless(chosen, None, problem)
                return
        deadline = self.resolver.loop.monotonic() + self._patience
        self._tick = self.resolver.loop.deadlines.add(self, deadline)

    def _send(self, to: Server) -> Fault | None:
        name, kind = self._questions[0]
        try:
            packet = dns.question(self._number, name, kind)
        except ValueError as wrong:
            return Fault(True, str(wrong))
        try:
            asking = self._open(to)
        except OSError as wrong:
            return fault(wrong.errno or errno.EIO, f"name server {to.ip}", at_once=True)
        try:
            asking.send(packet)
            if self._asked > 1:  # nobody answered yet: is it the name or the server?
                asking.send(dns.question(self._sign_of_life, "", dns.NS_RECORDS))
        except OSError:
            return self.resolver.cut_off()
        return None

    def _open(self, to: Server) -> socket.socket:
        family = socket.AF_INET6 if ":" in to.ip else socket.AF_INET
        asking = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            asking.connect(to)
            fd = asking.fileno()
            self.resolver.loop.watch(fd, READ, lambda _: self._hear(asking, to))
        except OSError:
            asking.close()
            raise
        self._sockets[fd] = asking
        return asking

    def _hear(self, asking: socket.socket, who: Server) -> None:
        try:
            packet = asking.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            self._drop(asking)
            self._useless(who, None, self.resolver.cut_off())
            return
        if dns.answers(packet, self._number) or dns.answers(packet, self._sign_of_life):
            self.resolver.heard = self.resolver.loop.monotonic()
        reply = dns.read(packet, self._number, *self._questions[0])
        if reply is not None:
            self._weigh(reply, who)

    def _weigh(self, reply: dns.Reply, who: Server) -> None:
        kind = self._questions[0][1]
        if reply.addresses:
            self._tell(Found(_FAMILY[kind], reply.addresses[0]), reply.ttl)
        elif reply.code in (dns.NO_ERROR, dns.NO_SUCH_NAME) and not reply.cut:
            self._exists = self._exists or reply.code == dns.NO_ERROR
            self._next_question()
        else:
            self._useless(who, reply.code, self._declined(reply.code))

    def _useless(self, who: Server, said: int | None, why: Fault) -> None:
        """This server does not help: on to the others, if there are any."""
        self._forget_deadline()
        self._said[who] = said
        if len(self._said) == len(self._servers):
            self._fail(why)
        else:
            self._ask()

    def _declined(self, code: int) -> Fault:
        said = _SAID.get(code, f"code {code}") if code else "an answer too large for UDP"
        reason = f"the lookup of {self.host} failed: the name server says {said}"
        return Fault(code == dns.REFUSED, reason)

    def _next_question(self) -> None:
        self._forget_deadline()
        self._close_sockets()
        del self._questions[0]
        if self._questions:
            self.begin()
            return
        what: dict[int, str] = {socket.AF_INET: "IPv4 address", socket.AF_INET6: "IPv6 address"}
        missing = f"has no {what.get(self.family, 'address')}" if self._exists else "does not exist"
        self._fail(Fault(False, f"name {self.host} {missing}"))

    def _give_up(self) -> None:
        self._fail(self.resolver.cut_off())

    def expire(self) -> None:
        """No answer yet: ask once more, and keep listening for the earlier ones."""
        self._ask()

    def _tell(self, found: Found, ttl: int) -> None:
        self.resolver.finished(self)
        self.resolver.keep(self.host, self.family, found, ttl)
        for waiter in self._all_waiters():
            waiter.found(found)

    def _fail(self, why: Fault) -> None:
        self.resolver.finished(self)
        for waiter in self._all_waiters():
            waiter.not_found(why)

    def _all_waiters(self) -> list[Waiter]:
        waiters, self.waiters = self.waiters, []
        return waiters

    def _drop(self, asking: socket.socket) -> None:
        fd = asking.fileno()
        self.resolver.loop.closing(fd)
        self._sockets.pop(fd, None)
        asking.close()

    def _close_sockets(self) -> None:
        for asking in list(self._sockets.values()):
            self._drop(asking)

    def _forget_deadline(self) -> None:
        self.resolver.loop.deadlines.discard(self, self._tick)

    def close(self) -> None:
        self._forget_deadline()
        self._close_sockets()
