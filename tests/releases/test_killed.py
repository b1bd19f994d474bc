"""A real node is killed in the middle of every step, and a real release comes to its right end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from detente.commands import root
from detente.kernel.terminal.calling import Caller, NoNode, Troubled
from detente.releases.pages import Room

from .conftest import ABOUT, Shop

pytestmark = pytest.mark.slow

_PATIENCE = 40.0


class Machine:
    """The machine that the node runs on: it can be started, and killed without a word."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.home = shop.home
        self.ledger = shop.home / "detente.db"
        self.node: subprocess.Popen[bytes] | None = None
        (self.home / "detente.yaml").write_text(shop.declared)

    def detente(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "detente", *words]

    def up(self) -> None:
        with (self.home / "up.log").open("ab") as log:
            self.node = subprocess.Popen(
                self.detente("up", "--port", "0"), cwd=self.home, stdout=log, stderr=log
            )
        self._until(self._answers)

    def kill(self) -> None:
        assert self.node is not None
        self.node.kill()
        self.node.wait()

    def pull(self, lever: str, about: str, **said: str) -> None:
        Caller(self.ledger).pull(f"releases.{lever}", {"about": about, **said}, who="Ann")

    def asked_for(self) -> None:
        self.pull("request", "service:shop", title="Cheaper basket", starts="now")

    def let_go(self) -> None:
        self.asked_for()
        self.pull("run", ABOUT)

    def room(self) -> Room:
        body = Caller(self.ledger).get("/releases/1")
        return msgspec.json.decode(body, type=Room)

    def comes_to(self, *states: str) -> Room:
        self._until(lambda: self._answers() and self.room().release.state in states)
        return self.room()

    def has_begun(self, step: str, times: int = 1) -> None:
        self._until(lambda: self.shop.ran().count(step) >= times)

    def pid_of(self, step: str) -> int:
        path = self.home / f"{step}.pid"
        self._until(path.exists)
        return int(path.read_text())

    def kill_what_it_left(self, step: str) -> None:
        with suppress(ProcessLookupError):
            os.killpg(os.getpgid(self.pid_of(step)), signal.SIGKILL)

    def _answers(self) -> bool:
        try:
            Caller(self.ledger).get("/releases")
        except (NoNode, Troubled):
            return False
        return True

    def _until(self, so: object) -> None:
        assert callable(so)
        ends = time.monotonic() + _PATIENCE
        while not so():
            assert time.monotonic() < ends, (self.home / "up.log").read_text()
            time.sleep(0.05)


@contextmanager
def machine(shop: Shop) -> Iterator[Machine]:
    made = Machine(shop)
    made.up()
    try:
        yield made
    finally:
        assert made.node is not None
        made.node.terminate()
        made.node.wait(20)


def first_time(shop: Shop, step: str, does: str, then: str) -> None:
    """What the step does when it is run first, and what it does then."""
    here = shop.home
    shop.script(
        step,
        f"echo $$ > {here}/{step}.pid\n"
        f"if mkdir {here}/{step}.once 2>/dev/null; then\n{does}\nelse\n{then}\nfi",
    )


def is_gone(pid: int) -> bool:
    """It has ended; what is only not buried yet has no command line any more."""
    with suppress(OSError):
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    return True


def test_killed_during_what_may_be_repeated(shop: Shop) -> None:
    """Gate and verify are done again, what was left of them is ended, and nothing is shipped twice."""
    left = []
    for step in ("gate", "verify"):
        first_time(shop, step, "sleep 300", "echo fine")
    with machine(shop) as here:
        here.let_go()
        for step in ("gate", "verify"):
            here.has_begun(step)
            left.append(here.pid_of(step))
            here.kill()
            here.up()
        room = here.comes_to("done", "stopped", "rolled back", "stuck")
        assert room.release.state == "done", room.release.outcome
        assert shop.ran() == ["gate", "gate", "ship", "verify", "verify"]
        assert all(map(is_gone, left))
        assert ["is done again" in each for each in room.release.resumed] == [True, True]


def test_killed_during_a_ship_that_goes_on_by_itself(shop: Shop) -> None:
    """The new node waits for it, asks production, and does not ship twice."""
    ship = f'sleep 3; echo "$DETENTE_VERSION" > {shop.live}; echo printed to nobody'
    first_time(shop, "ship", ship, ship)
    shop.ships_within = "30s"
    with machine(shop) as here:
        here.let_go()
        here.has_begun("ship")
        here.kill()
        here.up()
        room = here.comes_to("done", "stopped", "rolled back", "stuck")
        assert room.release.state == "done", room.release.outcome
        assert shop.ran().count("ship") == 1
        assert shop.runs() == shop.new
        assert "production already has" in room.release.resumed[0]


def test_killed_together_with_its_ship(shop: Shop) -> None:
    """Production still has the old version, so it is shipped again, and that is said."""
    first_time(shop, "ship", "sleep 300", f'echo "$DETENTE_VERSION" > {shop.live}')
    with machine(shop) as here:
        here.let_go()
        here.has_begun("ship")
        here.kill()
        here.kill_what_it_left("ship")
        here.up()
        room = here.comes_to("done", "stopped", "rolled back", "stuck")
        assert room.release.state == "done", room.release.outcome
        assert shop.ran().count("ship") == 2
        assert "so it ships again" in room.release.resumed[0]


def test_killed_half_way_through_its_ship(shop: Shop) -> None:
    """Production has neither version: it goes back, and says so."""
    first_time(shop, "ship", f"echo half > {shop.live}; sleep 300", "exit 1")
    with machine(shop) as here:
        here.let_go()
        here.has_begun("ship")
        here._until(lambda: shop.runs() == "half")
        here.kill()
        here.kill_what_it_left("ship")
        here.up()
        room = here.comes_to("done", "stopped", "rolled back", "stuck")
        assert room.release.state == "rolled back", room.release.outcome
        assert shop.ran() == ["gate", "ship", "back"]
        assert shop.runs() == shop.old
        assert "production has half, neither" in room.release.outcome


def test_killed_during_the_way_back(shop: Shop) -> None:
    """It is back already, or is brought back now; either way the reason is not forgotten."""
    shop.script("verify", "echo the basket is empty; exit 1")
    first_time(shop, "back", "sleep 300", f'echo "$DETENTE_PREVIOUS" > {shop.live}')
    with machine(shop) as here:
        here.let_go()
        here.has_begun("back")
        here.kill()
        here.kill_what_it_left("back")
        here.up()
        room = here.comes_to("done", "stopped", "rolled back", "stuck")
        assert room.release.state == "rolled back"
        assert "the basket is empty" in room.release.outcome
        assert shop.runs() == shop.old


def test_killed_while_it_is_watched_and_while_somebody_looks_on(shop: Shop) -> None:
    """The watch begins anew; the terminal says that the node is away, and sees the end."""
    shop.beside = 'watch: {checks: {shop: {http: "http://127.0.0.1:9/", every: 10s}}}'
    shop.watch = "watch: {for: 3s, checks: [shop]}"
    with machine(shop) as here:
        here.asked_for()
        looking = subprocess.Popen(
            here.detente("releases", "run", "1"), cwd=here.home, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        here._until(lambda: here.room().release.has_begun("watch"))
        here.kill()
        here.up()
        said, _ = looking.communicate(timeout=_PATIENCE)
        assert looking.returncode == 0, said
        for part in (
            "✓ gate passed",
            "✓ verify passed",
            "! watch was interrupted",
            "✓ watch passed",
            "✓ done:",
        ):
            assert part in said, said
        assert shop.ran() == ["gate", "ship", "verify"]


def test_to_stop_looking_does_not_stop_it(shop: Shop) -> None:
    """Ctrl-C ends the looking, says so, and the release goes on."""
    shop.script("gate", f"while ! test -e {shop.home}/go; do sleep 0.05; done")
    with machine(shop) as here:
        here.asked_for()
        looking = subprocess.Popen(
            here.detente("releases", "run", "1"), cwd=here.home, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        here.has_begun("gate")
        looking.send_signal(signal.SIGINT)
        said, _ = looking.communicate(timeout=_PATIENCE)
        assert looking.returncode == 130, said
        assert "release 1 goes on" in said
        (shop.home / "go").touch()
        assert here.comes_to("done", "stopped").release.state == "done"


def test_a_node_told_to_stop_leaves_a_ship_alone(shop: Shop) -> None:
    """An orderly end in the middle of a ship does not tear it down."""
    first_time(shop, "ship", f'sleep 2; echo "$DETENTE_VERSION" > {shop.live}', "exit 1")
    with machine(shop) as here:
        here.let_go()
        here.has_begun("ship")
        assert here.node is not None
        here.node.terminate()
        here.node.wait(20)
        here.up()
        assert here.comes_to("done", "stopped", "rolled back").release.state == "done"
        assert shop.ran().count("ship") == 1


def test_bad_input_in_a_terminal_changes_nothing(shop: Shop) -> None:
    """A file with mistakes, a release that is not there, a service that nobody ships."""
    written, config = shop.home / "asked.yaml", shop.home / "detente.yaml"
    written.write_text("service: shop\ntitel: x\nstarts: 7\nkind: big\n")
    with machine(shop) as here:
        for words, says in (
            (("request", "--from", str(written)), "titel: unknown key; did you mean title?"),
            (("request", "--from", str(written)), "big"),
            (("request", "--from", "nosuch.yaml"), "there is no such file"),
            (("request", "shop", "--title", "x"), "--starts is missing"),
            (("request", "shop", "--title", "x", "--starts", "soon"), "“soon” is no moment"),
            (("request", "shop", "--title", "x", "--starts", "2300-01-01"), "more than ten years"),
            (("request", "shop", "--title", "x", "--starts", "0002-01-01"), "more than ten years"),
            (("request", "shop", "--title", "x", "--starts", "in 90000000h"), "starts: "),
            (
                ("request", "shap", "--title", "x", "--starts", "now"),
                "Nobody said how shap is shipped",
            ),
            (
                ("request", "shop", "--title", "x", "--starts", "now", "--touches", "cos"),
                "nothing is called cos",
            ),
            (
                ("request", "shop", "--title", "x", "--starts", "now", "--toggles", "b"),
                "no toggle is called b",
            ),
            (
                ("request", "shop", "--title", "x", "--starts", "now", "--version", "-x"),
                "is no commit",
            ),
            (
                ("request", "shop", "--title", "x", "--starts", "now", "--fixes", "9"),
                "there is no incident 9",
            ),
            (
                ("request", "shop", "--title", "x", "--starts", "now", "--lasts", "90d"),
                "at most 14 days",
            ),
            (("run", "7"), "There is no release 7"),
            (("follow", "7"), "There is no release 7"),
        ):
            done = CliRunner().invoke(root, ["releases", *words, "-c", str(config)])
            assert done.exit_code in (1, 2), (words, done.output)
            assert says in done.output, (words, done.output)
        written.write_text(
            "service: shop\ntitle: Fine\nstarts: in 2h\npeople: [Ann, Bob]\nplan: As always.\n"
        )
        asked = ["releases", "request", "--from", str(written), "-c", str(config)]
        assert "release 1 requested: Fine" in CliRunner().invoke(root, asked).output
        assert here.room().release.people == ("Ann", "Bob")


def test_the_feed_is_there(shop: Shop) -> None:
    """Over HTTP, as a calendar program asks for it."""
    import icalendar

    with machine(shop) as here:
        here.pull("request", "service:shop", title="Cheaper basket", starts="in 30d")

        async def ask() -> bytes:
            from detente.kernel.network import RealNetwork
            from detente.kernel.terminal.calling import _note

            note = _note(here.ledger)
            assert note is not None
            network = RealNetwork()
            try:
                reply = await network.call(
                    "GET", f"http://{note.host}:{note.port}/releases/calendar.ics"
                )
            finally:
                await network.close()
            assert dict(reply.headers)["Content-Type"].startswith("text/calendar")
            return reply.body

        def asked() -> list[icalendar.Event]:
            return icalendar.Calendar.from_ical(asyncio.run(ask())).walk("VEVENT")

        (before,) = asked()
        here.pull("change", ABOUT, starts="in 31d")
        (changed,) = asked()
        here.pull("withdraw", ABOUT, why="not needed")
        (gone,) = asked()
        assert before["uid"] == changed["uid"] == gone["uid"]
        assert [each["sequence"] for each in (before, changed, gone)] == [0, 1, 2]
        assert (changed.start - before.start).days == 1
        assert gone["status"] == "CANCELLED"
