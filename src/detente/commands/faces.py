"""Is everything all right, what happened, and what about this one?"""

from __future__ import annotations

import click

from detente.commands.place import HOUSE
from detente.kernel.faces import now_page, subject_page, timeline_page
from detente.kernel.slice import NotFound
from detente.kernel.terminal.commands import Command, common, read_and_show


def _now() -> None:
    read_and_show(now_page(), HOUSE, panels=False)


now = Command(
    "now",
    params=common(),
    help="Is everything all right? What is not, who has it, and what it costs.",
    example="detente now",
    callback=_now,
)


def _timeline(*, slice: str | None, about: str | None, routine: bool, before: int | None) -> None:
    given = {"slice": slice, "about": about, "before": before, "routine": "1" if routine else None}
    query = {name: str(value) for name, value in given.items() if value is not None}
    read_and_show(timeline_page(), HOUSE, query=query, panels=False)


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
    """A bare name may be of any kind; the first kind that knows it answers."""
    kind, colon, name = subject.partition(":")
    for each in [kind] if colon else _kinds():
        try:
            read_and_show(subject_page(), HOUSE, {"kind": each, "name": name if colon else subject})
            return
        except NotFound:
            continue
    raise NotFound(
        f"Nothing called “{subject}” is known here. `detente now` lists what is watched."
    )


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
    return list(dict.fromkeys(("vendor", "service", "infrastructure", "journey", *offered)))
