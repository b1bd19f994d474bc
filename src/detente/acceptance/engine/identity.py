"""Which test is it, wherever it runs, and is it still the same one?

A test is known by the `id` of its marker; without one by where it stands, in words: a scenario as
“feature: scenario”, `test_shop.py::test_a_policy_can_be_bought` as “shop: a policy can be bought”.
None of these say on which machine or in which folder it lies. The hash is of its own
source (for a scenario: of its feature file), so it says whether two places ran the same test; what
the test calls may differ.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

MARKER = "acceptance"
_ASKED = {"id", "of"}


class Marked(NamedTuple):
    """One acceptance test as its source says it."""

    id: str
    of: str  # what it vouches for, if its marker says so
    sha256: str


class BadMark(Exception):
    """A marker cannot be understood, or two tests are called the same; the message says which."""


def marked(item: Any) -> Marked | None:
    """Who this pytest item is; None if it is no acceptance test. Raises BadMark."""
    marks = list(item.iter_markers(MARKER))
    if not marks:
        return None
    said: dict[str, Any] = {}
    for mark in reversed(marks):  # nearest last: a test has the last word over its module
        if mark.args or not mark.kwargs.keys() <= _ASKED:
            raise BadMark(f'{item.nodeid}: write @pytest.mark.acceptance(of="shop", id="…")')
        said |= mark.kwargs
    own = marks[0].kwargs.get("id") if _is_own(item, marks[0]) else None
    return Marked(
        id=_one_line(str(own) if own else _usual_name(item)) + _example(item),
        of=str(said.get("of", "")),
        sha256=fingerprint(item),
    )


def of_session(items: Iterable[Any]) -> dict[str, Marked]:
    """Every acceptance test among these, by node id. Raises BadMark."""
    found = {item.nodeid: known for item in items if (known := marked(item))}
    for name, times in Counter(known.id for known in found.values()).items():
        if times > 1:
            where = " and ".join(node for node, known in found.items() if known.id == name)
            raise BadMark(f"“{name}” is the name of {times} tests: {where}; give each an id")
    return found


def fingerprint(item: Any) -> str:
    """The sha256 of the test's own source."""
    scenario = _scenario(item)
    if scenario is not None:
        return hashlib.sha256(Path(scenario.feature.filename).read_bytes()).hexdigest()
    try:
        source = inspect.getsource(inspect.unwrap(item.obj))
    except (OSError, TypeError, AttributeError):
        return ""
    return hashlib.sha256(source.encode()).hexdigest()


def _is_own(item: Any, mark: Any) -> bool:
    """An id names one test: only the test's own marker can give it, not its module's."""
    return any(mark is each for each in getattr(item, "own_markers", ()))


def _usual_name(item: Any) -> str:
    scenario = _scenario(item)
    if scenario is not None:
        return f"{scenario.feature.name}: {scenario.name}"
    _, *within = item.nodeid.split("::")
    name = getattr(item, "originalname", None) or item.name
    return ": ".join(_spoken(each) for each in (item.path.stem, *within[:-1], name))


def _spoken(name: str) -> str:
    """`test_a_policy_can_be_bought` as people say it."""
    return name.removeprefix("test_").removesuffix("_test").replace("_", " ").strip() or name


def _example(item: Any) -> str:
    """Which example of a parametrised test."""
    call = getattr(item, "callspec", None)
    return f" [{_one_line(call.id)}]" if call is not None else ""


def _scenario(item: Any) -> Any:
    """The scenario behind the item, where pytest-bdd made it from a feature file."""
    bdd = sys.modules.get("pytest_bdd.scenario")
    known = getattr(bdd, "scenario_wrapper_template_registry", None)
    obj = getattr(item, "obj", None)
    return known.get(obj) if known is not None and obj is not None else None


def _one_line(words: str) -> str:
    return " ".join(words.split())
