"""Story two, the central point of failure, played on real processes in five acts.

An agency's three applications sign people on by a real CAS server, which its contractor runs. The
server is moved to a virtual machine one night and does not come up. Two applications do what most
do; the third was built to live without sign-on for a while. The director moves the server and pulls
the levers people would pull; the map, the warning, the suspicion and the story are Détente's own.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from detente.demo import signon
from detente.demo.actors import HOST
from detente.demo.stage import Absent, free_port
from detente.demo.story import Story
from detente.demo.telling import Teller
from detente.facts.incidents import Opened
from detente.kernel.clock import SystemClock, later, moment

APPLICATIONS = ("permits", "taxes", "records")
PEOPLE = 4
BRIDGES = 600.0
"""Seconds for which Permits serves whom it knew, while sign-on is away."""

_PASSWORD = "correct-horse"

_DECLARED = """\
# The demo's own configuration: what an agency and its contractor would write together.
name: Office for Permits and Taxes
ledger: {home}/detente.db

web:
  listen: {host}:{web}

teams:
  dev: {{title: The agency's developers, mail: [dev@agency.example]}}
  contractor: {{title: The contractor's operations, mail: [ops@contractor.example]}}

vendors:
  cas: {{title: Sign-on (CAS), contact: "the contractor's desk, extension 4711"}}

infrastructure:
  registry: {{title: Registry database}}
  registry-spare: {{title: Spare registry database}}
  mail: {{title: Mail relay}}

services:
  permits: {{title: Permits, needs: [cas, {{any_of: [registry, registry-spare]}}]}}
  taxes: {{title: Taxes, needs: [cas, {{any_of: [registry, registry-spare]}}]}}
  records: {{title: Records, needs: [cas, {{can_live_without: [mail]}}]}}

journeys:
  renew-a-permit: {{title: Renew a permit, earns: 900 EUR, needs: [permits]}}
  pay-taxes: {{title: Pay taxes, earns: 2400 EUR, needs: [taxes]}}
  order-a-record: {{title: Order a record, earns: 150 EUR, needs: [records]}}

watch:
  sheet: 5s
  checks:
    cas: {{http: "http://{host}:{cas}/alive", every: 1s, timeout: 800ms}}
    permits: {{http: "http://{host}:{permits}/health", every: 1s, timeout: 800ms, falls_after: 3}}
    taxes: {{http: "http://{host}:{taxes}/health", every: 1s, timeout: 800ms, falls_after: 3}}
    records: {{http: "http://{host}:{records}/health", every: 1s, timeout: 800ms, falls_after: 3}}

work:
  gateway: {host}:{gateway}
  routes:
    sign-on: {{vendor: cas, to: "http://{host}:{cas}", timeout: 1s, park: [], drill_at_most: 5m}}

incidents:
  closes_after: 4s

mail: {{server: "{host}:{smtp}", tls: none, from: "Détente <detente@agency.example>"}}
"""


class SignOnStory(Story):
    """The stage with everybody on it."""

    name = "sso"
    title = "The central point of failure"

    falls = 0  # journeys that fall with sign-on, as the map said beforehand
    suspect = "unknown"
    closed = False

    def __init__(self, home: Path, teller: Teller, *, web: int = 0, tempo: float = 1.0) -> None:
        super().__init__(home, teller, web=web, tempo=tempo)
        self.during: dict[str, Mapping[str, int]] = {name: {} for name in APPLICATIONS}
        self.doors: list[bool] = []

    @property
    def incident(self) -> str:
        """The incident of the day."""
        of_sign_on = [
            each.about
            for each in self.heard("incidents.opened")
            if isinstance(each.fact, Opened) and each.fact.of == "vendor:cas"
        ]
        return of_sign_on[0] if of_sign_on else "incident:0"

    async def set_stage(self) -> None:
        """Everybody enters: sign-on, mailbox, node, three applications, citizens."""
        self.ports = {name: free_port() for name in ("gateway", "cas", *APPLICATIONS)}
        await self._install_sign_on()
        await self.start_sign_on("basement")
        mailbox = await self.enter("mailbox", "mailbox", "--folder", self.home / "mail")
        self.ports["smtp"], self.ports["chat"] = mailbox.ports
        for name in APPLICATIONS:
            await self._open_application(name)
        await self.start_node(_DECLARED)
        await self.enter(
            "citizens", "citizens", "--user", f"ada:{_PASSWORD}", "--people", PEOPLE,
            *(part for name in APPLICATIONS
              for part in ("--application", f"{name}=http://{HOST}:{self.ports[name]}/")),
        )  # fmt: skip

    async def _install_sign_on(self) -> None:
        if not signon.is_ready():
            self.teller.happens("installing a real CAS server, once")
        try:
            await asyncio.to_thread(signon.install)
        except signon.NoSignOn as why:
            raise Absent(str(why)) from why
        (self.home / "basement").mkdir(exist_ok=True)
        database = self.home / "basement" / "cas.db"
        command = signon.command(
            "set-up", "--database", database, "--user", f"ada:{_PASSWORD}",
            "--service", rf"^http://{re.escape(HOST)}:\d+/$",
        )  # fmt: skip
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)

    async def start_sign_on(self, machine: str) -> None:
        """Start the server on one of the machines, with the database that is there, if one is."""
        database = self.home / machine / "cas.db"
        command = signon.command("run", "--database", database, "--port", self.ports["cas"])
        await self.enter_as("cas", command)

    async def _open_application(self, name: str) -> None:
        public = f"http://{HOST}:{self.ports['cas']}"
        bridges = name == "permits"
        asks = f"http://{HOST}:{self.ports['gateway']}/sign-on" if bridges else public
        await self.enter(
            name, "agency", "--name", name, "--cas", asks, "--public", public,
            "--port", self.ports[name], "--bridges", BRIDGES if bridges else 0,
        )  # fmt: skip

    async def visits(self) -> Mapping[str, Mapping[str, int]]:
        """How the citizens fared so far, by application."""
        port = self.actors["citizens"].ports[0]
        found: Mapping[str, Mapping[str, int]] = await self.line.get(f"http://{HOST}:{port}/stats")
        return found

    async def command(self, *words: str) -> str:
        """A command typed in a terminal, and what it said; again, if the node was just away."""
        config = str(self.home / "detente.yaml")
        typed = [sys.executable, "-m", "detente", *words, "--config", config]
        said = b""
        for _ in range(20):
            done = await asyncio.create_subprocess_exec(
                *typed, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
            )
            said, _ = await done.communicate()
            if done.returncode == 0:
                break
            await asyncio.sleep(0.5)
        return said.decode().strip()

    async def until_signed_on(self) -> None:
        """Until everybody has been at every application, and most twice."""
        for _ in range(120):
            fared = await self.visits()
            if all(each.get("signed on", 0) >= 2 * PEOPLE for each in fared.values()):
                return
            await asyncio.sleep(0.5)
        raise Absent("the citizens could not sign on; see the logs of cas and the applications")

    async def tell_visits(self) -> None:
        """What the citizens lived through, application by application."""
        for name, fared in (await self.visits()).items():
            told = ", ".join(f"{count} {how}" for how, count in sorted(fared.items()))
            self.teller.customers(f"{name}: {told or 'nobody came'}")

    async def acts(self) -> None:
        await _good_day(self)
        await _moved(self)
        await _nobody_can_sign_on(self)
        await _back_again(self)

    async def last_act(self) -> None:
        await _four_questions(self)


async def _good_day(story: SignOnStory) -> None:
    teller = story.teller
    teller.title(
        story.title,
        "An agency with three applications behind one sign-on server, which its contractor runs."
        " Infrastructure moves to virtual machines to save money.",
    )
    teller.plain()
    teller.plain(f"  Watch along:  {story.address}/dependencies")
    teller.act(1, "A good day. Citizens sign on by a real CAS server and go about their business.")
    await story.goes_on(4)
    await story.until_signed_on()
    await story.tell_visits()
    without = await story.ask("/dependencies/without/cas")
    story.falls = len(without["what_if"]["journeys"])
    teller.line("warn", f"The map says beforehand: {without['what_if']['sentence']}")


async def _moved(story: SignOnStory) -> None:
    story.teller.act(
        2, "The contractor moves sign-on to a virtual machine, and writes it down like any change."
    )
    story.teller.plain(f'  $ detente changes record "{_MOVE}" --touches cas')
    for line in (await story.command("changes", "record", _MOVE, "--touches", "cas")).splitlines():
        story.teller.plain(f"  {line}")
    story.teller.happens("the server is stopped in the basement and started on the new machine")
    await story.actors["cas"].leave()
    try:
        await story.start_sign_on("virtual-machine")
    except Absent as why:
        story.teller.happens(f"it does not come up: {str(why).partition('): ')[2] or why}")


async def _nobody_can_sign_on(story: SignOnStory) -> None:
    story.teller.act(
        3, "Nobody can sign on. Taxes and Records turn people away; Permits was built to go on with"
        " those it knew. Our own door asks no sign-on server."
    )  # fmt: skip
    before = await story.visits()
    await story.until("watch.went_down", 20, about="check:cas")
    await story.goes_on(1)
    await story.until("pager.told", 15, count=2, about=story.incident)
    await story.goes_on(8)
    after = await story.visits()
    story.during = {name: _since(before[name], after[name]) for name in APPLICATIONS}
    await story.tell_visits()
    story.doors = [await _opens(story) for _ in range(5)]
    number = story.incident.partition(":")[2]
    changed = await story.ask(f"/incidents/{number}/changed")
    first = changed["candidates"][0] if changed["candidates"] else None
    story.suspect = first["says"] if first and changed["known"] else "unknown"
    story.teller.line("warn", f"What changed? {changed['verdict']}")
    for reason in first["reasons"] if first else ():
        story.teller.plain(f"              {reason}")


async def _back_again(story: SignOnStory) -> None:
    story.teller.act(
        4, "Somebody looks where the first suspicion points: the database stayed in the basement."
    )
    story.teller.happens("the database is brought along, and the server started again")
    await asyncio.to_thread(
        shutil.copytree, story.home / "basement", story.home / "virtual-machine", dirs_exist_ok=True
    )
    await story.command("changes", "record", "brought the database along", "--touches", "cas")
    await story.start_sign_on("virtual-machine")
    story.closed = await story.until("incidents.closed", 40, about=story.incident)
    await story.goes_on(3)
    await story.tell_visits()


async def _four_questions(story: SignOnStory) -> None:
    story.teller.act(
        5, "The retrospective has four questions, and this time answers. The last one is tried out:"
        " the gateway plays a dead sign-on server, on purpose.",
    )  # fmt: skip
    incident, who = story.incident, "Ida from the agency"
    await story.pull("incidents.open_retrospective", incident, who)
    await story.pull("incidents.close_retrospective", incident, who)
    closed_early = bool(story.heard("incidents.retrospective_closed"))
    for section, answer in _ANSWERS.items():
        await story.pull("incidents.answer", incident, who, section=section, answer=answer)
    await story.pull(
        "incidents.take_on", incident, who, title="Rehearse living without sign-on",
        owner="Ida", due=_next_week(), closes_on="drill:sign-on",
    )  # fmt: skip
    before = await story.visits()
    await story.pull(
        "work.drill", "route:sign-on", who, minutes="0.15", how="refuse",
        reason="Do people go on without sign-on?",
    )  # fmt: skip
    await story.until("work.drill_ended", 30)
    drilled = _since(before["permits"], (await story.visits())["permits"])
    done = await story.until("incidents.action_done", 20)
    await story.pull("incidents.close_retrospective", incident, who)
    closed = await story.until("incidents.retrospective_closed", 10)
    await _five_acts(story)
    _promises(story, drilled, done=done, answered=closed and not closed_early)


async def _five_acts(story: SignOnStory) -> None:
    number = story.incident.partition(":")[2]
    told = await story.command("incidents", "story", number)
    story.teller.plain()
    for line in told.splitlines():
        story.teller.plain(f"  {line}")


def _promises(
    story: SignOnStory, drilled: Mapping[str, int], *, done: bool, answered: bool
) -> None:
    """What story two promised, and what came of it."""
    story.promise(
        "12", "the map knows beforehand what falls", f"{story.falls} of 3 journeys, said in act one",
        kept=story.falls == 3,
    )  # fmt: skip
    warned = [each for each in story.heard("dependencies.change_recorded") if each.fact.central]  # type: ignore[attr-defined]
    began = story.heard("incidents.opened", story.incident)
    early = bool(warned and began and warned[0].position < began[0].position)
    story.promise(
        "13",
        "a risky change is warned about",
        "before it broke" if early else "too late",
        kept=early,
    )
    story.promise(
        "14", "what changed is found", story.suspect, kept="moved sign-on" in story.suspect
    )
    known, turned = story.during["permits"], story.during["taxes"]
    away = known.get("turned away", 0) + known.get("no answer", 0)
    story.promise(
        "18", "Permits lives without sign-on",
        f"{known.get('known from before', 0)} visits served, {away} turned away;"
        f" Taxes turned {turned.get('turned away', 0)} away",
        kept=known.get("known from before", 0) > 0 and away == 0 and turned.get("turned away", 0) > 0,
    )  # fmt: skip
    story.promise(
        "18", "our own door opens", f"{sum(story.doors)} of {len(story.doors)} times",
        kept=all(story.doors),
    )  # fmt: skip
    story.promise(
        "15", "four answers, or it does not close", "closed with four" if answered else "not so",
        kept=answered,
    )  # fmt: skip
    bad = drilled.get("turned away", 0) + drilled.get("no answer", 0)
    story.promise(
        "16, 17", "the drill closes the action", f"{sum(drilled.values())} visits, {bad} turned away",
        kept=done and not bad,
    )  # fmt: skip
    story.promise(
        "4", "the incident ends by itself", "closed" if story.closed else "open", kept=story.closed
    )


def _next_week() -> str:
    return moment(later(SystemClock().now(), 7 * 86_400)).date().isoformat()


async def _opens(story: SignOnStory) -> bool:
    return "<h1" in await story.line.text(f"{story.address}/")


def _since(before: Mapping[str, int], after: Mapping[str, int]) -> Mapping[str, int]:
    return {
        how: count - before.get(how, 0)
        for how, count in after.items()
        if count - before.get(how, 0)
    }


_MOVE = "moved sign-on to a virtual machine"

_ANSWERS = {
    "happened": "The sign-on server was moved to a virtual machine and did not come up.",
    "wrong": "Its database was left behind, and nobody tried the move out before.",
    "again": "Every move of it can end so. We rehearse moves of central points from now on.",
    "then": "Permits goes on with people it knows for ten minutes. Taxes and Records will follow.",
}
