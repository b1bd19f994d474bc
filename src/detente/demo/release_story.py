"""Story three, the release, played on real processes in five acts.

A telecom sells numbers. First a release as it was: shipped by hand at night, clicked through, taken
back at one in the morning, and nobody can say why. Then as it should be: one person, one command, the
feature dark behind a toggle that flips back by itself; and in the end an emergency in the middle of a
freeze. A real git repository, real processes, real acceptance tests.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from detente.demo import telecom
from detente.demo.actors import HOST
from detente.demo.stage import Absent, Actor, free_port, program
from detente.demo.story import Story
from detente.demo.telling import Teller
from detente.facts.acceptance import Ran
from detente.facts.releases import Done, RolledBack
from detente.facts.toggles import FlippedBack
from detente.kernel.clock import SystemClock, lasting, moment, seconds_between

TOGGLE = "bring-your-number"
_ENDS = ("done", "rolled_back", "stopped", "stuck")
MACHINES = ("staging", "production")

_DECLARED = """\
# The demo's own configuration: what a telecom would write for one of its thousand systems.
name: Far Call Telecom
ledger: {home}/detente.db

web:
  listen: {host}:{web}

teams:
  dev: {{title: Development, mail: [dev@farcall.example]}}
  ops: {{title: Operations, mail: [ops@farcall.example]}}
  business: {{title: Business analysts, mail: [business@farcall.example]}}

services:
  orders: {{title: Orders, teams: [dev, ops]}}

journeys:
  order-a-number: {{title: Order a number, earns: 1800 EUR, needs: [orders]}}

watch:
  sheet: 2s
  checks:
    orders: {{http: "http://{host}:{production}/health", every: 1s, timeout: 800ms}}

toggles:
  token: {{file: {home}/programs.token}}
  toggles:
    {toggle}:
      title: Bring your number
      owner: dev
      for: orders
      guard: {{checks: [orders], for: 20s}}
    orders-a-minute:
      title: Orders a minute
      owner: ops
      for: orders
      default: 600
      at_least: 60
      at_most: 6000

scoreboard:
  targets: {{deliveries: 3, uptime: 99.9%}}

acceptance:
  suites:
    orders:
      of: orders
      path: {home}/repository/tests/acceptance
      base_url:
        ci: http://{host}:{staging}
        gate: http://{host}:{staging}
        production: http://{host}:{production}
      every: 8s
  accounts:
    tester: {{user: test.tess, password: {{file: {home}/tester.secret}}}}

releases:
  billing_code: "[A-Z]{{2}}-[0-9]{{4}}"
  must_know: [business]
  open_incidents: warn
{freezes}  services:
    orders:
      repository: {home}/repository
      gate:
        - {{run: [{python}, ship.py, {home}/staging, "http://{host}:{staging}"], timeout: 30s}}
        - orders
      ship: {{run: [{python}, ship.py, {home}/production, "http://{host}:{production}"], timeout: 30s}}
      back: {{run: [{python}, ship.py, {home}/production, "http://{host}:{production}", --back], timeout: 30s}}
      version: {{run: [{python}, ship.py, {home}/production, "http://{host}:{production}", --which]}}
      verify: [orders]
      watch: {{for: 4s, checks: [orders]}}

incidents:
  closes_after: 3s

mail: {{server: "{host}:{smtp}", tls: none, from: "Détente <detente@farcall.example>"}}
"""

_FREEZE = """\
  freezes:
    - title: Quarter's end
      reason: the books are being closed
      owner: Finance
      from: "{starts}"
      until: "{until}"
"""


class ReleaseStory(Story):
    """The stage with everybody on it."""

    name = "release"
    title = "The release"

    def __init__(self, home: Path, teller: Teller, *, web: int = 0, tempo: float = 1.0) -> None:
        super().__init__(home, teller, web=web, tempo=tempo)
        self.as_it_was: Mapping[str, int] = {}
        self.with_guard: Mapping[str, int] = {}
        self.emergency_took = 0.0

    @property
    def repository(self) -> Path:
        return self.home / "repository"

    @property
    def token(self) -> Path:
        """What programs show to the node."""
        return self.home / "detente.db.token"

    @property
    def lesser_token(self) -> Path:
        """What programs show that only ask for toggles, and tell what they asked for."""
        return self.home / "programs.token"

    async def set_stage(self) -> None:
        """Everybody enters: two machines with version one, mailbox, node, subscribers."""
        if shutil.which("git") is None:
            raise Absent("git is not installed, and this story releases out of a repository")
        self.ports = {name: free_port() for name in MACHINES}
        self.ports["web"] = free_port(self._wanted)
        for token in (self.token, self.lesser_token):  # machines are there before the node is
            token.write_text(secrets.token_urlsafe(32))
            token.chmod(0o600)
        await asyncio.to_thread(telecom.make, self.repository)
        (self.home / "tester.secret").write_text("not needed here, and never shown")
        (self.home / "pool").write_text("55000000")
        mailbox = await self.enter("mailbox", "mailbox", "--folder", self.home / "mail")
        self.ports["smtp"], self.ports["chat"] = mailbox.ports
        for name in MACHINES:
            await self._set_up(name)
        await self.start_node(_DECLARED, freezes="", python=sys.executable, toggle=TOGGLE)
        await self.enter(
            "subscribers", "subscribers", "--shop", f"http://{HOST}:{self.ports['production']}"
        )

    async def _set_up(self, name: str) -> None:
        """A machine that runs version one, and knows where toggles come from."""
        folder = self.home / name
        await self._archive("v1", folder / "releases" / "v1")
        (folder / "current").symlink_to(folder / "releases" / "v1")
        environment = {
            "TELECOM_POOL": str(self.home / "pool"),
            "TOGGLES_KEPT": str(folder / "toggles.json"),
            "DETENTE_ADDRESS": self.address,
            "DETENTE_TOKEN": self.lesser_token.read_text(),
        }
        machine = Actor(
            name,
            program("detente.demo.actors.host", "--folder", folder, "--port", self.ports[name]),
            self.home / f"{name}.log",
            environment=environment,
        )
        self.actors[name] = machine
        await machine.enter()

    async def _archive(self, version: str, place: Path) -> None:
        place.mkdir(parents=True)
        packed = self.home / f"{version}.tar"
        await self.run("git", "archive", "--output", str(packed), version, cwd=self.repository)
        await self.run("tar", "-x", "-f", str(packed), "-C", str(place))

    async def run(
        self, *words: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """A program in a terminal: its exit code and what it said."""
        done = await asyncio.create_subprocess_exec(
            *words,
            cwd=cwd or self.home,
            env={**os.environ, "NO_COLOR": "1", **(environment or {})},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await done.communicate()
        return done.returncode or 0, said.decode().strip()

    async def detente(self, *words: str) -> tuple[int, str]:
        """A command of ours, typed in a terminal, shown as it is."""
        self.teller.plain(f"  $ detente {' '.join(_quoted(each) for each in words)}")
        config = str(self.home / "detente.yaml")
        code, said = await self.run(sys.executable, "-m", "detente", *words, "--config", config)
        for line in said.splitlines():
            self.teller.plain(f"  {line}")
        return code, said

    async def by_hand(self, version: str) -> None:
        """Shipped as it used to be: somebody runs the script at night."""
        url = f"http://{HOST}:{self.ports['production']}"
        ship = [sys.executable, "ship.py", str(self.home / "production"), url]
        await self.run(*ship, cwd=self.repository, environment={"DETENTE_VERSION": version})

    async def fared(self) -> Mapping[str, int]:
        """How the subscribers fared so far."""
        port = self.actors["subscribers"].ports[0]
        found: Mapping[str, int] = await self.line.get(f"http://{HOST}:{port}/stats")
        return found

    async def release(self, version: str, title: str, *more: str) -> str:
        """Ask for a release and let it go; answers with its number."""
        now, asked = moment(SystemClock().now()), len(self.heard("releases.requested"))
        await self.insist(
            lambda: len(self.heard("releases.requested")) > asked,
            "releases", "request", "orders", "--title", title, "--version", version,
            "--starts", f"{now + timedelta(minutes=1):%Y-%m-%d %H:%M}", *more,
        )  # fmt: skip
        return self.heard("releases.requested")[-1].about.partition(":")[2]

    async def switch(self, *words: str) -> None:
        """Somebody switches the toggle on."""
        before = len(self.heard("toggles.switched_on"))
        await self.insist(
            lambda: len(self.heard("toggles.switched_on")) > before, "toggles", *words
        )

    async def insist(self, has_happened: Callable[[], bool], *words: str) -> int:
        """As people do when the node was just away: look whether it happened, and if not, again."""
        for _ in range(20):
            code, _said = await self.detente(*words)
            for _ in range(10):
                if has_happened():
                    return code
                await asyncio.sleep(0.1)
            if code == 0:
                return code
            await asyncio.sleep(1)
        raise Absent(f"`detente {' '.join(words)}` did not work out; see {self.home / 'node.log'}")

    async def run_in_ci(self, *, again: int = 3) -> None:
        """The same tests while it is built: an ordinary pytest, which tells the node."""
        _, said = await self.run(
            sys.executable, "-m", "pytest", "-q", "tests/acceptance", "--detente", self.address,
            "--detente-base-url", f"http://{HOST}:{self.ports['staging']}",
            cwd=self.repository,
            environment={
                "DETENTE_TOKEN": self.token.read_text(),
                "DETENTE_ACCOUNT_TESTER_USER": "test.tess",
                "DETENTE_ACCOUNT_TESTER_PASSWORD": "not needed here",
            },
        )  # fmt: skip
        last = said.splitlines()[-1] if said else "it said nothing"
        self.teller.happens(f"CI runs the acceptance tests with pytest: {last}")
        await asyncio.sleep(0.5)
        ran = [each.fact for each in self.heard("acceptance.ran") if isinstance(each.fact, Ran)]
        if again and not any(each.place == "ci" for each in ran):
            await self.run_in_ci(again=again - 1)  # the node was away: it hears of both runs now

    async def let_go(self, number: str, version: str, *more: str) -> None:
        release = f"release:{number}"
        await self.insist(
            lambda: bool(self.heard("releases.run_asked", release)),
            "releases",
            "run",
            number,
            *more,
        )
        for _ in range(30):
            if any(self.heard(f"releases.{end}", release) for end in _ENDS):
                break
            await asyncio.sleep(1)  # the node was away: look on again
            await self.detente("releases", "follow", number)

    async def declare_freeze(self) -> None:
        """Finance declares a freeze: a few lines in detente.yaml, and the node is started again."""
        now = moment(SystemClock().now())
        freeze = _FREEZE.format(
            starts=f"{now - timedelta(hours=1):%Y-%m-%d %H:%M}",
            until=f"{now + timedelta(days=3):%Y-%m-%d %H:%M}",
        )
        config = self.home / "detente.yaml"
        text = config.read_text("utf-8")
        config.write_text(
            text.replace(
                "  services:\n    orders:\n      repo",
                f"{freeze}  services:\n    orders:\n      repo",
            ),
            "utf-8",
        )
        async with self.restarting:
            await self.actors["node"].leave()
            await self.actors["node"].enter()

    async def acts(self) -> None:
        await _as_it_was(self)
        await _dark(self)
        await _switched_on(self)
        await _mended(self)

    async def last_act(self) -> None:
        await _emergency(self)


async def _as_it_was(story: ReleaseStory) -> None:
    teller = story.teller
    teller.title(
        story.title,
        "Far Call Telecom sells numbers. A change request was lodged weeks ago; tonight everybody is"
        " back in the office.",
    )
    teller.plain()
    teller.plain(f"  Watch along:  {story.address}/releases")
    teller.act(
        1, "The night as it was. At 21:00 somebody runs the script, features are clicked through by"
        " hand. At 01:00 it is taken back. In the morning nobody can say why.",
    )  # fmt: skip
    await story.goes_on(3)
    await asyncio.to_thread(telecom.commit, story.repository, "v2-at-once")
    before = await story.fared()
    teller.happens("21:00, v2 is shipped by hand, its discount on for everybody")
    await story.by_hand("v2-at-once")
    await story.goes_on(7)
    teller.happens("01:00, v1 again; everybody shakes hands")
    await story.by_hand("v1")
    story.as_it_was = _since(before, await story.fared())
    wrong = story.as_it_was.get("error", 0)
    teller.customers(f"{wrong} of {sum(story.as_it_was.values())} orders failed")
    teller.line("plain", "and the ledger holds no release, no test and no reason")


async def _dark(story: ReleaseStory) -> None:
    story.teller.act(
        2, "As it should be. The same feature, dark behind a toggle. One person asks, whoever must"
        " know is told once, and one command does the rest."
    )  # fmt: skip
    await asyncio.to_thread(telecom.commit, story.repository, "v2")
    await story.run_in_ci()
    number = await story.release(
        "v2", "Bring your number", "--lasts", "1h", "--people", "Dana", "--billing-code", "TC-2012",
        "--toggles", TOGGLE,
    )  # fmt: skip
    await story.until("releases.told", 15, count=3)
    await story.let_go(number, "v2")


async def _switched_on(story: ReleaseStory) -> None:
    story.teller.act(
        3, "At noon the business wants it, and switches it on. It is as broken as it was that night;"
        " this time somebody watches, and it is not a person."
    )  # fmt: skip
    before = await story.fared()
    await story.switch("percentage", TOGGLE, "--percent", "50", "--why", "the campaign")
    await story.until("toggles.flipped_back", 25)
    await story.goes_on(1)
    story.with_guard = _since(before, await story.fared())
    wrong = story.with_guard.get("error", 0)
    story.teller.customers(f"{wrong} of {sum(story.with_guard.values())} orders failed")


async def _mended(story: ReleaseStory) -> None:
    story.teller.act(
        4, "The discount is mended, shipped the same way in the afternoon, and switched on again."
    )
    await asyncio.to_thread(telecom.commit, story.repository, "v3")
    number = await story.release(
        "v3", "The discount for every tariff", "--people", "Dana", "--billing-code", "TC-2012",
        "--toggles", TOGGLE,
    )  # fmt: skip
    await story.let_go(number, "v3")
    await story.switch("on", TOGGLE, "--why", "mended")
    await story.until("toggles.guard_passed", 40)


async def _emergency(story: ReleaseStory) -> None:
    story.teller.act(
        5, "The quarter's end: Finance declares a freeze. And now the pool of numbers is gone, and"
        " nobody can order anything."
    )  # fmt: skip
    await story.declare_freeze()
    story.teller.happens("the share with the pool of numbers is gone")
    (story.home / "pool").unlink()
    await story.until("incidents.opened", 20)
    began = SystemClock().now()
    incident = story.heard("incidents.opened")[-1].about
    await asyncio.to_thread(telecom.commit, story.repository, "v4")
    number = await story.release(
        "v4", "Numbers from the spare range", "--kind", "emergency", "--people", "Dana",
        "--billing-code", "TC-9999", "--fixes", incident,
    )  # fmt: skip
    await story.let_go(number, "v4", "--through", "nobody can order a number")
    story.emergency_took = seconds_between(began, SystemClock().now())
    await story.until("incidents.closed", 20, about=incident)
    await story.until("releases.review_opened", 5)
    await story.detente("releases", "morning")
    await story.detente("scoreboard", "delivery")
    await _promises(story)


async def _promises(story: ReleaseStory) -> None:
    """What story three promised, and what came of it."""
    told = [each.fact.team for each in story.heard("releases.told")]  # type: ignore[attr-defined]
    once = len(told) == 3 * len(story.heard("releases.requested"))
    story.promise("19", "whoever must know is told, once", f"{len(told)} mails", kept=once)
    stayed = [
        each.fact.version for each in story.heard("releases.done") if isinstance(each.fact, Done)
    ]
    story.promise(
        "20", "one command ships, and it stays", ", ".join(stayed) or "none",
        kept=stayed == ["v2", "v3", "v4"],
    )  # fmt: skip
    _promise_of_the_toggle(story)
    _promise_of_the_tests(story)
    reviews = len(story.heard("releases.review_opened"))
    story.promise(
        "24", "an emergency passes the freeze, and is reviewed",
        f"{lasting(story.emergency_took)} from incident to done, {reviews} review open",
        kept=story.emergency_took < 90 and reviews > 0,
    )  # fmt: skip
    delivery = await story.ask("/scoreboard/delivery")
    known = {
        each["name"]: each["value"] for each in (*delivery["throughput"], *delivery["instability"])
    }
    story.promise(
        "25", "the five metrics, by cause",
        f"fail rate {known['Change fail rate']}, lead time {known['Change lead time']}",
        kept=len(delivery["deployments"]) == 3 and "not known" not in known["Change fail rate"],
    )  # fmt: skip
    board = await story.ask("/scoreboard")
    story.promise(
        "26", "features and uptime on one page", f"{len(board['parts'])} sums in one currency",
        kept=len(board["parts"]) == 5,
    )  # fmt: skip


def _promise_of_the_toggle(story: ReleaseStory) -> None:
    flips = [each.fact for each in story.heard("toggles.flipped_back")]
    why = flips[0].why if flips and isinstance(flips[0], FlippedBack) else "it did not flip back"
    guarded, wild = story.with_guard.get("error", 0), story.as_it_was.get("error", 0)
    story.promise(
        "22", "the guard flips it back by itself",
        f"{guarded} orders failed, {wild} on the night as it was",
        kept=bool(flips) and guarded < wild,
    )  # fmt: skip
    explained = any(each.isdigit() for each in why)
    story.promise("21", "and says why in numbers", why, kept=bool(flips) and explained)
    back = [
        each for each in story.heard("releases.rolled_back") if isinstance(each.fact, RolledBack)
    ]
    story.promise("21", "toggle first, release second", f"{len(back)} rolled back", kept=not back)


def _promise_of_the_tests(story: ReleaseStory) -> None:
    ran = [each.fact for each in story.heard("acceptance.ran") if isinstance(each.fact, Ran)]
    tests = {each.about for each in ran}
    everywhere = all(
        {each.place for each in ran if each.about == test and each.outcome == "passed"}
        == {"ci", "gate", "production"}
        for test in tests
    )
    hashes = all(len({each.sha256 for each in ran if each.about == test}) == 1 for test in tests)
    browser = "in a real browser" if shutil.which("chromium") else "over HTTP, for want of Chromium"
    story.promise(
        "23", "one definition, three places", f"{len(tests)} tests in CI, gate, production; {browser}",
        kept=len(tests) == 2 and everywhere and hashes,
    )  # fmt: skip


def _since(before: Mapping[str, int], after: Mapping[str, int]) -> Mapping[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items()}


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word
