"""What people write about the things to watch: `watch:` in `detente.yaml`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detente.kernel import masking
from detente.kernel.catalogue import Catalogue, Measure, unknown
from detente.kernel.clock import Seconds
from detente.kernel.config import Address, Duration, Mistake, Secret, Url, between
from detente.kernel.fact import plain

_TIMEOUT = Duration(5)  # where nobody writes one
_PLUGINS_TIMEOUT = Duration(10)  # what plugins give themselves unless told otherwise
_FILLED_IN = re.compile(r"\{([A-Za-z][A-Za-z0-9_]*)\}")


PLUGIN_FOLDERS = (
    "/usr/lib/nagios/plugins",
    "/usr/lib64/nagios/plugins",
    "/usr/lib/monitoring-plugins",
)


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
    """One question asked again and again. Exactly one of `http`, `tcp`, `tls` and `plugin` says which."""

    http: Annotated[Url | None, Meta(description="a page that must answer")] = None
    tcp: Annotated[Address | None, Meta(description="host:port that must accept connections")] = (
        None
    )
    tls: Annotated[
        Address | None, Meta(description="host:port whose certificate must stay valid")
    ] = None
    plugin: Annotated[
        str | tuple[str, ...],
        Meta(description="a Nagios plugin and what it is given, as one line or as a list"),
    ] = ()
    host: Annotated[str | None, Meta(description="plugin: what `{host}` in it stands for")] = None
    secret_arguments: Annotated[
        Mapping[str, Secret],
        Meta(description="plugin: what `{name}` in it stands for; whoever may run `ps` sees it"),
    ] = {}
    env: Annotated[Mapping[str, str], Meta(description="plugin: its environment")] = {}
    secret_env: Annotated[
        Mapping[str, Secret], Meta(description="plugin: keys and passwords in its environment")
    ] = {}
    of: Annotated[
        str | None,
        Meta(
            description="the vendor, service, infrastructure or journey it belongs to; by default"
            " the one of the same name"
        ),
    ] = None
    seen_from: Annotated[
        tuple[str, ...],
        Meta(description="the places that ask, of `watch.places`; by default our own alone"),
    ] = msgspec.field(default=(), name="from")
    agree: Annotated[
        int, Meta(ge=1, description="how many of those places must see it fail until it is down")
    ] = 1
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
    def kind(self) -> Literal["http", "tcp", "tls", "plugin"]:
        if self.plugin:
            return "plugin"
        return "http" if self.http else "tcp" if self.tcp else "tls"

    @property
    def command(self) -> tuple[str, ...]:
        """The plugin and what it is given, `{…}` as it stands. Raises ValueError."""
        return tuple(shlex.split(self.plugin)) if isinstance(self.plugin, str) else self.plugin

    @property
    def waits(self) -> Seconds:
        """How long an answer may take."""
        usual = _PLUGINS_TIMEOUT if self.plugin else _TIMEOUT
        return min(usual, self.every / 2) if self.timeout is None else self.timeout

    @property
    def target(self) -> str:
        if self.plugin:
            return masking.text(" ".join(self.command).replace("{host}", self.host or "{host}"))
        return str(self.http or self.tcp or self.tls)

    @property
    def warns_only(self) -> bool:
        return (self.counts_as or ("warning" if self.kind == "tls" else "outage")) == "warning"


class Outside(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another place to look from: `detente agent` runs there."""

    title: Annotated[str, Meta(description="what people call it; by default its name")] = ""
    network: Annotated[
        str, Meta(description="whose network it stands in; places in the same one fall together")
    ] = ""
    token: Annotated[Secret, Meta(description="what its agent shows to be let in, by reference")]
    canaries: Annotated[
        tuple[Address, ...], Meta(description="host:port that the agent trusts to be up")
    ] = ()
    silent_after: Annotated[
        Duration, Meta(description="how long nothing may be heard of it until people are told")
    ] = Duration(180)


class Watch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything we depend on, and how often to ask."""

    checks: Mapping[str, Check] = {}
    place: Annotated[str, Meta(description="what people call the place we watch from")] = "here"
    places: Annotated[Mapping[str, Outside], Meta(description="other places to look from")] = {}
    plugins_from: Annotated[
        tuple[str, ...],
        Meta(description="folders in which a plugin named without a path is looked for"),
    ] = PLUGIN_FOLDERS
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

    verdict_holds: Annotated[
        Duration,
        between("1s", "1h"),
        Meta(description="whose fault it is, is said once that has been the same for so long"),
    ] = Duration(10)

    def looking_at(self, check: Check) -> tuple[str, ...]:
        """The places that ask this check."""
        return check.seen_from or (self.place,)


_KINDS = ("http", "tcp", "tls", "plugin")


def mistakes(watch: Watch, catalogue: Catalogue) -> Iterator[Mistake]:
    """Checks of nothing, of two things at once, of nobody; waits that cannot be."""
    if watch.sheet < 1:
        yield Mistake(("watch", "sheet"), "a sheet covers at least 1s")
    if watch.place in watch.places:
        says = f"{watch.place} is what our own place is called; rename one of them"
        yield Mistake(("watch", "places", watch.place), says)
    for name, check in watch.checks.items():
        here = ("watch", "checks", name)
        yield from _asks(check, here)
        yield from _belongs(check, name, here, catalogue)
        yield from _expects(check, here)
        yield from _looked_at(check, here, watch)
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


def _asks(check: Check, here: tuple[str, ...]) -> Iterator[Mistake]:
    asked = [each for each in _KINDS if getattr(check, each) not in (None, ())]
    if not asked:
        yield Mistake(here, "says nothing to check; add http, tcp, tls or plugin")
    elif len(asked) > 1:
        yield Mistake((*here, asked[1]), f"one check asks one thing; give {asked[1]} its own check")
    elif check.plugin != ():
        yield from _runs(check, (*here, "plugin"))


def _runs(check: Check, here: tuple[str, ...]) -> Iterator[Mistake]:
    """What is wrong with a plugin's command line."""
    try:
        command = check.command
    except ValueError:
        yield Mistake(here, "a quote in it is never closed; close it, or write a list")
        return
    if not command or not command[0]:
        yield Mistake(here, "names no program; write it like [check_http, -H, example.org]")
        return
    if "/" in command[0] and not command[0].startswith("/"):
        says = f"{command[0]} is neither a name nor a whole path; write the path from /"
        yield Mistake(here, says)
    if any("\0" in each for each in command):
        yield Mistake(here, "no program can be given a zero byte; take it out")
    known = {*check.secret_arguments, *(["host"] if check.host is not None else [])}
    for word in _FILLED_IN.findall(" ".join(command)):
        if word not in known:
            hint = "say `host:`" if word == "host" else f"add {word} to secret_arguments"
            yield Mistake(here, f"nothing says what {{{word}}} stands for; {hint}")


def filled_in(check: Check) -> tuple[str, ...]:
    """The plugin's command with everything it is given. Raises SecretMissing."""
    words = {name: secret.reveal() for name, secret in check.secret_arguments.items()}
    if check.host is not None:
        words["host"] = check.host
    return tuple(
        _FILLED_IN.sub(lambda found: words.get(found[1], found[0]), each) for each in check.command
    )


def _looked_at(check: Check, here: tuple[str, ...], watch: Watch) -> Iterator[Mistake]:
    there = {watch.place: None, **watch.places}
    for index, place in enumerate(check.seen_from):
        if place not in there:
            yield unknown((*here, "from", index), "place", place, there)
    if check.agree > len(set(watch.looking_at(check))):
        says = f"only {len(set(watch.looking_at(check)))} look at it, so {check.agree} never agree"
        yield Mistake((*here, "agree"), says)


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
    there = {plain(each): each for each in catalogue.entries}
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
