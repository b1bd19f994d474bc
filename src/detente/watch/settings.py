"""What people write about the things to watch: `watch:` in `detente.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detente.kernel.catalogue import Catalogue, Measure, Mistake, unknown
from detente.kernel.clock import Seconds
from detente.kernel.config import Address, Duration, Secret, Url

_TIMEOUT = Duration(5)  # where nobody writes one


class Expect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a good HTTP answer looks like."""

    status: Annotated[
        tuple[Annotated[int, Meta(ge=100, le=599)], ...],
        Meta(description="status codes; without any, everything from 200 to 399 is good"),
    ] = ()
    body: Annotated[str | None, Meta(description="text that must stand in the answer")] = None
    matches: Annotated[
        str | None, Meta(description="a regular expression that must match in the answer")
    ] = None


class Check(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question asked again and again. Exactly one of `http`, `tcp` and `tls` says of whom."""

    http: Annotated[Url | None, Meta(description="a page that must answer")] = None
    tcp: Annotated[Address | None, Meta(description="host:port that must accept connections")] = (
        None
    )
    tls: Annotated[
        Address | None, Meta(description="host:port whose certificate must stay valid")
    ] = None
    of: Annotated[
        str | None,
        Meta(
            description="the vendor or service it belongs to; by default the one of the same name"
        ),
    ] = None
    environment: Annotated[str, Meta(description="where it runs; only production pages people")] = (
        "production"
    )
    every: Annotated[Duration, Meta(description="how often it is asked")] = Duration(30)
    timeout: Annotated[
        Duration | None,
        Meta(
            description="how long an answer may take; by default 5s, or half of `every` if shorter"
        ),
    ] = None
    slow_after: Annotated[
        Duration | None, Meta(description="a slower answer counts as a failure")
    ] = None
    falls_after: Annotated[int, Meta(ge=1, description="failures in a row until it is down")] = 3
    rises_after: Annotated[
        int, Meta(ge=1, description="good answers in a row until it is back")
    ] = 2
    expect: Expect = Expect()
    method: Annotated[
        Literal["GET", "HEAD", "POST", "OPTIONS"], Meta(description="http: how to ask")
    ] = "GET"
    headers: Annotated[Mapping[str, str], Meta(description="http: sent along")] = {}
    secret_headers: Annotated[
        Mapping[str, Secret], Meta(description="keys and passwords, by reference")
    ] = {}
    valid_for: Annotated[
        Duration, Meta(description="tls: how much longer the certificate must be valid")
    ] = Duration(14 * 86_400)
    trust: Annotated[
        str | None, Meta(description="a file of certificates to trust besides the system's")
    ] = None
    verify: Annotated[bool, Meta(description="false accepts any certificate")] = True
    ip: Annotated[
        Literal[4, 6] | None,
        Meta(description="only by IPv4 or only by IPv6; each is its own check"),
    ] = None
    counts_as: Annotated[
        Literal["outage", "warning"] | None,
        Meta(description="a warning pages nobody; by default tls checks warn, all others count"),
    ] = None

    @property
    def kind(self) -> Literal["http", "tcp", "tls"]:
        return "http" if self.http else "tcp" if self.tcp else "tls"

    @property
    def waits(self) -> Seconds:
        """How long an answer may take."""
        return min(_TIMEOUT, self.every / 2) if self.timeout is None else self.timeout

    @property
    def target(self) -> str:
        return str(self.http or self.tcp or self.tls)

    @property
    def warns_only(self) -> bool:
        return (self.counts_as or ("warning" if self.kind == "tls" else "outage")) == "warning"


class Watch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything we depend on, and how often to ask."""

    checks: Mapping[str, Check] = {}
    place: Annotated[str, Meta(description="what people call the place we watch from")] = "here"
    sheet: Annotated[
        Duration, Meta(description="how much time one sheet of results in the ledger covers")
    ] = Duration(30)
    keep_details: Annotated[
        Duration,
        Meta(description="how long every single run can be looked up; its sheet's counts stay"),
    ] = Duration(90 * 86_400)
    canaries: Annotated[
        tuple[Address, ...],
        Meta(description="host:port we trust to be up; if all are gone, we are cut off ourselves"),
    ] = ()


def mistakes(watch: Watch, catalogue: Catalogue) -> Iterator[Mistake]:
    """Checks of nothing, of two things at once, of nobody; waits that cannot be."""
    if watch.sheet < 1:
        yield Mistake(("watch", "sheet"), "a sheet covers at least 1s")
    for name, check in watch.checks.items():
        here = ("watch", "checks", name)
        asked = [each for each in ("http", "tcp", "tls") if getattr(check, each) is not None]
        if not asked:
            yield Mistake(here, "says nothing to check; add http, tcp or tls")
        elif len(asked) > 1:
            yield Mistake(
                (*here, asked[1]), f"one check asks one thing; give {asked[1]} its own check"
            )
        yield from _belongs(check, name, here, catalogue)
        yield from _expects(check, here)
        if check.every < 1:
            yield Mistake((*here, "every"), "checks run at most once a second; write 1s or more")
        if check.timeout is not None and check.timeout >= check.every:
            says = (
                f"timeout {check.timeout} is not shorter than every {check.every}: while nobody"
                f" answers, runs would overlap and be left out; make timeout {_half(check.every)}"
            )
            yield Mistake((*here, "timeout"), says)


def _half(every: Duration) -> Duration:
    return Duration(int(every) // 2 or 0.5)


def _expects(check: Check, here: tuple[str, ...]) -> Iterator[Mistake]:
    if check.http is None and check.expect != Expect():
        yield Mistake((*here, "expect"), "only http checks have answers to look into")
    try:
        re.compile(check.expect.matches or "")
    except re.error as error:
        says = f"this is not a regular expression: {error}"
        yield Mistake((*here, "expect", "matches"), says)


def _belongs(
    check: Check, name: str, here: tuple[str, ...], catalogue: Catalogue
) -> Iterator[Mistake]:
    owner = check.of or name
    subject = catalogue.find(owner)
    there = {**catalogue.vendors, **catalogue.services}
    if subject is None and check.of is None:
        hint = f"declared: {', '.join(there)}" if there else "declare it under vendors or services"
        yield Mistake(here, f"whose check is this? add `of:` with a vendor or service; {hint}")
    elif subject is None:
        yield unknown((*here, "of"), "vendor or service", owner, there)
    else:
        entry = catalogue.entry(subject)
        places = getattr(entry, "environments", {})
        if places and check.environment not in places:
            yield unknown(
                (*here, "environment"), f"environment of {owner}", check.environment, places
            )


def measures(watch: Watch, catalogue: Catalogue) -> dict[str, Measure]:
    """The checks as the other slices know them."""
    return {
        name: Measure(owner(name, check, catalogue), check.environment, not check.warns_only)
        for name, check in watch.checks.items()
    }


def owner(name: str, check: Check, catalogue: Catalogue) -> str:
    """The vendor or service the check belongs to, as a subject."""
    return catalogue.find(check.of or name) or f"vendor:{check.of or name}"
