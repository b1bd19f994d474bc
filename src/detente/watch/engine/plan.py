"""What exactly will be done for a probe?

Everything that can be worked out once is worked out here, when orders arrive, so that a run has
only the network left to deal with. A probe that makes no sense becomes a plan with a `mistake`.
"""

from __future__ import annotations

import re
import socket
from base64 import b64encode
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

from detente.kernel.clock import NS
from detente.watch.engine.wire import Probe, Statuses

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
PLUGINS = "plugins"  # they share one place, so that not too many run at once
_LEFT_AS_IT_IS = "/?#[]@!$&'()*+,;=:%~-._"


class Mistake(ValueError):
    """This probe cannot be made as it is written; the message says what to change."""


class Address(NamedTuple):
    """Where to connect to."""

    family: int
    ip: str
    where: tuple[str, int] | tuple[str, int, int, int]


class Plan:
    """A probe, worked out."""

    __slots__ = (
        "accepts",
        "address",
        "expires_within_ns",
        "family",
        "host",
        "looks_at_body",
        "mistake",
        "pattern",
        "phrase",
        "place",
        "port",
        "probe",
        "request",
        "secure",
        "server_name",
        "without_body",
    )

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.mistake: str | None = None
        self.host, self.port, self.secure = "", 0, probe.kind == "tls"
        self.family = {4: socket.AF_INET, 6: socket.AF_INET6}.get(probe.ip or 0, 0)
        self.address: Address | None = None
        self.request = b""
        self.accepts: frozenset[int] = frozenset()
        self.phrase: bytes | None = None
        self.pattern: re.Pattern[bytes] | None = None
        self.looks_at_body = False
        self.without_body = probe.method.upper() == "HEAD"
        self.expires_within_ns = round(probe.expires_within * NS)
        try:
            self._work_out(probe)
        except ValueError as wrong:
            self.mistake = str(wrong)
        self.server_name = probe.server_name or self.host
        self.place = place(self.host, self.port)

    def _work_out(self, probe: Probe) -> None:
        if probe.timeout <= 0:
            raise Mistake(f"a timeout of {probe.timeout:g} s leaves no time to answer")
        if probe.kind == "http":
            self._work_out_http(probe)
        elif probe.kind == "plugin":
            self.host = PLUGINS
            return
        else:
            self.host, self.port = host_and_port(probe.target)
        self.host = plain_name(self.host)
        self.address = literal(self.host, self.port)
        if self.address and self.family not in (0, self.address.family):
            raise Mistake(f"{self.host} is not an IPv{probe.ip} address")

    def _work_out_http(self, probe: Probe) -> None:
        url = read_url(probe.target)
        self.secure = url.scheme == "https"
        self.host = url.hostname or ""
        self.port = url.port or (443 if self.secure else 80)
        self.request = http_request(probe, url)
        self.accepts = status_set(probe.expect_status)
        self.phrase = probe.expect_body.encode() if probe.expect_body else None
        self.pattern = read_pattern(probe.expect_body_regex)
        self.looks_at_body = bool(self.phrase or self.pattern)


def place(host: str, port: int) -> str:
    """host:port as people write it."""
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_and_port(target: str) -> tuple[str, int]:
    """`example.org:443` or `[::1]:443`, taken apart."""
    host, _, port = target.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise Mistake(f"write an IPv6 address in brackets: [{host}]:{port}")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise Mistake(f"“{target}” is not a host and a port: write it as example.org:443")
    return host, int(port)


def plain_name(host: str) -> str:
    """The host name as DNS wants it: ASCII, without the dot at the end."""
    name = host.rstrip(".")
    if not name.isascii():
        name = name.encode("idna").decode("ascii")
    return name.lower()


def literal(host: str, port: int) -> Address | None:
    """The address, if the host is one already and no name."""
    if not (host[:1].isdigit() or ":" in host):
        return None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return None
    family, _, _, _, where = found[0]
    return Address(family, str(where[0]), where)  # type: ignore[arg-type]


def read_url(target: str) -> SplitResult:
    """The URL, if it is one that can be asked for."""
    try:
        url = urlsplit(target)
        if url.scheme in ("http", "https") and url.hostname and url.port != 0:
            return url
    except ValueError:
        pass  # a port that is no number, brackets that do not close
    raise Mistake("the target is no URL: write it as https://example.org/path")


@lru_cache(maxsize=256)
def status_set(statuses: Statuses) -> frozenset[int]:
    """Every status code that is accepted."""
    accepted: set[int] = set()
    for one in statuses:
        first, last = (one, one) if isinstance(one, int) else one
        if not 100 <= first <= last <= 999:
            raise Mistake(f"there are no status codes from {first} to {last}")
        accepted.update(range(first, last + 1))
    return frozenset(accepted)


def read_pattern(pattern: str | None) -> re.Pattern[bytes] | None:
    """The regular expression for the body, if there is one."""
    if not pattern:
        return None
    try:
        return re.compile(pattern.encode())
    except re.error as wrong:
        raise Mistake(f"the pattern for the body is wrong: {wrong}") from wrong


def http_request(probe: Probe, url: SplitResult) -> bytes:
    """The whole request, ready to be sent."""
    if not _TOKEN.fullmatch(probe.method):
        raise Mistake(f"“{probe.method}” is not an HTTP method")
    path = quote(url.path or "/", safe=_LEFT_AS_IT_IS)
    if url.query:
        path += "?" + quote(url.query, safe=_LEFT_AS_IT_IS)
    lines = [f"{probe.method.upper()} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in _headers(probe, url).items()]
    head = "\r\n".join(lines) + "\r\n\r\n"
    return head.encode("latin-1", "replace") + (probe.body or b"")


def _headers(probe: Probe, url: SplitResult) -> dict[str, str]:
    host = url.netloc.rpartition("@")[2]
    headers = {
        "Host": host if host.isascii() else plain_name(host),
        "User-Agent": "detente",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if url.username:
        known = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers["Authorization"] = "Basic " + b64encode(known.encode()).decode()
    if probe.body is not None:
        headers["Content-Length"] = str(len(probe.body))
    spelled = {name.lower(): name for name in headers}
    for name, value in probe.headers.items():
        if not _TOKEN.fullmatch(name) or re.search(r"[\r\n\0]", value):
            raise Mistake(f"the header “{name}” cannot be sent: its name or value is not allowed")
        headers[spelled.get(name.lower(), name)] = value
    return headers
