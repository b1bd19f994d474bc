"""Where results come in from elsewhere, and where other programs ask for a run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import msgspec

from detente.acceptance import decisions, effects, queries
from detente.acceptance.decisions import Run
from detente.acceptance.engine import junit
from detente.acceptance.engine.parent import Outcome
from detente.kernel.forms import BadForm, decoded
from detente.kernel.node import Node
from detente.kernel.slice import Answered, Asked, Endpoint

_OUTCOMES = ("passed", "failed", "skipped")
_LONGEST_NAME = 300
_LONGEST_REASON = 500
_LIKE = '{"run": "nightly-7", "results": [{"test": "buy a ticket", "outcome": "passed"}]}'
_LARGEST = 2 * 1024 * 1024  # senders stay under it: see engine/spool.py


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One result from elsewhere."""

    test: str
    outcome: str
    took: float = 0.0
    of: str = ""
    reason: str = ""
    sha256: str = ""
    ran_at: int = 0


class Results(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one run elsewhere found."""

    run: str
    place: str
    results: tuple[Result, ...]
    version: str = ""
    release: str = ""
    suite: str = ""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """How many results were new; the others had been told before."""

    run: str
    recorded: int
    known: int


async def take_results(node: Node, asked: Asked) -> Answered:
    """Results from elsewhere, as our own JSON or as JUnit XML."""
    said = (
        _from_xml(asked) if asked.body.lstrip()[:1] == b"<" else decoded(asked.body, Results, _LIKE)
    )
    if not said.run.strip():
        raise BadForm("run: give the run a name, so that telling it twice counts once")
    _check(said.results)
    run = Run(
        id=said.run,
        place=queries.place_named(said.place),
        suite=said.suite,
        version=said.version,
        release=decisions.named(said.release, "release"),
    )
    outcomes = [_outcome(each) for each in said.results]
    now = node.clock.now()
    at = {each.test: min(each.ran_at, now) for each in said.results if each.ran_at}
    fresh = await effects.told(node, run, outcomes, at, asked.by)
    taken = Taken(run=said.run, recorded=fresh, known=len(outcomes) - fresh)
    return Answered(body=msgspec.json.encode(taken))


def _from_xml(asked: Asked) -> Results:
    try:
        outcomes = junit.read(asked.body)
    except junit.NotJUnit as wrong:
        raise BadForm(f"body: {wrong}") from None
    of, query = asked.query.get("of", ""), asked.query
    return Results(
        run=query.get("run") or hashlib.sha256(asked.body).hexdigest()[:24],
        place=query.get("place", ""),
        version=query.get("version", ""),
        release=query.get("release", ""),
        results=tuple(
            Result(
                test=each.test,
                outcome=each.outcome,
                took=each.took,
                of=each.of or of,
                reason=each.reason,
                sha256=each.sha256,
            )
            for each in outcomes
        ),
    )


def _check(results: Sequence[Result]) -> None:
    for index, each in enumerate(results):
        if each.outcome not in _OUTCOMES:
            raise BadForm(
                f"results[{index}].outcome: {each.outcome} is none of {', '.join(_OUTCOMES)}"
            )
        if not each.test.strip() or len(each.test) > _LONGEST_NAME:
            raise BadForm(
                f"results[{index}].test: a test has a name, of up to {_LONGEST_NAME} signs"
            )
        if not 0 <= each.took < math.inf:
            raise BadForm(f"results[{index}].took: write seconds, 0 or more")


def _outcome(said: Result) -> Outcome:
    return Outcome(
        test=_line_of(said.test),
        outcome=said.outcome,
        took=said.took,
        of=_line_of(said.of),
        sha256=said.sha256,
        reason=_line_of(said.reason)[:_LONGEST_REASON],
    )


def _line_of(said: str) -> str:
    """Control signs would forge lines in a terminal."""
    return " ".join("".join(each if each.isprintable() else " " for each in said).split())


async def run_now(node: Node, asked: Asked) -> Answered:
    """Run a suite and answer with what it found."""
    said = decoded(asked.body, effects.Asked, '{"suite": "money"}')
    queries.suite_named(node, said.suite)
    found = await effects.runner(node).run(said)
    return Answered(body=msgspec.json.encode(found))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/acceptance/results",
        explains="Takes the results of acceptance tests that ran elsewhere, as JSON or JUnit XML,"
        " each once.",
        answer=take_results,
        largest=_LARGEST,
    ),
    Endpoint(
        method="POST",
        path="/acceptance/runs",
        explains="Runs a suite of acceptance tests now, and answers with what it found when it is done.",
        answer=run_now,
    ),
)
