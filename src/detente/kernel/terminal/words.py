"""How does a terminal say when, how much and how well?

Signs that differ in shape and not only in colour; moments as people say them on a screen, and as
programs sort them in a pipe. Plain text only: whoever draws is in `signs` and `show`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from detente.kernel.clock import Instant, ago, iso, moment, roughly, seconds_between
from detente.kernel.fact import Subject, Tone, kind, plain

SIGNS: dict[Tone, str] = {"good": "✓", "bad": "✗", "warn": "!", "plain": "·"}
WORDS: dict[Tone, str] = {
    "good": "all right",
    "bad": "not right",
    "warn": "worth a look",
    "plain": "noted",
}
# The terminal's own colours, which its owner made readable on its own ground.
STYLES: dict[Tone, str] = {"good": "green", "bad": "bold red", "warn": "yellow", "plain": "dim"}
_WORST_FIRST: tuple[Tone, ...] = ("bad", "warn", "plain", "good")


@dataclass(frozen=True)
class Seeing:
    """Who looks, and when: people at a screen see '2 min ago', a pipe gets moments that sort."""

    now: Instant
    piped: bool = False

    def when(self, at: Instant) -> str:
        """How long ago, for what goes on or is about to be."""
        return iso(at) if self.piped else ago(at, self.now)

    def lasting(self, since: Instant) -> str:
        """How long already, for what goes on."""
        if self.piped:
            return f"since {iso(since)}"
        return f"for {roughly(seconds_between(since, self.now))}"

    def clock(self, at: Instant) -> str:
        """Clock time where the reader is, with the day when that is not today."""
        if self.piped:
            return iso(at)
        here, today = local(at), local(self.now)
        if here.date() == today.date():
            return f"{here:%H:%M:%S}"
        year = f" {here.year}" if here.year != today.year else ""
        return f"{here.day} {here:%b}{year} {here:%H:%M}"

    def time(self, at: Instant) -> str:
        """Clock time alone, for places that say the day above."""
        return iso(at) if self.piped else f"{local(at):%H:%M:%S}"

    def day(self, at: Instant) -> str:
        here, today = local(at).date(), local(self.now).date()
        gone = (today - here).days
        name = {0: "Today", 1: "Yesterday"}.get(gone, f"{here:%A}")
        year = f" {here.year}" if here.year != today.year else ""
        return f"{name}, {here.day} {here:%B}{year}"


def local(at: Instant) -> datetime:
    """Where this terminal is."""
    return moment(at).astimezone()


def called(about: Subject) -> str:
    """`check:cardpay` as a person says it: 'check cardpay'."""
    return f"{kind(about)} {plain(about)}" if plain(about) else about


def counted(count: int, one: str, many: str = "") -> str:
    """'1 check', '3 checks'."""
    return f"{count:,} {one if count == 1 else many or one + 's'}".replace(",", " ")


def worst(tones: Iterable[Tone]) -> Tone:
    """The tone to worry about; good when there is none."""
    return min(tones, key=_WORST_FIRST.index, default="good")
