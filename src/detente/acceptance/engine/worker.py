"""What does the process do that runs a suite?

Imports pytest and the suite once, says which tests there are, then runs what it is told to, again and
again, over a pipe. A password is asked for over the same pipe when a test wants it, so it stands on no
command line, in no environment and in no file. Ends when the pipe does.

    python -m detente.acceptance.engine.worker
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import pytest

from detente.acceptance.engine.account import Account, Accounts, NoAccount
from detente.acceptance.engine.plugin import Outcomes
from detente.acceptance.engine.surroundings import HERE, Surroundings

_GRACE = 10.0  # seconds after which it ends itself if nobody else has ended a test that hangs


class Pipe:
    """Lines of JSON to and from the node."""

    def __init__(self, read: TextIO, write: TextIO) -> None:
        self._read = read
        self._write = write

    def say(self, **said: Any) -> None:
        self._write.write(json.dumps(said) + "\n")
        self._write.flush()

    def hear(self) -> dict[str, Any] | None:
        """What comes next; None when nothing more will."""
        line = self._read.readline()
        return json.loads(line) if line else None


class Suite:
    """A pytest session that stays open: its loop over the tests is a loop over what is asked."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._outcomes = Outcomes()
        self._complaints: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._complaints.append(f"{report.nodeid}: {_why(report.longreprtext)}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        tests = session.config.stash[HERE].tests
        if self._complaints:
            self._pipe.say(broken="; ".join(self._complaints))
            return True
        self._pipe.say(tests=[each._asdict() for each in tests.values()])
        while asked := self._pipe.hear():
            self._run(session, asked)
            self._pipe.say(done=True)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if outcome := self._outcomes.heard(report):
            self._pipe.say(outcome=outcome._asdict())

    def _run(self, session: pytest.Session, asked: Mapping[str, Any]) -> None:
        here = session.config.stash[HERE]
        here.place, here.base_url = asked["place"], asked["base_url"]
        here.accounts = Accounts(self._account)
        if hasattr(session.config.option, "base_url"):
            session.config.option.base_url = asked["base_url"]
        chosen = [each for each in session.items if _is_asked(each, here, asked["only"])]
        # Nothing comes after the last one: then fixtures of the whole session end too.
        for item, after in zip(chosen, [*chosen[1:], None], strict=True):
            self._pipe.say(began=here.tests[item.nodeid].id)
            with _ending_itself(asked["timeout"] + _GRACE):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            _forget(item)

    def _account(self, name: str) -> Account:
        self._pipe.say(account=name)
        given = self._pipe.hear() or {"missing": "the node has gone"}
        if "missing" in given:
            raise NoAccount(given["missing"])
        return Account(name, given["user"], given["password"])


def _is_asked(item: pytest.Item, here: Surroundings, only: Sequence[str]) -> bool:
    known = here.tests.get(item.nodeid)
    return known is not None and (not only or known.id in only)


def _forget(item: pytest.Item) -> None:
    """A test that runs for weeks must not collect what it printed."""
    item._report_sections.clear()
    item.user_properties.clear()


@contextlib.contextmanager
def _ending_itself(after: float) -> Iterator[None]:
    """With everything that the test started, should the node no longer be there to do it."""
    watch = threading.Timer(after, lambda: os.killpg(0, signal.SIGKILL))
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _why(text: str) -> str:
    """The line that says what went wrong, out of pytest's many."""
    lines = [each.strip() for each in text.strip().splitlines() if each.strip()]
    errors = [each.removeprefix("E").strip() for each in lines if each.startswith("E  ")]
    return (errors or lines or ["it cannot be read"])[-1]


def _arguments(asked: Mapping[str, Any]) -> list[str]:
    """pytest's own, so that a suite's settings for CI do not get in the way."""
    entries = importlib.metadata.entry_points(group="pytest11", name="detente")
    ours = "detente" if entries else "detente.acceptance.engine.plugin"
    several = ["-n0"] if importlib.util.find_spec("xdist") else []
    return [
        asked["path"], "-p", ours, "-p", "no:cacheprovider", "--maxfail=0", "--detente=", "-q",
        *several, "-W", _KNOWN_EARLY,
    ]  # fmt: skip


# We are imported before pytest is asked to look into our assertions, of which there are none.
_KNOWN_EARLY = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"


def _own_pipe() -> Pipe:
    """Take the pipe away from what tests print and from what they start."""
    read, write = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return Pipe(read, write)


def main() -> int:
    """Run what is asked until nobody asks any more."""
    pipe = _own_pipe()
    asked = pipe.hear()
    if asked is None:
        return 0
    return int(pytest.main(_arguments(asked), plugins=[Suite(pipe)]))


if __name__ == "__main__":
    sys.exit(main())
