"""What do the cards add: pages, levers, spans?"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from detente.app import pages_of
from detente.kernel.forms import questions
from detente.kernel.slice import Lever, Page, Slice
from detente.slices import CARDS
from making.marks import code, first_line, table


def card(noun: str) -> Slice:
    return next(each for each in CARDS if each.noun == noun)


def nouns(_nothing: str) -> str:
    """Every slice and its question."""
    rows = [(f"[`{each.noun}`]({each.noun}.md)", each.question) for each in CARDS]
    return table(("Noun", "The question it answers"), rows)


def addresses(noun: str) -> str:
    """The pages of one slice, or the kernel's own."""
    shown: Iterable[Page] = card(noun).pages if noun else pages_of(())
    rows = []
    for page in shown:
        twin = "/now.json" if page.path == "/" else f"{page.path}.json"
        rows.append((page.title, code(page.path), code(twin), _answers(page)))
    return table(("Page", "Address", "For programs", "Shows"), rows)


def _answers(page: Page) -> str:
    """What the type of the page's answer says about itself."""
    named = page.answer.__annotations__["return"]
    return first_line(getattr(sys.modules[page.answer.__module__], named))


def levers(noun: str) -> str:
    """The levers of one slice."""
    rows = [
        (code(each.name), each.label, ", ".join(each.kinds), each.explains, _asks(each))
        for each in card(noun).levers
    ]
    return table(("Lever", "On the button", "About", "What happens", "Asks for"), rows)


def _asks(lever: Lever) -> str:
    asked = (
        f"`{each.name}`{'' if each.required else ' (may be left out)'}"
        for each in questions(lever.form)
    )
    return ", ".join(asked) or "nothing"


def spans(noun: str) -> str:
    """The spans of one slice."""
    rows = [
        (
            f"*{each.name}*",
            ", ".join(code(fact.name) for fact in each.opens),
            ", ".join(code(fact.name) for fact in each.closes)
            + "".join(f"; as a whole {code(fact.name)}" for fact in each.whole),
        )
        for each in card(noun).spans
    ]
    return table(("Span", "Begins with", "Ends with"), rows)
