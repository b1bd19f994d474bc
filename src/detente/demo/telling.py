"""How is the story told in the terminal, as it happens?"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from detente.kernel.catalogue import Catalogue
from detente.kernel.clock import Instant, SystemClock, seconds_between
from detente.kernel.fact import Recorded, Tone, kind, plain
from detente.kernel.ledger.sqlite import SqliteLedger

if TYPE_CHECKING:
    from detente.demo.story import Promised

_SIGNS: dict[Tone, tuple[str, str]] = {
    "good": ("✔", "32"),
    "bad": ("✘", "31"),
    "warn": ("▲", "33"),
    "plain": ("·", "2"),
}
_WIDTH = 88
_ACTS = ("Exposition", "Rising action", "Climax", "Falling action", "Dénouement")


class Teller:
    """Writes acts, what the director does, what the ledger says, and what customers notice."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._colour = self._out.isatty() and "NO_COLOR" not in os.environ
        self._clock = SystemClock()
        self._began: Instant = self._clock.now()

    def title(self, title: str, text: str) -> None:
        self._write("")
        self._write(self._paint(title, "1"))
        self._paragraph(text)

    def act(self, number: int, text: str) -> None:
        self._write("")
        name = f"Act {('I', 'II', 'III', 'IV', 'V')[number - 1]}. {_ACTS[number - 1]}"
        self._write(self._paint(name, "1;36"))
        self._paragraph(text)

    def happens(self, text: str) -> None:
        """Something the world does; the node has to find out by itself."""
        self._line("plain", f"— {text} —", faint=True)

    def customers(self, text: str) -> None:
        self._line("plain", f"customers: {text}", faint=True)

    def fact(self, recorded: Recorded, title: str) -> None:
        """One line of the ledger, as it was written down."""
        self._line(recorded.fact.tone, f"{title} {recorded.fact.says()}", at=recorded.at)

    def line(self, tone: Tone, text: str) -> None:
        self._line(tone, text)

    def plain(self, text: str = "") -> None:
        self._write(text)

    def row(self, label: str, value: str, tone: Tone | None = None) -> None:
        sign, colour = _SIGNS[tone] if tone else (" ", "0")
        self._write(f"  {self._paint(sign, colour)} {label:<34}{value}")

    def table(self, promised: Sequence[Promised]) -> None:
        """What was promised, what was measured, and whether it was kept."""
        self._write("")
        self._write(self._paint("What was promised, and what was measured", "1"))
        self._write(self._paint("Rows are those of docs/mission.md.", "2"))
        wide = max((len(each.promise) for each in promised), default=0)
        told, order = "", list(dict.fromkeys(each.story for each in promised))
        for each in sorted(promised, key=lambda each: (order.index(each.story), _first(each.row))):
            if each.story != told:
                self._write("")
                self._write(f"  {self._paint(each.story, '1;36')}")
                told = each.story
            sign, colour = _SIGNS["good" if each.kept else "bad"]
            row = self._paint(f"row {each.row:<8}", "2")
            kept = "" if each.kept else "   not kept"
            self._write(
                f"  {self._paint(sign, colour)} {row} {each.promise:<{wide}}   {each.measured}{kept}"
            )
        broken = sum(not each.kept for each in promised)
        self._write("")
        self._line(
            "bad" if broken else "good",
            f"{broken} of {len(promised)} promises were not kept."
            if broken
            else f"All {len(promised)} promises were kept.",
        )

    def _line(
        self, tone: Tone, text: str, *, at: Instant | None = None, faint: bool = False
    ) -> None:
        passed = seconds_between(self._began, at or self._clock.now())
        sign, colour = _SIGNS[tone]
        margin = f"{passed:6.1f} s  "
        wrapped = textwrap.wrap(text, _WIDTH - len(margin) - 2) or [""]
        first = self._paint(wrapped[0], "2") if faint else wrapped[0]
        self._write(f"{self._paint(margin, '2')}{self._paint(sign, colour)} {first}")
        for rest in wrapped[1:]:
            self._write(" " * (len(margin) + 2) + (self._paint(rest, "2") if faint else rest))

    def _paragraph(self, text: str) -> None:
        for each in textwrap.wrap(text, _WIDTH):
            self._write(each)

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _write(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()


def _first(row: str) -> int:
    return int(row.partition(",")[0])


async def tell_facts(
    teller: Teller, ledger: Path, catalogue: Catalogue, heard: Callable[[Recorded], Awaitable[None]]
) -> None:
    """Read over the node's shoulder: every notable fact as it lands, even across its death."""
    book = SqliteLedger(ledger, clock=SystemClock(), read_only=True)
    try:
        async for batch in book.follow():
            for recorded in batch:
                if not recorded.fact.routine:
                    teller.fact(recorded, _title(catalogue, recorded))
                await heard(recorded)
    finally:
        await book.close()


def _title(catalogue: Catalogue, recorded: Recorded) -> str:
    subject = recorded.about
    if kind(subject) in ("incident", "route", "check", "promise", "place"):
        return f"{kind(subject).capitalize()} {plain(subject)}"
    if kind(subject) == "call":
        return f"Call …{plain(subject)[-6:]}"
    if kind(subject) == "node":
        return "Détente"
    if kind(subject) in ("release", "toggle", "test", "change", "advice"):
        return f"{kind(subject).capitalize()} {plain(subject)}"
    return catalogue.title(subject)
