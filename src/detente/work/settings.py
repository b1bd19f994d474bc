"""What people write about the vendors' routes: `work:` in `detente.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from detente.kernel.catalogue import Catalogue, unknown
from detente.kernel.config import Address, Duration, Mistake, Percent, Secret, Url
from detente.kernel.mailing import MOVED, unsent
from detente.kernel.money import money
from detente.kernel.network import OF_ONE_CONNECTION, is_loopback


class Size(int):
    """So many bytes, written `500MB`, `1GB`."""

    shape: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": "^[0-9]{1,9}(kB|MB|GB)$",
        "examples": ["500MB", "1GB"],
    }

    @classmethod
    def read(cls, written: Any) -> Self:
        found = _SIZE.fullmatch(written.strip()) if isinstance(written, str) else None
        if found is None:
            raise ValueError(f"expected a size such as 500MB or 1GB, found {written!r}")
        return cls(int(found[1]) * _UNITS[found[2]])

    def __str__(self) -> str:
        for unit, size in reversed(_UNITS.items()):
            if self >= size and self % size == 0:
                return f"{self // size}{unit}"
        return f"{int(self)} bytes"


_UNITS = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}
_SIZE = re.compile(r"([0-9]{1,9})\s*(kB|MB|GB)")


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to read the CSV in which the vendor lists what they charged."""

    reference: Annotated[str, Meta(description="the column with what they know a call by")]
    amount: Annotated[str, Meta(description="the column with the amount")]
    currency: Annotated[
        str, Meta(description="the column with the currency, or a fixed code such as EUR")
    ]
    status: Annotated[
        str | None, Meta(description="the column that says whether it was charged, if there is one")
    ] = None
    charged: Annotated[
        tuple[str, ...], Meta(description="what stands in `status` when it was charged")
    ] = ("charged", "paid", "captured", "settled", "succeeded", "success")
    ours: Annotated[
        str,
        Meta(
            description="what of ours the reference is: `key` (the idempotency key), or where the"
            " request says it, such as /order"
        ),
    ] = "key"
    delimiter: Annotated[
        str | None, Meta(description="what stands between columns; found out if not said")
    ] = None
    decimal: Annotated[
        Literal[".", ","] | None,
        Meta(description="the sign before the cents; found out if not said"),
    ] = None
    unit: Annotated[
        Literal["minor", "major"],
        Meta(description="minor: 1990 means 19.90; major: 19.90 means 19.90"),
    ] = "major"


class MoneyIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a call says what it is worth, as JSON pointers (RFC 6901) into its body."""

    amount: Annotated[str, Meta(pattern="^/", description="for example /amount")]
    currency: Annotated[
        str, Meta(description="a pointer such as /currency, or a fixed code such as EUR")
    ]
    unit: Annotated[
        Literal["minor", "major"],
        Meta(description="minor: 1990 means 19.90; major: 19.90 means 19.90"),
    ] = "minor"


class Patience(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the circuit breaker stops waiting for the vendor, and how it tries again."""

    window: Annotated[Duration, Meta(description="how far back it looks")] = Duration(10)
    minimum_calls: Annotated[int, Meta(ge=1, description="fewer calls than this prove nothing")] = 5
    failure_rate: Annotated[Percent, Meta(description="opens at this share of failures")] = Percent(
        0.5
    )
    slow_after: Annotated[Duration | None, Meta(description="slower than this is slow")] = None
    slow_rate: Annotated[Percent, Meta(description="opens at this share of slow calls")] = Percent(
        0.8
    )
    open_for: Annotated[Duration, Meta(description="waits this long before the next probe")] = (
        Duration(5)
    )
    open_for_at_most: Annotated[
        Duration, Meta(description="the wait doubles with every failed probe up to this")
    ] = Duration(60)
    probes: Annotated[int, Meta(ge=1, description="calls let through at once while probing")] = 1
    closes_after: Annotated[int, Meta(ge=1, description="good probes in a row")] = 2


class Replay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How parked calls go out again: gently, faster as the vendor keeps up."""

    starts_at: Annotated[float, Meta(gt=0, description="calls a second at first")] = 1.0
    at_most: Annotated[float, Meta(gt=0, description="calls a second once all is well")] = 10.0
    first_wait: Annotated[Duration, Meta(description="after the first failed attempt")] = Duration(
        5
    )
    longest_wait: Annotated[Duration, Meta(description="between attempts, in the end")] = Duration(
        300
    )


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to a vendor: callers use `http://<gateway>/<route>/…` instead of `to`."""

    vendor: Annotated[str, Meta(description="whose route it is")]
    to: Annotated[Url, Meta(description="where the vendor really is")]
    timeout: Annotated[Duration, Meta(description="how long a caller may be kept waiting")] = (
        Duration(5)
    )
    park: Annotated[
        tuple[Literal["POST", "PUT", "PATCH", "DELETE"], ...],
        Meta(description="methods worth keeping when the vendor is not there; [] parks nothing"),
    ] = ("POST",)
    idempotency: Annotated[
        str | None,
        Meta(
            description="the header by which the vendor knows a repeated call; null if it has none"
        ),
    ] = "Idempotency-Key"
    answer_status: Annotated[
        int, Meta(ge=200, le=299, description="what a caller is told when the call is parked")
    ] = 202
    money: MoneyIn | None = None
    headers: Annotated[Mapping[str, str], Meta(description="set on every call")] = {}
    secret_headers: Annotated[
        Mapping[str, Secret], Meta(description="set on every call: the vendor's key, by reference")
    ] = {}
    breaker: Patience = Patience()
    replay: Replay = Replay()
    statement: Statement | None = None
    drill_at_most: Annotated[
        Duration, Meta(description="no drill on this route lasts longer; 0s forbids them")
    ] = Duration(900)


class QueueMail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tells people by mail that a call did not run, and takes their answers."""

    moved: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("server", "from", "user", "password", "tls"), MOVED
    )

    to: Annotated[
        tuple[str, ...], Meta(description="teams whose addresses are asked, and may answer")
    ]
    address: Annotated[
        str, Meta(description="where answers arrive: your mail server hands them to `listen`")
    ]
    listen: Annotated[Address, Meta(description="where answers are taken in")] = Address(
        "127.0.0.1:2525"
    )
    trust_network: Annotated[
        bool, Meta(description="true if only your mail server can reach `listen`")
    ] = False
    secret: Annotated[
        Secret | None,
        Meta(description="seals the addresses for answers; by default made beside the ledger"),
    ] = None
    valid_for: Annotated[Duration, Meta(description="how long a mail can be answered")] = Duration(
        7 * 86_400
    )
    parked_for: Annotated[
        Duration, Meta(description="a parked call that waits longer is asked about")
    ] = Duration(3_600)
    at_most: Annotated[
        int, Meta(ge=1, description="more calls than this at once are told in one mail together")
    ] = 10


class Work(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How we keep working when a vendor does not."""

    gateway: Annotated[Address, Meta(description="where callers reach the routes")] = Address(
        "127.0.0.1:3384"
    )
    trust_network: Annotated[
        bool,
        Meta(
            description="true if everybody who can reach `gateway` may call the vendors with your keys"
        ),
    ] = False
    gateway_names: Annotated[
        tuple[str, ...],
        Meta(description="names by which callers may call the gateway, besides this machine's own"),
    ] = ()
    routes: Mapping[str, Route] = {}
    park_at_most: Annotated[
        Size, Meta(description="what waits may take so much room; then calls are turned away")
    ] = Size(1_000_000_000)
    mail: QueueMail | None = None
    mask: Annotated[
        tuple[str, ...],
        Meta(description="names of fields never shown, besides the usual ones"),
    ] = ()
    keep_requests: Annotated[
        Duration, Meta(description="how long a finished call's request and answer are kept")
    ] = Duration(7 * 86_400)

    @property
    def masked(self) -> frozenset[str]:
        """The names in `mask` however people spelt them."""
        return frozenset(name.lower() for name in self.mask)


def mistakes(work: Work, catalogue: Catalogue) -> Iterator[Mistake]:
    """Routes to vendors nobody declared, waits that cannot be, and keys left lying about."""
    if not work.trust_network and not is_loopback(work.gateway.host):
        says = (
            "others could reach this address and call your vendors with your keys: use 127.0.0.1, or"
            " say `trust_network: true` if only your own programs can reach it"
        )
        yield Mistake(("work", "gateway"), says)
    for index, named in enumerate(work.gateway_names):
        if not _HOST.fullmatch(named):
            says = f"{named!r} is no name of a machine; write it without http:// and port"
            yield Mistake(("work", "gateway_names", index), says)
    if work.mail is not None:
        yield from _in_mail(work.mail, catalogue)
    for name, route in work.routes.items():
        here = ("work", "routes", name)
        if route.vendor not in catalogue.vendors:
            yield unknown((*here, "vendor"), "vendor", route.vendor, catalogue.vendors)
        if "/" in name or name in (".", ".."):
            yield Mistake(here, "callers reach a route by its name in the address; leave out the /")
        if "@" in urlsplit(route.to).netloc:
            says = "leave out the name and password before the @: use secret_headers for them"
            yield Mistake((*here, "to"), says)
        yield from _headers(route, here)
        if route.statement is not None:
            yield from _in_statement(route.statement, (*here, "statement"))
        if route.timeout <= 0:
            yield Mistake((*here, "timeout"), "nobody answers in no time; write 1s or more")
        if route.money and not route.money.currency.startswith("/"):
            yield from _currency(route.money, (*here, "money", "currency"))
        slow = route.breaker.slow_after
        if slow is not None and slow > route.timeout:
            says = f"slow_after {slow} is longer than the route's timeout, so nothing is ever slow"
            yield Mistake((*here, "breaker", "slow_after"), says)
        if route.replay.starts_at > route.replay.at_most:
            yield Mistake((*here, "replay", "starts_at"), "starts_at is faster than at_most")
        if route.replay.first_wait > route.replay.longest_wait:
            says = "first_wait is longer than longest_wait"
            yield Mistake((*here, "replay", "first_wait"), says)


_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.1
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")  # RFC 9110, 5.5


def _headers(route: Route, here: tuple[str, ...]) -> Iterator[Mistake]:
    """What HTTP could not carry, or what would break every call."""
    for place in ("headers", "secret_headers"):
        for name in getattr(route, place):
            if not _NAME.fullmatch(name):
                yield Mistake((*here, place, name), f"HTTP allows no header called {name!r}")
            elif name.lower() in OF_ONE_CONNECTION - {"host"}:
                says = f"{name} belongs to the connection, which sets it itself; leave it out"
                yield Mistake((*here, place, name), says)
    for name, value in route.headers.items():
        if not _VALUE.fullmatch(value):
            says = "a header is one line of text; leave out line breaks and control characters"
            yield Mistake((*here, "headers", name), says)
    key = route.idempotency
    if key is not None and not _NAME.fullmatch(key):
        yield Mistake((*here, "idempotency"), f"HTTP allows no header called {key!r}")
    elif key and (key.lower() in OF_ONE_CONNECTION or key.lower().startswith("content-")):
        says = f"{key} says something else already; name the header the vendor knows calls by"
        yield Mistake((*here, "idempotency"), says)


_HOST = re.compile(r"[0-9A-Za-z]([0-9A-Za-z.-]*[0-9A-Za-z])?|\[?[0-9A-Fa-f:]+\]?")
_LONGEST_LOCAL = 15  # with a call, a day and a seal behind it, 64 signs hold (RFC 5321, 4.5.3.1.1)
_LOCAL = re.compile(r"[0-9A-Za-z._-]+")


def _in_mail(mail: QueueMail, catalogue: Catalogue) -> Iterator[Mistake]:
    """Teams nobody can write to, addresses nobody can answer."""
    here = ("work", "mail")
    for index, name in enumerate(mail.to):
        team = catalogue.teams.get(name)
        if team is None:
            yield unknown((*here, "to", index), "team", name, catalogue.teams)
        elif not team.mail:
            says = f"{name} has no mail address; give it one under teams: {name}: mail:"
            yield Mistake((*here, "to", index), says)
    if not mail.to:
        yield Mistake((*here, "to"), "nobody would be asked; name a team, such as [ops]")
    yield from _answerable(mail, here)
    if not mail.trust_network and not is_loopback(mail.listen.host):
        says = (
            "others could hand in answers at this address: use 127.0.0.1, or say"
            " `trust_network: true` if only your mail server can reach it"
        )
        yield Mistake((*here, "listen"), says)
    if catalogue.mail is None:
        yield unsent(here, "people are asked")


def _answerable(mail: QueueMail, here: tuple[str, ...]) -> Iterator[Mistake]:
    local, _, host = mail.address.rpartition("@")
    if not _LOCAL.fullmatch(local) or not _HOST.fullmatch(host):
        says = f"{mail.address} is not a mail address such as queue@example.com"
        yield Mistake((*here, "address"), says)
    elif len(local) > _LONGEST_LOCAL:
        says = f"what stands before the @ may have {_LONGEST_LOCAL} signs: more are put behind it"
        yield Mistake((*here, "address"), says)


def _in_statement(statement: Statement, here: tuple[str, ...]) -> Iterator[Mistake]:
    if statement.ours != "key" and not statement.ours.startswith("/"):
        says = "write key, or where the request says it, such as /order"
        yield Mistake((*here, "ours"), says)
    if statement.delimiter is not None and len(statement.delimiter) != 1:
        says = 'one sign stands between two columns, such as ; or "\\t"'
        yield Mistake((*here, "delimiter"), says)
    if statement.delimiter is not None and statement.delimiter == statement.decimal:
        says = "the same sign cannot stand between columns and before the cents"
        yield Mistake((*here, "decimal"), says)


def _currency(where: MoneyIn, path: tuple[str, ...]) -> Iterator[Mistake]:
    try:
        money(0, where.currency)
    except ValueError as error:
        yield Mistake(path, f"{error}, nor a pointer such as /currency")
