"""What answers look like on a screen and in a pipe."""

from __future__ import annotations

import io
from collections.abc import Iterator

import msgspec
import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from detente.kernel.clock import NS, Instant, Seconds, ago
from detente.kernel.fact import Tone
from detente.kernel.money import Money
from detente.kernel.terminal.commands import subject_for
from detente.kernel.terminal.show import screen, show, shows, titled
from detente.kernel.terminal.signs import bar
from detente.kernel.terminal.words import SIGNS, Seeing, counted

NOW: Instant = 1_800_000_000 * NS


class Stop(msgspec.Struct, frozen=True):
    """One row."""

    name: str
    state: str
    tone: Tone
    since: Instant | None
    took: Seconds
    price: Money | None
    sha256: str = "c0ffee"


class Trip(msgspec.Struct, frozen=True):
    """An answer with a bit of everything."""

    title: str
    began: Instant
    stops: list[Stop]
    note: str = ""


TRIP = Trip(
    "Round the lake",
    NOW - 120 * NS,
    [
        Stop("pier", "open", "good", None, 0.25, Money(1990, "EUR")),
        Stop("ferry", "late", "bad", NOW - 3600 * NS, 61.0, None),
    ],
)


def in_a_pipe(answer: object) -> str:
    file = io.StringIO()
    show(answer, on=screen(file), see=Seeing(NOW, piped=True))
    return file.getvalue()


def on_a_screen(answer: object) -> str:
    """As a terminal of 80 columns shows it, without its colours."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system=None, width=80, highlight=False)
    show(answer, on=console, see=Seeing(NOW))
    return file.getvalue()


def test_types_decide_how_values_look() -> None:
    """Moments, lengths, money and states are said the way people say them."""
    said = on_a_screen(TRIP)
    for words in ("2 min ago", "1 h ago", "250 ms", "1 min 1 s", "19.90", "✗ late", "✓ open"):
        assert words in said


def test_internals_and_empty_fields_stay_away() -> None:
    """Hashes are for machines; a note nobody wrote has no label."""
    assert "c0ffee" not in in_a_pipe(TRIP)
    assert "Note" not in in_a_pipe(TRIP)


def test_a_pipe_gets_plain_lines() -> None:
    """No escape codes, no trailing blanks, no line broken for width, moments that sort."""
    long = msgspec.structs.replace(TRIP, title="very " * 60 + "long")
    said = in_a_pipe(long)
    assert "\x1b" not in said
    assert all(line == line.rstrip() for line in said.splitlines())
    assert "very " * 60 + "long" in said
    assert "2027-01-15T07:58:00.000Z" in said


def test_eighty_columns_are_enough() -> None:
    """Nothing on a screen is wider than the screen."""
    wide = msgspec.structs.replace(TRIP, title="very " * 60 + "long")
    assert all(len(line) <= 80 for line in on_a_screen(wide).splitlines())


def test_color_is_never_the_only_sign() -> None:
    """Each tone has a shape of its own."""
    assert len(set(SIGNS.values())) == 4


class Known(msgspec.Struct, frozen=True):
    """An answer with a look of its own."""

    word: str


@shows(Known)
def known(answer: Known, _see: Seeing) -> Iterator[RenderableType]:
    yield Text(f"so it is {answer.word}")


def test_a_slice_can_show_its_answer_better() -> None:
    """What is registered for a type is used for it."""
    assert in_a_pipe(Known("said")) == "so it is said\n"


def test_a_bar_dips_where_something_was_wrong() -> None:
    """A cell is as bad as its worst moment; what goes on reaches to the end."""
    parts: list[tuple[Instant, Instant | None, Tone]] = [(10, 11, "bad"), (35, None, "warn")]
    assert bar(parts, 0, 40, cells=4).plain == "▆▁▆▃"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1, "just now"),
        (42, "42 s ago"),
        (7_300, "2 h ago"),
        (90_000, "1 day ago"),
        (-120, "in 2 min"),
    ],
)
def test_ago(seconds: int, said: str) -> None:
    """The biggest unit only."""
    assert ago(NOW - seconds * NS, NOW) == said


def test_counted() -> None:
    """Numbers agree with their nouns."""
    assert counted(1, "check") == "1 check"
    assert counted(3, "check") == "3 checks"
    assert counted(2, "body", "bodies") == "2 bodies"


def test_what_a_fact_is_about() -> None:
    """People's names as they are, bare names with their kind; the node is Détente itself."""
    assert titled("CardPay", "vendor:cardpay") == "CardPay"
    assert titled("12", "incident:12") == "incident 12"
    assert titled("here", "node:here") == "Détente"


def test_a_subject_may_go_without_its_kind() -> None:
    """Where there is only one kind; where there are two it must be said."""
    assert subject_for(("call",), "01JD") == "call:01JD"
    assert subject_for(("call", "route"), "route:pay") == "route:pay"
    with pytest.raises(Exception, match="write call:NAME or route:NAME"):
        subject_for(("call", "route"), "pay")
