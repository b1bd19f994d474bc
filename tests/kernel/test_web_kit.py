"""What templates are drawn with: macros, times, bars, forms, and the look itself."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.facts.incidents import Noted
from detente.kernel.catalogue import Catalogue, Vendor
from detente.kernel.clock import NS
from detente.kernel.fact import Recorded
from detente.kernel.forms import LINES, BadForm, fill, questions
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import Lever, Slice
from detente.kernel.web.kit import STATIC, Reading, _reading, draw, environment, segments, ticks

NOW = 1_700_000_000 * NS  # 2023-11-14 22:13:20 UTC
HOSTILE = '"><script>alert(1)</script>'


class Settled(msgspec.Struct):
    note: Annotated[str, msgspec.Meta(max_length=400, description="How it was done.")]
    way: Literal["phone", "transfer"] = "phone"
    attempts: int = 1
    refunded: bool = False
    amount: Money | None = None
    reference: str | None = None


LEVERS = (
    Lever("game.hold", "Hold", "It waits.", ("call",), lambda _node, _pull: ()),
    Lever("game.settle", "Settle", "It is done.", ("call",), lambda _n, _p: (), form=Settled),
)


def drawn(tmp_path: Path, template: str, *, zone: str = "UTC", **variables: Any) -> str:
    """What a slice's template becomes."""
    (tmp_path / "it.html").write_text(template)
    card = Slice(noun="game", question="?", settings=msgspec.Struct, levers=LEVERS)
    declared = Catalogue(vendors={"cardpay": Vendor(title=HOSTILE)})
    nothing = cast("Any", None)
    node = Node(
        nothing, random.Random(1), nothing, nothing, nothing, declared, (card,), declared={}
    )
    made = environment(node, {"game": tmp_path}, levers=LEVERS)
    return draw(made, "game/it.html", Reading(now=NOW, zone=zone), **variables)


FACT = Recorded(7, NOW, HOSTILE, Noted(about="vendor:cardpay", note=HOSTILE))

MACROS = {
    "glyph('good')": "<svg",
    "status('bad', h)": 'class="status bad"',
    "span_bar([(now - 60, none, 'bad', h)], now - 3600000000000, now, h)": "<title>",
    "table(['A', (h, 'number')], [[h, 2]])": 'data-label="A"',
    "money(m)": "19.90",
    "monies([m, m])": " + ",
    "monies([])": "—",
    "ago(now - 125 * 10 ** 9)": "2 min ago",
    "at(now)": "22:13:20",
    "lasting(7500)": "2 h 5 min",
    "subject('vendor:cardpay')": 'href="/subject/vendor/cardpay"',
    "subject('call:a/b ' ~ h)": 'href="/subject/call/a%2Fb%20',
    "grey()": "nobody looked",
    "empty(h, h, h)": "<svg",
    "fact(f)": 'id="f7"',
    "facts([f])": "#f7",
    "lever('game.hold', 'call:' ~ h)": 'action="/levers/game.hold"',
    "levers('call:1')": "It is done.",
    "number(h, money, h, 'bad')": 'class="number bad"',
    "progress(1.7, 'warn', h)": 'width="100%"',
    "dots(['passed', 'failed', h], h)": "1 passed, 1 failed",
    "sparkline([1, 5, 2])": 'points="0.00,22.00',
    "sparkline([])": "",
    "pair(h, h)": "<dt>",
    "mark('bad')": "side-a",
}


@pytest.mark.parametrize("macro", MACROS)
def test_every_macro_draws_and_escapes(macro: str, tmp_path: Path) -> None:
    """Each macro of the kit draws what it is for, and hostile words in it stay words."""
    given = {"h": HOSTILE, "f": FACT, "m": Money(1990, "EUR"), "now": NOW, "money": "x"}
    text = drawn(tmp_path, "{{ kit." + macro + " }}", **given)
    assert MACROS[macro] in text
    assert "<script" not in text


def test_call_macros_frame_what_they_are_given(tmp_path: Path) -> None:
    """A panel, a row of numbers and a list of pairs keep what stands inside them."""
    for macro in ("panel(h)", "panel(h, '/x', h)", "numbers()", "pairs()"):
        text = drawn(tmp_path, "{% call kit." + macro + " %}inside{% endcall %}", h=HOSTILE)
        assert "inside" in text and "<script" not in text


@pytest.mark.parametrize("by", ["detente", "detente:pager", "place:here", ""])
def test_only_people_are_named_beside_a_fact(by: str, tmp_path: Path) -> None:
    """What the machinery did goes without saying; what a person did carries the name."""
    for who, named in ((by, False), ("Ada", True)):
        fact = msgspec.structs.replace(FACT, by=who)
        assert ('class="by"' in drawn(tmp_path, "{{ kit.fact(f) }}", f=fact)) is named


def test_the_kit_can_be_imported_too(tmp_path: Path) -> None:
    """Templates that import macros by name get the same ones."""
    text = drawn(tmp_path, '{% from "kit.html" import ago %}{{ ago(now) }}', now=NOW)
    assert "just now" in text


def test_every_macro_has_a_test() -> None:
    """A macro added to the kit is added to the table above."""
    source = (STATIC.parent / "templates" / "kit.html").read_text()
    names = set(re.findall(r"{% macro (\w+)\(", source))
    tried = {macro.partition("(")[0] for macro in MACROS}
    assert names - tried == {"panel", "numbers", "pairs", "field"}


def test_a_sign_never_stands_on_colour_alone(tmp_path: Path) -> None:
    """Each tone has a shape of its own."""
    shapes = {drawn(tmp_path, "{{ kit.glyph(t) }}", t=t).partition(">")[2] for t in _TONES}
    assert len(shapes) == len(_TONES)


_TONES = ("good", "bad", "warn", "plain")


def test_times_are_told_where_the_reader_is(tmp_path: Path) -> None:
    """The reader's zone decides the clock and the day."""
    tokyo = drawn(tmp_path, "{{ kit.at(now) }}|{{ now|day }}", zone="Asia/Tokyo", now=NOW)
    assert "07:13:20" in tokyo and tokyo.endswith("|Today")
    assert drawn(tmp_path, "{{ now|day }}", now=NOW - 86_400 * NS) == "Yesterday"
    assert drawn(tmp_path, "{{ now|day }}", now=NOW - 9 * 86_400 * NS) == "Sunday 5 November"
    assert drawn(tmp_path, "{{ now|at }}", now=NOW - 400 * 86_400 * NS) == "10 Oct 2022 22:13:20"
    assert drawn(tmp_path, "{{ now|ago }}", now=NOW + 3 * 86_400 * NS) == "in 3 days"


@given(
    st.lists(st.tuples(st.integers(-50, 150), st.integers(-50, 150))),
    st.sampled_from((1, 60, 3_600, 86_400, 31 * 86_400)),
)
def test_a_bar_never_leaves_its_frame(parts: list[tuple[int, int]], unit: int) -> None:
    """However parts lie, what is drawn lies within 0 and 100 percent; ticks stay few."""
    start, end = NOW, NOW + 100 * unit * NS
    token = _reading.set(Reading(now=NOW + 50 * unit * NS))
    try:
        made = segments(
            [(NOW + left * unit * NS, NOW + right * unit * NS, "bad", "") for left, right in parts],
            start,
            end,
        )
        marks = ticks(start, end)
    finally:
        _reading.reset(token)
    assert all(each.left >= 0 and each.left + each.width <= 100.001 for each in made)
    assert len(made) == sum(1 for left, right in parts if min(right, 100) > max(left, 0))
    assert len(marks) <= 9
    assert all(0 <= mark.left <= 100 for mark in marks)


def test_a_form_is_asked_in_plain_words() -> None:
    """Fields become labels, descriptions hints, choices choices; defaults stand in the inputs."""
    asked = {question.name: question for question in questions(Settled)}
    assert [question.shape for question in asked.values()] == [
        "long",
        "choice",
        "number",
        "yes",
        "text",
        "text",
    ]
    assert (asked["note"].hint, asked["note"].required) == ("How it was done.", True)
    assert asked["way"].choices == ("phone", "transfer")
    assert (asked["attempts"].value, asked["reference"].value) == ("1", "")


def test_lines_stay_only_where_a_form_asks_for_them() -> None:
    """Everywhere else a line is one line: nobody forges a second one in a mail or a terminal."""

    class Letter(msgspec.Struct):
        subject: str
        text: Annotated[str, msgspec.Meta(max_length=500, extra_json_schema=LINES)]

    said = fill(Letter, {"subject": "a\nb", "text": "one\r\n  two \x1b[31m\n"})
    assert (said.subject, said.text) == ("a b", "one\n  two  [31m")


def test_a_form_is_read_back_in_its_own_types() -> None:
    """What a browser posts as text arrives as the struct; empty inputs mean the default."""
    said = {
        "note": "x",
        "attempts": "3",
        "refunded": "true",
        "amount": "19,90 eur",
        "reference": "",
    }
    filled = fill(Settled, said)
    assert filled == Settled("x", attempts=3, refunded=True, amount=Money(1990, "EUR"))
    with pytest.raises(BadForm, match="amount: write an amount and its currency"):
        fill(Settled, {"note": "x", "amount": "a lot"})

    class Paid(msgspec.Struct):
        amount: Annotated[Money | None, msgspec.Meta(description="how much")] = None

    assert fill(Paid, {"amount": "400 EUR"}) == Paid(Money(40_000, "EUR"))


def test_the_look_loads_nothing_from_elsewhere() -> None:
    """Style, script and templates name no other host: the node works where there is no internet."""
    for file in (*STATIC.iterdir(), *(STATIC.parent / "templates").iterdir()):
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(
            r"https?:|//[a-z]|@import|url\(", re.sub(r"(?m)^\s*//.*$", "", text)
        ), file


def test_the_script_stays_small() -> None:
    """Pages are whole without it, so it has no reason to grow."""
    assert len((STATIC / "detente.js").read_text().splitlines()) <= 150


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_they_stand_on(scheme: str) -> None:
    """Every colour of text reaches WCAG AA (4.5 to 1) on every ground it is used on."""
    colours = palette(scheme)
    texts = ("ink", "soft", "faint", "good", "bad", "warn", "plain", "side-b")
    for text in texts:
        for ground in ("paper", "sheet"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for ground in ("bad-wash", "warn-wash"):
        for text in ("ink", "soft", "faint"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for tone in ("good", "bad", "warn", "side-b"):
        assert contrast(colours["on-tone"], colours[tone]) >= 4.5, tone
    for part in ("bad-bar", "warn-bar"):
        assert contrast(colours[part], colours["good-bar"]) >= 1.6, part


def palette(scheme: str) -> dict[str, str]:
    text = (STATIC / "detente.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)[:2]
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found | (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark)) if scheme == "dark" else {}
    )


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
