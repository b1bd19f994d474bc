"""How is it said what falls, what that costs, and who must know?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from detente.dependencies.engine.points import Atlas, Fall
from detente.kernel.fact import Subject
from detente.kernel.money import Money

Titles = Callable[[Subject], str]


def an_hour(sums: Iterable[Money]) -> str:
    """'4 200.00 EUR + 30.00 USD an hour', or nothing."""
    said = " + ".join(map(str, sums))
    return f"{said} an hour" if said else ""


def of_journeys(fallen: Sequence[Subject], journeys: Sequence[Subject]) -> str:
    """'3 of 4 journeys', 'the only journey', 'no journey'."""
    if not fallen:
        return "no journey"
    if len(journeys) == 1:
        return "the only journey"
    return f"{len(fallen)} of {len(journeys)} journeys"


def named(nodes: Iterable[Subject], title: Titles, most: int = 6) -> str:
    """'CAS, db1 and db2', and how many more there are."""
    names = [title(each) for each in nodes]
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    *rest, last = names or [""]
    return f"{', '.join(rest)} and {last}" if rest else last


def would_fall(fall: Fall, atlas: Atlas, title: Titles) -> str:
    """'If CAS is down, 4 of 4 journeys cannot be done: 4 200.00 EUR an hour.'"""
    down = named(fall.down, title)
    whether = f"If {down} {'is' if len(fall.down) == 1 else 'are'} down"
    return f"{whether}, {_what(fall, atlas)}."


def falls_meanwhile(fall: Fall, atlas: Atlas, title: Titles) -> str:
    """'CAS is down: 4 of 4 journeys cannot be done meanwhile, 4 200.00 EUR an hour.'"""
    down = named(fall.down, title)
    return (
        f"{down} {'is' if len(fall.down) == 1 else 'are'} down: {_what(fall, atlas, ' meanwhile')}."
    )


def _what(fall: Fall, atlas: Atlas, meanwhile: str = "") -> str:
    if fall.journeys:
        worth = an_hour(fall.an_hour)
        which = of_journeys(fall.journeys, atlas.journeys)
        return f"{which} cannot be done{meanwhile}" + (f": {worth}" if worth else "")
    others = len(fall.fallen)
    if not atlas.journeys:
        things = "1 other thing" if others == 1 else f"{others} other things"
        return f"{things} cannot work{meanwhile}" if others else f"nothing else falls{meanwhile}"
    if others:
        things = "1 other thing falls" if others == 1 else f"{others} other things fall"
        return f"{things}{meanwhile}, and every journey can still be done"
    return f"nothing else falls{meanwhile}: every journey can still be done"


def why_nothing(fall: Fall, spares: Sequence[Subject], needed: bool, title: Titles) -> str:
    """Why nothing falls with a point: it is a spare, one can live without it, or nobody needs it."""
    if fall.fallen:
        return ""
    if spares:
        return f"nothing falls: spare of {named(spares, title, 4)}"
    return "nothing falls: one can live without it" if needed else "nothing declared needs it"


def careful(
    central: Sequence[Subject], falls: Sequence[Subject], earned: Sequence[Money], title: Titles
) -> str:
    """The warning that goes with a change, or nothing if there is nothing to warn of."""
    if not falls:
        return ""
    which = "is a central point" if len(central) == 1 else "are central points"
    point = f"{named(central, title)} {which}. " if central else ""
    worth = an_hour(earned)
    return f"{point}Would fall: {named(falls, title)}" + (f", {worth}" if worth else "")
