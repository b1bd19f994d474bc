"""The map, what if, the central points and the changes, as people see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from detente.dependencies import decisions, queries, wording
from detente.dependencies.engine import drawing
from detente.dependencies.engine.drawing import BOX_HEIGHT, BOX_WIDTH, Line, Sort, Tag
from detente.dependencies.engine.points import Atlas, Fall, is_central
from detente.dependencies.engine.together import unexplained
from detente.dependencies.queries import Change, Standing, Suspicion
from detente.dependencies.settings import Dependencies
from detente.kernel.clock import Instant, later, moment
from detente.kernel.fact import Subject, Tone, kind, plain
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import Ask, Page, Panel, Sign

_MOST_DRAWN = 90  # more would be wallpaper
_MOST_POINTS = 12
_MOST_PAIRS = 12
_MOST_PAST = 50
_LATELY = 30 * 86_400.0
_LONGEST_TITLE = 17  # letters that fit into a box


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in the drawing."""

    about: Subject
    title: str
    short: str  # what fits into its box
    tone: Tone
    word: str
    says: str
    x: int
    y: int
    central: bool
    found: bool  # it is what was looked for
    asked: bool  # it is what was taken away
    href: str


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """One need in the drawing."""

    who: Subject
    what: Subject
    sort: Sort
    path: str
    broken: bool  # what is needed is down or falls


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The drawing: everything, or as much of it as one can look at."""

    width: int
    height: int
    box: tuple[int, int]
    places: tuple[Place, ...]
    threads: tuple[Thread, ...]
    tags: tuple[Tag, ...]
    left_out: int


class Consequence(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that falls, and over what."""

    about: Subject
    title: str
    over: tuple[Subject, ...]


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """What would be if these were down."""

    down: tuple[Subject, ...]
    sentence: str
    tone: Tone
    journeys: tuple[Subject, ...]
    an_hour: tuple[Money, ...]
    falls: tuple[Consequence, ...]
    weakened: tuple[Subject, ...]
    tell: tuple[Subject, ...]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ranking: what falls if this falls."""

    about: Subject
    title: str
    central: bool
    journeys: tuple[Subject, ...]
    an_hour: tuple[Money, ...]
    falls: int  # other things, journeys included
    share: float
    note: str
    tone: Tone
    word: str


class Both(msgspec.Struct, frozen=True, kw_only=True):
    """Two that must not fall together."""

    both: tuple[Subject, ...]
    journeys: tuple[Subject, ...]
    an_hour: tuple[Money, ...]


class MapPage(msgspec.Struct, frozen=True, kw_only=True):
    """The map as it stands, or as it would stand; what falls with each thing, the heaviest first."""

    at: Instant
    tone: Tone
    sentence: str
    journeys: int
    an_hour: tuple[Money, ...]
    what_if: WhatIf | None
    picture: Picture
    points: tuple[Point, ...]
    more_points: int
    central: int
    pairs: tuple[Both, ...]
    more_pairs: int
    pairs_untried: int
    suspicions: tuple[Suspicion, ...]
    planned: tuple[Noted, ...]
    find: str
    found: tuple[Point, ...]


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """One change, and what the map says of it."""

    change: Change
    tone: Tone
    state: str
    warning: str
    overdue: bool


class ChangesPage(msgspec.Struct, frozen=True, kw_only=True):
    """What is about to be changed besides releases, and what was."""

    at: Instant
    planned: tuple[Noted, ...]
    past: tuple[Noted, ...]


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that it needs, or that needs it."""

    about: Subject
    sort: Sort
    tone: Tone
    word: str


class Falls(msgspec.Struct, frozen=True, kw_only=True):
    """What falls with one thing, what it needs, and which changes of it there were lately."""

    about: Subject
    sentence: str
    central: bool
    falls: tuple[Consequence, ...]
    needs: tuple[Beside, ...]
    over: tuple[Subject, ...]  # single things that would fell it
    changes: tuple[Noted, ...]


# -- pages -----------------------------------------------------------------------------------------


def the_map(node: Node, ask: Ask) -> MapPage:
    return _map(node, ask.query.get("down", ""), ask.query.get("find", ""), "all" in ask.query)


def without(node: Node, ask: Ask) -> MapPage:
    return _map(node, ask.path["name"], ask.query.get("find", ""), "all" in ask.query)


def _map(node: Node, down: str, find: str, everything: bool) -> MapPage:
    atlas, now = queries.atlas_of(node), queries.standings(node)
    taken = decisions.subjects(down, node.catalogue, "down")
    what_if = _what_if(node, atlas, taken) if taken else None
    shown = _would_stand(node, atlas, what_if) if what_if else now
    found = _looked_for(node, find)
    ranked = [_point(node, atlas, each, now) for each in atlas.points]
    points = ranked if everything else _worth_telling(ranked)
    return MapPage(
        at=node.clock.now(),
        tone=_worst(now.values()),
        sentence=_sentence(node, atlas, now),
        journeys=len(atlas.journeys),
        an_hour=atlas.an_hour,
        what_if=what_if,
        picture=_picture(node, atlas, shown, taken, found),
        points=tuple(points),
        more_points=len(ranked) - len(points),
        central=sum(each.central for each in ranked),
        pairs=tuple(
            Both(both=each.both, journeys=each.journeys, an_hour=each.an_hour)
            for each in atlas.pairs.found[:_MOST_PAIRS]
        ),
        more_pairs=max(0, len(atlas.pairs.found) - _MOST_PAIRS),
        pairs_untried=atlas.pairs.untried,
        suspicions=tuple(_still_a_riddle(node))[:_MOST_PAIRS],
        planned=tuple(_noted(node, each) for each in queries.planned(node.rows)),
        find=find,
        found=tuple(_point(node, atlas, atlas.fall(each), now) for each in found),
    )


def changes(node: Node, _ask: Ask) -> ChangesPage:
    return ChangesPage(
        at=node.clock.now(),
        planned=tuple(_noted(node, each) for each in queries.planned(node.rows)),
        past=tuple(_noted(node, each) for each in queries.past(node.rows, _MOST_PAST)),
    )


def falls_panel(node: Node, about: Subject) -> Falls | None:
    """What falls with it; nothing to show of what stands alone."""
    atlas = queries.atlas_of(node)
    needs, needed = atlas.needs.nodes.get(about), atlas.needs.needing(about, soft=True)
    if needs is None or not (needs or needed):
        return None
    now, fall = queries.standings(node), atlas.fall(about)
    since = later(node.clock.now(), -_LATELY)
    return Falls(
        about=about,
        sentence="" if kind(about) == "journey" else wording.would_fall(fall, atlas, node.title),
        central=kind(about) != "journey" and is_central(fall, node.settings(Dependencies).central),
        falls=_consequences(node, fall),
        needs=tuple(
            _beside(member, drawing.sort_of(need), now)
            for need in needs
            for member in dict.fromkeys(need.of)
        ),
        over=tuple(
            each.down[0] for each in atlas.points if any(one.node == about for one in each.fallen)
        ),
        changes=tuple(_noted(node, each) for each in queries.touching(node.rows, about, since)),
    )


def change_panel(node: Node, about: Subject) -> Noted | None:
    """The change in short, where only its subject is shown."""
    change = queries.change(node.rows, about)
    return None if change is None else _noted(node, change)


# -- the present, and what would be ----------------------------------------------------------------


def _sentence(node: Node, atlas: Atlas, now: Mapping[Subject, Standing]) -> str:
    down = tuple(each.node for each in now.values() if each.state == "down")
    if down:
        return wording.falls_meanwhile(atlas.fall(*down), atlas, node.title)
    if not any(each.state != "unmeasured" for each in now.values()):
        return "Nothing on the map is looked at: no check is of it." if now else ""
    look = sum(each.state == "look" for each in now.values())
    return "Nothing on the map is known to be down" + (f"; {look} worth a look." if look else ".")


def _worst(standings: Iterable[Standing]) -> Tone:
    tones = {each.tone for each in standings}
    order: tuple[Tone, ...] = ("bad", "warn", "good")
    return next((tone for tone in order if tone in tones), "plain")


def _what_if(node: Node, atlas: Atlas, taken: tuple[Subject, ...]) -> WhatIf:
    fall = atlas.fall(*taken)
    return WhatIf(
        down=taken,
        sentence=wording.would_fall(fall, atlas, node.title),
        tone="bad" if fall.journeys else "warn" if fall.fallen else "good",
        journeys=fall.journeys,
        an_hour=fall.an_hour,
        falls=_consequences(node, fall),
        weakened=atlas.needs.weakened(taken),
        tell=decisions.risk(atlas, taken, 1.0).tell,
    )


def _consequences(node: Node, fall: Fall) -> tuple[Consequence, ...]:
    return tuple(
        Consequence(about=each.node, title=node.title(each.node), over=each.over)
        for each in fall.fallen
    )


def _would_stand(node: Node, atlas: Atlas, what_if: WhatIf) -> dict[Subject, Standing]:
    """How everything would stand; of what really is down, this says nothing."""
    falls = {each.about: each.over for each in what_if.falls}
    return {each: _would(node, each, what_if, falls) for each in atlas.needs.nodes}


def _would(
    node: Node, about: Subject, what_if: WhatIf, falls: Mapping[Subject, tuple[Subject, ...]]
) -> Standing:
    if about in what_if.down:
        return Standing(node=about, state="down", says="taken away")
    if about in falls:
        over = wording.named(falls[about], node.title)
        return Standing(node=about, state="falls", says=f"falls over {over}", over=falls[about])
    if about in what_if.weakened:
        return Standing(node=about, state="weakened", says="works, with less behind it")
    return Standing(node=about, state="unmeasured", says="stands")


# -- the drawing -----------------------------------------------------------------------------------


def _picture(
    node: Node,
    atlas: Atlas,
    shown: Mapping[Subject, Standing],
    taken: tuple[Subject, ...],
    found: tuple[Subject, ...],
) -> Picture:
    drawn = _worth_drawing(atlas, shown, found)
    made = drawing.draw(atlas.needs, drawn)
    central = {each.down[0] for each in atlas.central(node.settings(Dependencies).central)}
    return Picture(
        width=made.width,
        height=made.height,
        box=(BOX_WIDTH, BOX_HEIGHT),
        places=tuple(
            _place(node, box, shown[box.node], taken=taken, found=found, central=central)
            for box in made.boxes
        ),
        threads=tuple(_thread(each, shown) for each in made.lines),
        tags=made.tags,
        left_out=len(atlas.needs.nodes) - len(drawn),
    )


def _worth_drawing(
    atlas: Atlas, shown: Mapping[Subject, Standing], found: tuple[Subject, ...]
) -> list[Subject]:
    """Everything; of a large map, what was looked for, what is wrong, and the heaviest points."""
    everything = list(atlas.needs.nodes)
    if len(everything) <= _MOST_DRAWN:
        return everything
    around = [
        near
        for each in found
        for near in (each, *(m for need in atlas.needs.nodes[each] for m in need.of))
    ]
    above = [near for each in found for near in atlas.needs.needing(each, soft=True)]
    wrong = [each for each, standing in shown.items() if standing.tone in ("bad", "warn")]
    heavy = [each.down[0] for each in atlas.points]
    best = dict.fromkeys((*around, *above, *wrong, *heavy, *everything))
    chosen = set(list(best)[:_MOST_DRAWN])
    return [each for each in everything if each in chosen]


def _place(
    node: Node,
    box: drawing.Box,
    standing: Standing,
    *,
    taken: tuple[Subject, ...],
    found: tuple[Subject, ...],
    central: set[Subject],
) -> Place:
    title = node.catalogue.title(box.node)
    hypothetical = {"down": "taken away", "falls": "falls", "unmeasured": "stands"}
    word = hypothetical.get(standing.state, standing.word) if taken else standing.word
    return Place(
        about=box.node,
        title=title,
        short=title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1]}…",
        tone=standing.tone,
        word=word,
        says=standing.says,
        x=box.x,
        y=box.y,
        central=box.node in central,
        found=box.node in found,
        asked=box.node in taken,
        href=_toggled(taken, box.node),
    )


def _toggled(taken: tuple[Subject, ...], about: Subject) -> str:
    """Where following the link leads: this one taken away too, or put back."""
    down = [each for each in taken if each != about] if about in taken else [*taken, about]
    return f"/dependencies?down={','.join(map(plain, down))}" if down else "/dependencies"


def _thread(line: Line, shown: Mapping[Subject, Standing]) -> Thread:
    broken = shown[line.what].state in ("down", "falls")
    return Thread(who=line.who, what=line.what, sort=line.sort, path=line.path, broken=broken)


def _looked_for(node: Node, find: str) -> tuple[Subject, ...]:
    """Whose name or title holds these letters."""
    wanted = find.strip().casefold()
    if not wanted:
        return ()
    named = (
        (each, f"{plain(each)} {node.catalogue.title(each)}") for each in node.catalogue.entries
    )
    return tuple(each for each, name in named if wanted in name.casefold())


# -- points ----------------------------------------------------------------------------------------


def _worth_telling(ranked: list[Point]) -> list[Point]:
    """Whatever fells a journey, and of the rest as much as there is room for."""
    heavy = sum(bool(each.journeys) for each in ranked)
    return ranked[: max(_MOST_POINTS, min(heavy, 2 * _MOST_POINTS))]


def _point(node: Node, atlas: Atlas, fall: Fall, now: Mapping[Subject, Standing]) -> Point:
    about = fall.down[0]
    needed = bool(atlas.needs.needing(about, soft=True))
    return Point(
        about=about,
        title=node.catalogue.title(about),
        central=kind(about) != "journey" and is_central(fall, node.settings(Dependencies).central),
        journeys=fall.journeys,
        an_hour=fall.an_hour,
        falls=len(fall.fallen),
        share=fall.share,
        note=""
        if kind(about) == "journey"
        else wording.why_nothing(fall, atlas.spares(about), needed, node.title),
        tone=now[about].tone,
        word=now[about].word,
    )


def _still_a_riddle(node: Node) -> Iterable[Suspicion]:
    """What was suspected, unless somebody has declared since what they share."""
    for each in queries.suspicions(node.rows):
        if len(unexplained(each.together, node.catalogue.needs)) > 1:
            yield each


def _beside(about: Subject, sort: Sort, now: Mapping[Subject, Standing]) -> Beside:
    return Beside(about=about, sort=sort, tone=now[about].tone, word=now[about].word)


# -- changes ---------------------------------------------------------------------------------------

_STAGES: Mapping[str, tuple[Tone, str]] = {
    "planned": ("plain", "planned"),
    "made": ("good", "made"),
    "dropped": ("plain", "dropped"),
}


def _noted(node: Node, change: Change) -> Noted:
    tone, state = _STAGES[change.state]
    late = queries.overdue(change, node.clock.now())
    warning = wording.careful(change.central, change.falls, change.an_hour, node.title)
    if late:
        state = "overdue: was it made?"
    if change.state == "planned" and (late or warning):
        tone = "warn"
    return Noted(change=change, tone=tone, state=state, warning=warning, overdue=late)


# -- signs -----------------------------------------------------------------------------------------


def signs(node: Node) -> list[Sign]:
    """Planned changes that deserve a look beforehand, and those of which nobody said what came of them."""
    planned = (_noted(node, each) for each in queries.planned(node.rows))
    return [_announced(each) for each in planned if each.tone == "warn"]


def _announced(noted: Noted) -> Sign:
    change, when = noted.change, f"{moment(noted.change.at):%-d %B %H:%M} UTC"
    is_planned = f"“{change.title}” is planned for {when}."
    was_planned = f"“{change.title}” was planned for {when}: was it made?"
    warning = f" {noted.warning}" if noted.warning else ""
    return Sign(
        tone="warn",
        about=change.about,
        sentence=(was_planned if noted.overdue else is_planned) + warning,
        since=change.at if noted.overdue else None,
        held_by=change.by if ":" not in change.by else None,
        href="/dependencies/changes",
    )


_STIRS = (
    "watch.went_down", "watch.came_back", "watch.retired", "watch.warned", "watch.warning_passed",
    "work.breaker_opened", "work.breaker_closed", "dependencies.*",
)  # fmt: skip

PAGES = (
    Page(
        path="/dependencies",
        title="Map",
        answer=the_map,
        template="dependencies/map.html",
        in_menu=True,
        hears=_STIRS,
    ),
    Page(
        path="/dependencies/changes",
        title="Changes",
        answer=changes,
        template="dependencies/changes.html",
        hears=("dependencies.*",),
    ),
    Page(
        path="/dependencies/without/{name}",
        title="Without",
        answer=without,
        template="dependencies/map.html",
        hears=_STIRS,
    ),
)

PANELS = (
    Panel(
        title="What falls with it",
        kinds=("vendor", "service", "infrastructure", "journey"),
        answer=falls_panel,
        template="dependencies/falls.html",
    ),
    Panel(
        title="The change",
        kinds=("change",),
        answer=change_panel,
        template="dependencies/change.html",
    ),
)
