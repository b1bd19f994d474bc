"""Is everything all right, what happened, and what about this one?"""

from __future__ import annotations

from typing import Any

import click
import msgspec

from detente.commands.place import HOUSE
from detente.kernel.slice import NotFound
from detente.kernel.terminal.commands import Command, asked, common, more_of, read_and_show
from detente.kernel.terminal.mishaps import in_words
from detente.kernel.web.faces import Shown, SubjectPage, now_page, subject_page, timeline_page


def _now() -> None:
    _looks()
    read_and_show(now_page(), HOUSE)


now = Command(
    "now",
    params=common(),
    help="Is everything all right? What is not, who has it, and what it costs.",
    example="detente now",
    callback=_now,
)


def _timeline(*, slice: str | None, about: str | None, routine: bool, before: int | None) -> None:
    given = {"slice": slice, "about": about, "before": before, "routine": "1" if routine else None}
    _looks()
    query = {name: str(value) for name, value in given.items() if value is not None}
    read_and_show(timeline_page(), HOUSE, query=query)


timeline = Command(
    "timeline",
    params=[
        click.Option(["--slice"], metavar="NOUN", help="Only this slice's facts, such as work."),
        click.Option(["--about"], metavar="SUBJECT", help="Only this subject, as kind:name."),
        click.Option(["--routine"], is_flag=True, help="Everything, routine facts as well."),
        click.Option(["--before"], type=int, metavar="POSITION", help="Only what came before."),
        *common(),
    ],
    help="What happened? The newest first.",
    example="detente timeline --slice work\ndetente timeline --about vendor:cardpay --routine",
    callback=_timeline,
)


def _about(subject: str) -> None:
    _looks()
    with in_words():
        kinds = [subject.partition(":")[0]] if ":" in subject else _kinds()
        for kind in kinds:
            try:
                path = {"kind": kind, "name": subject.partition(":")[2] or subject}
                read_and_show(subject_page(), HOUSE, path, finish=_with_types)
                return
            except NotFound:
                continue
        raise NotFound(f"Nothing called “{subject}” is known here. `detente now` lists what is.")


about = Command(
    "about",
    params=[click.Argument(["subject"], metavar="SUBJECT"), *common()],
    help="What about this one? How it is, what every slice knows of it, what you can do.",
    example="detente about cardpay\ndetente about call:01JDQ2",
    callback=_about,
)


def _kinds() -> list[str]:
    """The kinds of subject that a bare name may mean, the usual ones first."""
    from detente.slices import CARDS

    offered = (kind for card in CARDS for panel in card.panels for kind in panel.kinds)
    return list(dict.fromkeys(("vendor", "service", *offered)))


def _looks() -> None:
    """How the kernel's own answers look."""
    import detente.kernel.terminal.faces  # noqa: F401


def _with_types(page: SubjectPage) -> SubjectPage:
    """The panels as the slices' own records again, so that each looks as its slice wants."""
    from detente.slices import CARDS

    for card in CARDS:
        more_of(card)
    answers = {
        (card.noun, panel.title): panel.answer for card in CARDS for panel in card.panels
    }
    panels = tuple(_typed(each, answers.get((each.noun, each.title))) for each in page.panels)
    return msgspec.structs.replace(page, panels=panels)


def _typed(shown: Shown, answer: Any) -> Shown:
    if answer is None:
        return shown
    from typing import get_type_hints

    kept = msgspec.convert(shown.answer, get_type_hints(answer)["return"])
    return msgspec.structs.replace(shown, answer=kept)
