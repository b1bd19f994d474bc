"""How does an answer look in a terminal?

Any answer can be shown: values beside their labels, records in records as sections, lists of records
as tables. What the types say decides how (`Instant`, `Seconds`, `Money`, a tone beside a state). A slice
that wants to show one of its answers better registers a function for its type with `shows`.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from detente.kernel import clock
from detente.kernel.clock import SystemClock, lasting
from detente.kernel.fact import Subject, kind, plain
from detente.kernel.money import Money
from detente.kernel.spans import Span
from detente.kernel.terminal.signs import sign, status
from detente.kernel.terminal.words import Seeing, called

if TYPE_CHECKING:
    from typing import TextIO

A = TypeVar("A")
Renderer = Callable[[Any, Seeing], Iterable[RenderableType]]

_renderers: dict[type, Renderer] = {}

_PIPE_WIDTH = 10_000
_HIDDEN = frozenset(
    {
        "sha256", "position", "opened_by", "closed_by", "href", "template", "fact", "day_start",
        "day_starts", "now", "quiet", "parts",
    }
)  # fmt: skip
_TONES = ("good", "bad", "warn", "plain")


def shows(answer: type[A]) -> Callable[[Callable[[A, Seeing], R]], Callable[[A, Seeing], R]]:
    """Show answers of this type with the function below."""

    def register(renderer: Callable[[A, Seeing], R]) -> Callable[[A, Seeing], R]:
        _renderers[answer] = renderer
        return renderer

    return register


R = TypeVar("R", bound=Iterable[RenderableType])


_panels: dict[tuple[str, str], Any] = {}


def know_panels(types: Mapping[tuple[str, str], Any]) -> None:
    """Of which type each slice's panels are, by (noun, title): JSON has forgotten it."""
    _panels.update(types)


def panel(noun: str, title: str, answer: Any) -> Any:
    """A panel's answer as the slice's own record again, where its type is known."""
    kept = _panels.get((noun, title))
    return answer if kept is None else msgspec.convert(answer, kept)


def screen(file: TextIO | None = None) -> Console:
    """Where people look. A pipe gets whole lines without colours."""
    console = Console(file=file or sys.stdout, highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console = Console(
            file=file or sys.stdout, highlight=False, emoji=False, markup=False,
            width=_PIPE_WIDTH, soft_wrap=True,
        )  # fmt: skip
    return console


def show(answer: Any, *, on: Console | None = None, see: Seeing | None = None) -> None:
    """Print an answer."""
    console = on or screen()
    see = see or Seeing(SystemClock().now(), piped=not console.is_terminal)
    with console.capture() as drawing:
        for each in drawn(answer, see):
            console.print(each)
    for line in drawing.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")


def drawn(answer: Any, see: Seeing) -> Iterator[RenderableType]:
    """The answer as it is shown, by its own renderer or by what its type says."""
    renderer = _renderers.get(type(answer))
    yield from renderer(answer, see) if renderer else anything(answer, see)


def anything(answer: Any, see: Seeing) -> Iterator[RenderableType]:
    """Any record: what is short beside its label, then what has parts, each below its heading."""
    fields = list(_fields(answer))
    short = [(label, _cell(value, hint, see)) for label, hint, value in fields if _is_short(value)]
    if short:
        yield labelled(short)
    for label, hint, value in fields:
        if not _is_short(value):
            yield heading(label)
            yield from _parts(value, hint, see)


def heading(text: str, note: str = "") -> Text:
    """What stands above a part."""
    return Text.assemble("\n", (text, "bold"), (f"  {note}" if note else "", "dim"))


def closed_up(parts: Iterable[RenderableType]) -> Iterator[RenderableType]:
    """Without the empty line above a heading that comes first."""
    for index, each in enumerate(parts):
        heads = index == 0 and isinstance(each, Text) and each.plain.startswith("\n")
        yield each[1:] if heads and isinstance(each, Text) else each


def labelled(rows: Iterable[tuple[str, str | Text]]) -> Table:
    """Values beside their labels."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for label, value in rows:
        grid.add_row(label, value)
    return grid


def table(*columns: str, right: Sequence[str] = (), whole: Sequence[str] = ()) -> Table:
    """The one look of tables: air between columns, nothing else. `whole`: columns never broken."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for index, each in enumerate(columns):
        made.add_column(
            each, justify="right" if each in right else "left", overflow="fold", vertical="top",
            no_wrap=index == 0 or each in right or each in whole,
        )  # fmt: skip
    return made


def indented(*parts: RenderableType) -> Padding:
    """A little to the right, below what they belong to."""
    return Padding(Group(*parts), (0, 0, 0, 2), expand=False)


def amounts(sums: Iterable[Money]) -> str:
    """'1 250.00 EUR, 30.00 USD'."""
    return ", ".join(str(each) for each in sums)


# What a type says


def _fields(answer: Any) -> Iterator[tuple[str, Any, Any]]:
    """(label, type, value) of what is worth showing."""
    if isinstance(answer, Mapping):
        for name, value in answer.items():
            if name not in _HIDDEN and not _is_empty(value):
                yield _label(str(name)), Any, value
        return
    hints = get_type_hints(type(answer), include_extras=True)
    state = "state" in hints
    for name in answer.__struct_fields__:
        value = getattr(answer, name)
        if name not in _HIDDEN and not _is_empty(value) and not (state and name == "tone"):
            toned = _Toned(answer.tone, value) if state and _says_state(answer, name) else value
            yield _label(name), hints[name], toned


class _Toned(msgspec.Struct, frozen=True):
    """A state, and how good that is."""

    tone: Any
    word: str


def _says_state(answer: Any, name: str) -> bool:
    return name == "state" and getattr(answer, "tone", None) in _TONES


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, (str, list, tuple, dict)) and not value)


def _is_short(value: Any) -> bool:
    """One cell is enough."""
    if isinstance(value, (list, tuple)):
        return all(isinstance(each, (str, int, float, Money)) for each in value)
    if isinstance(value, str):
        return "\n" not in value
    return isinstance(value, (_Toned, Money)) or not isinstance(value, (msgspec.Struct, Mapping))


def _parts(value: Any, hint: Any, see: Seeing) -> Iterator[RenderableType]:
    match value:
        case str():
            yield indented(Text(value))
        case list() | tuple():
            yield indented(*_rows(value, hint, see))
        case _:
            yield indented(*closed_up(drawn(value, see)))


def _rows(values: Sequence[Any], hint: Any, see: Seeing) -> Iterator[RenderableType]:
    first = values[0]
    if isinstance(first, Span):
        yield from (_span(each, see) for each in values)
    elif _is_told(first):
        yield from (told(each, see) for each in values)
    elif isinstance(first, (list, tuple)):
        item = (get_args(_bare(hint)) or (Any,))[0]
        yield from (Text(_joined(each, item, see)) for each in values)
    elif type(first) in _renderers:
        for each in values:
            yield from drawn(each, see)
    else:
        yield from _table(values, see)


def _table(values: Sequence[Any], see: Seeing) -> Iterator[RenderableType]:
    """A column for each short field that any row fills; what is not short stands below its table."""
    rows = [{label: (hint, value) for label, hint, value in _fields(each)} for each in values]
    labels = dict.fromkeys(label for row in rows for label in row)
    short = [
        label for label in labels if all(_is_short(row[label][1]) for row in rows if label in row)
    ]
    if short:
        numbers = [
            each for each in short if _are_numbers([row[each] for row in rows if each in row])
        ]
        made = table(*short, right=numbers)
        for row in rows:
            cells = (row.get(label) for label in short)
            made.add_row(*(_cell(cell[1], cell[0], see) if cell else "" for cell in cells))
        yield made
    for row in rows:
        for label in row:
            if label not in short:
                hint, value = row[label]
                yield from (heading(label), *_parts(value, hint, see))


def _are_numbers(cells: Iterable[tuple[Any, Any]]) -> bool:
    """Numbers stand right; moments are numbers only to machines, and yes and no are none."""
    return all(
        isinstance(value, (int, float, Money))
        and not isinstance(value, bool)
        and _meaning(hint) != "instant"
        for hint, value in cells
    )


def _cell(value: Any, hint: Any, see: Seeing) -> str | Text:
    """One value in few words."""
    if isinstance(value, _Toned):
        return status(value.tone, value.word)
    if isinstance(value, (list, tuple)):
        return _joined(value, hint, see)
    what = _meaning(hint)
    if what == "instant":
        return see.when(value)
    if what == "seconds":
        return lasting(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value in _TONES and "Literal" in str(hint):
        return status(value)  # type: ignore[arg-type]
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _joined(values: Iterable[Any], hint: Any, see: Seeing) -> str:
    """A few values in one cell; two moments are the time between them."""
    items = [each for each in get_args(_bare(hint)) if each is not Ellipsis] or [Any]
    values = list(values)
    if len(items) != len(values):
        return ", ".join(str(_cell(each, items[0], see)) for each in values)
    if len(items) == 2 and _meaning(items[0]) == _meaning(items[1]) == "instant":
        return f"{see.clock(values[0])} – {see.clock(values[1])}"
    cells = zip(values, items, strict=True)
    return ", ".join(str(_cell(each, item, see)) for each, item in cells if each is not None)


def _meaning(hint: Any) -> str:
    """Is it a point in time, or a length of it? The annotations of `kernel.clock` say so."""
    for each in _alternatives(hint):
        if get_origin(each) is Annotated:
            if each == clock.Instant:
                return "instant"
            if each == clock.Seconds:
                return "seconds"
    return ""


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _bare(hint: Any) -> Any:
    """The type without `| None` and without annotations."""
    kept = [each for each in _alternatives(hint) if each is not type(None)]
    found = kept[0] if kept else hint
    return get_args(found)[0] if get_origin(found) is Annotated else found


# Facts and spans


def _is_told(value: Any) -> bool:
    """A fact in the words of a timeline, whichever face it was made for."""
    return all(hasattr(value, each) for each in ("at", "about", "title", "says", "tone"))


def told(fact: Any, see: Seeing, *, clock: bool = True) -> Table:
    """One line of a timeline: when, how it reads, about whom, what; and who, if it was a person."""
    when = see.clock(fact.at) if clock else see.time(fact.at)
    return line(when, fact.tone, titled(fact.title, fact.about), fact.says, by=fact.by)


def titled(title: str, about: Subject) -> str:
    """What people call it; with its kind where only its name is known. The node is Détente."""
    if kind(about) == "node":
        return "Détente"
    return called(about) if title in (plain(about), "") else title


def line(when: str, tone: Any, title: str, says: str, *, by: str = "") -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim", min_width=8)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    said = Text.assemble((f"{title} " if title else "", "bold"), says)
    if person := named(by):
        said.append(f"  — {person}", style="dim")
    grid.add_row(when, sign(tone), said)
    return grid


def named(by: str) -> str:
    """Who did it, if it was somebody: machines sign as `detente…` or `place:…`."""
    return "" if not by or by == "detente" or ":" in by else by


def _span(span: Span, see: Seeing) -> Text:
    until = see.clock(span.end) if span.end else "now"
    lasted = lasting(span.seconds(see.now))
    return Text.assemble(
        (f"{see.clock(span.start)} – {until}", "dim"), f"  {span.says}  ", (f"({lasted})", "dim")
    )
