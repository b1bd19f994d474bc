"""What did people write in `detente.yaml`, and is it right?

From a file to settings, or to every mistake in it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from detente.kernel.config import fit
from detente.kernel.config.check import Wrong, wrongs
from detente.kernel.config.document import Document, Slip, parse
from detente.kernel.config.errors import (
    ConfigErrors,
    Excerpts,
    Located,
    Mistake,
    Span,
    spans,
    suspects,
    veiled,
)
from detente.kernel.config.schema import Shape
from detente.kernel.config.words import Path as Keys

T = TypeVar("T", bound=msgspec.Struct)

Cross = Callable[[T], Iterable[Mistake]]
"""Finds what is wrong between settings that are each right: names nothing answers to, and so on."""

MAX_BYTES = 4_000_000


def load(
    path: Path,
    settings: type[T],
    *,
    environ: Mapping[str, str],
    cross: Cross[T] | None = None,
) -> T:
    """The settings in that file. Raises ConfigErrors."""
    document = parse(text_of(path), str(path))
    return _settle(document, settings, environ, path.parent, cross)


def loads(
    text: str,
    settings: type[T],
    *,
    name: str = "detente.yaml",
    environ: Mapping[str, str] | None = None,
    cross: Cross[T] | None = None,
) -> T:
    """The settings in that text. Raises ConfigErrors."""
    return _settle(parse(text, name), settings, environ, None, cross)


def section(path: Path, name: str, settings: type[T], *, environ: Mapping[str, str]) -> T:
    """One section of that file, whatever stands in the others. Raises ConfigErrors."""
    document = read(path)
    whole = document.value if isinstance(document.value, dict) else {}
    try:
        return fit.fit(whole.get(name) or {}, settings, Shape(settings).info, environ, path.parent)
    except fit.Unfit:
        says = "has mistakes in it; `detente config check` tells them"
        raise ConfigErrors(_located(document, Shape(settings), [Wrong((name,), says)])) from None


def read(path: Path) -> Document:
    """The file as it stands, with the place of everything. Raises ConfigErrors if it has no form."""
    document = parse(text_of(path), str(path))
    if document.slips:
        raise ConfigErrors(
            Located(document.name, *slip.place, slip.path, slip.says) for slip in document.slips
        )
    return document


def text_of(path: Path) -> str:
    """What the file says. Raises ConfigErrors if it cannot be read."""
    try:
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _unreadable(path, "there is no such file; `detente init` writes one") from None
    except PermissionError:
        raise _unreadable(path, "may not be read by this user; change its permissions") from None
    except IsADirectoryError:
        raise _unreadable(path, "is a folder; name the file in it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _unreadable(path, f"cannot be read: {str(reason).lower()}") from None
    if len(body) > MAX_BYTES:
        raise _unreadable(path, f"is larger than {MAX_BYTES // 1_000_000} MB; split it up")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode("utf-8-sig", "replace").splitlines(keepends=True)
        line, column = max(1, len(before)), len(before[-1]) + 1 if before else 1
        says = "is not text in UTF-8 from here on; save it as UTF-8"
        raise ConfigErrors([Located(str(path), line, column, (), says)]) from None


def _unreadable(path: Path, says: str) -> ConfigErrors:
    return ConfigErrors([Located(str(path), 0, 0, (), says)])


def _settle(
    document: Document,
    settings: type[T],
    environ: Mapping[str, str] | None,
    beside: Path | None,
    cross: Cross[T] | None,
) -> T:
    shape = Shape(settings)
    if not document.whole:
        raise ConfigErrors(_broken(document, shape))
    if document.value is None:
        says = "the file is empty; `detente init` writes one to begin with"
        raise ConfigErrors([Located(document.name, 1, 1, (), says)])
    wrong: list[Wrong] = []
    try:
        done = fit.fit(document.value, settings, shape.info, environ, beside)
    except fit.Unfit as unfit:
        covered = set(fit.hidden(document.value, shape.info))
        wrong = wrongs(document.value, shape, covered) or [Wrong(unfit.path, str(unfit))]
        raise ConfigErrors(_located(document, shape, wrong)) from None
    if cross is not None:
        wrong = [Wrong(mistake.path, mistake.says) for mistake in cross(done)]
    if wrong or document.slips:
        raise ConfigErrors(_located(document, shape, wrong))
    return done


def _broken(document: Document, shape: Shape) -> list[Located]:
    """Mistakes of form in a file that could not be read to its end."""
    names = set(fit.secret_names(shape.info, "", set()))
    lines = {slip.place[0] for slip in document.slips}
    covered = [span for line in lines for span in suspects(document, line, names)]
    slips = [replace(slip, path=veiled(slip.path, names)) for slip in document.slips]
    return _shown(document, slips, [*document.marks.unread, *covered])


def _located(document: Document, shape: Shape, wrong: Iterable[Wrong]) -> list[Located]:
    """Everything found in a file that could be read, each with its place and its line."""
    hidden = set(fit.hidden(document.value, shape.info))
    slips = [_veiled(slip, hidden) for slip in document.slips]
    slips += [_slip(document, each) for each in wrong]
    return _shown(document, slips, spans(document, hidden))


def _shown(document: Document, slips: Sequence[Slip], covered: Sequence[Span]) -> list[Located]:
    lines = Excerpts(document, [slip.place for slip in slips], covered)
    return [
        Located(
            document.name, *slip.place, slip.path, slip.says, lines.show(slip.place, slip.width)
        )
        for slip in slips
    ]


def _veiled(slip: Slip, hidden: set[Keys]) -> Slip:
    """The same slip without the keys that stand below something secret."""
    for length in range(len(slip.path)):
        if slip.path[:length] in hidden:
            return Slip(slip.place, slip.width, slip.path[:length], "a key in it is written twice")
    return slip


def _slip(document: Document, wrong: Wrong) -> Slip:
    """Where to point: at the key if the key is wrong or the value stands below it."""
    mark = document.marks.mark(wrong.path)
    start, end = mark.start, mark.end
    if wrong.at_key or wrong.path not in document.marks.by_path or start[0] != mark.key[0]:
        start, end = mark.key, mark.key_end
    if mark.written == "" and mark.same_as is None:
        start, end = mark.key, mark.key_end
    width = end[1] - start[1] if end[0] == start[0] else 1
    return Slip(start, max(1, width), wrong.path, wrong.says)
