"""What does pytest learn about acceptance tests?

The marker `acceptance`, and the fixtures `place`, `base_url` and `account`. With `--detente ADDRESS`
every marked test's result is told to that node; without it nothing happens that did not happen before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import Any

import pytest

from detente.acceptance.engine import base_url, identity
from detente.acceptance.engine.account import Accounts, from_environment
from detente.acceptance.engine.identity import BadMark
from detente.acceptance.engine.spool import Outcome, Spool
from detente.acceptance.engine.surroundings import HERE, Surroundings

PLACES = ("ci", "gate", "production")
_LONGEST_REASON = 300


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("detente", "acceptance tests (Détente)")
    group.addoption(
        "--detente", metavar="ADDRESS", default=os.environ.get("DETENTE_ADDRESS", ""),
        help="tell this node every acceptance test's result; its token is in DETENTE_TOKEN",
    )  # fmt: skip
    group.addoption(
        "--detente-place", choices=PLACES, default=os.environ.get("DETENTE_PLACE", "ci"),
        help="where the tests run  [default: ci]",
    )  # fmt: skip
    group.addoption(
        "--detente-base-url", metavar="URL", default=os.environ.get("DETENTE_BASE_URL", ""),
        help="what the fixture base_url answers",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        'acceptance(of="shop", id="…"): vouches for that service in CI, at the release gate and in'
        " production",
    )
    address, place = config.getoption("--detente"), config.getoption("--detente-place")
    if place not in PLACES:
        raise pytest.UsageError(f"DETENTE_PLACE is {place}; it can be {', '.join(PLACES)}")
    url = config.getoption("--detente-base-url")
    config.stash[HERE] = Surroundings(place, url, Accounts(from_environment()))
    if _has_base_url_plugin(config):
        config.option.base_url = url or config.option.base_url
    else:
        config.pluginmanager.register(base_url, "detente-base-url")
    if address and not hasattr(config, "workerinput"):  # below xdist only the one in charge tells
        config.pluginmanager.register(Telling(config, address), "detente-telling")


def _has_base_url_plugin(config: pytest.Config) -> bool:
    """pytest-base-url has a fixture of that name, which other plugins build on."""
    return hasattr(config.option, "base_url")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    try:
        tests = config.stash[HERE].tests = identity.of_session(items)
    except BadMark as wrong:
        raise pytest.UsageError(str(wrong)) from None
    for item in items:
        if known := tests.get(item.nodeid):  # so that it stands in JUnit XML, whoever imports that
            item.user_properties += [
                (f"acceptance.{key}", each) for key, each in known._asdict().items() if each
            ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Says on the report which test it is, and blanks the passwords that the test was told."""
    report = yield
    here = item.config.stash[HERE]
    known = here.tests.get(item.nodeid)
    if known is None:
        return report
    report.detente = known._asdict()  # type: ignore[attr-defined]
    report.detente_reason = reason_of(report, here.accounts.blanked)  # type: ignore[attr-defined]
    text = report.longreprtext
    if text != (blanked := here.accounts.blanked(text)):
        report.longrepr = blanked
    report.sections = [(title, here.accounts.blanked(said)) for title, said in report.sections]
    return report


def reason_of(report: pytest.TestReport, blanked: Callable[[str], str]) -> str:
    """Why it failed or was skipped, in a line."""
    if report.passed:
        return ""
    if isinstance(report.longrepr, tuple):  # skipped: file, line, why
        return blanked(str(report.longrepr[2]).removeprefix("Skipped: "))[:_LONGEST_REASON]
    crash = getattr(report.longrepr, "reprcrash", None)
    said = str(crash.message) if crash is not None else report.longreprtext.strip()
    first = blanked(said.strip()).partition("\n")[0][:_LONGEST_REASON]
    return first if report.when == "call" else f"{report.when} failed: {first}"


class Telling:
    """Keeps results on disk until the node has them."""

    def __init__(self, config: pytest.Config, address: str) -> None:
        place = config.stash[HERE].place
        self._spool = Spool.begun(config.rootpath, address, place)
        self._outcomes = Outcomes()
        self._said: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if outcome := self._outcomes.heard(report):
            self._spool.keep(outcome)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        self._said = list(self._spool.send_everything())

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for line in self._said:
            terminalreporter.write_line(f"detente: {line}")


class Outcomes:
    """Setup, call and teardown of a test come one by one and make one outcome."""

    def __init__(self) -> None:
        self._under_way: dict[str, Outcome] = {}

    def heard(self, report: pytest.TestReport) -> Outcome | None:
        """The outcome, once the test is over."""
        who = getattr(report, "detente", None)
        if who is None:
            return None
        known = self._under_way.get(report.nodeid) or Outcome(
            test=who["id"], of=who["of"], sha256=who["sha256"], outcome="passed"
        )
        known = known.after(
            _outcome(report), report.duration, getattr(report, "detente_reason", "")
        )
        self._under_way[report.nodeid] = known
        return self._under_way.pop(report.nodeid) if report.when == "teardown" else None


def _outcome(report: pytest.TestReport) -> str:
    """A test that was expected to fail and does has kept nobody's word: it was not counted on."""
    return "skipped" if report.skipped else "failed" if report.failed else "passed"


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest) -> str:
    """Where the test runs: ci, gate or production."""
    return request.config.stash[HERE].place


@pytest.fixture(scope="session")
def account(request: pytest.FixtureRequest) -> Accounts:
    """Named test accounts: `account("buyer").user`, `account("buyer").password`."""
    return request.config.stash[HERE].accounts
