"""Story two, the central point of failure, played on real processes in five acts.

An agency's three applications sign people on by a real CAS server, which its contractor runs. The
server is moved to a virtual machine one night and does not come up. Two applications do what most
do; the third was built to live without sign-on for a while. The director moves the server and pulls
the levers people would pull; the map, the warning, the suspicion and the story are Détente's own.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Mapping

from detente.demo import signon
from detente.demo.actors import HOST
from detente.demo.stage import Absent, free_port
from detente.demo.story import Story

APPLICATIONS = ("permits", "taxes", "records")
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
    permits: {{http: "http://{host}:{permits}/health", every: 1s, timeout: 800ms}}
    taxes: {{http: "http://{host}:{taxes}/health", every: 1s, timeout: 800ms}}
    records: {{http: "http://{host}:{records}/health", every: 1s, timeout: 800ms}}

work:
  gateway: {host}:{gateway}
  routes:
    sign-on: {{vendor: cas, to: "http://{host}:{cas}", timeout: 1s, park: []}}

incidents:
  closes_after: 4s

pager:
  mail: {{server: "{host}:{smtp}", tls: none, from: "Détente <detente@agency.example>"}}
"""


class SignOnStory(Story):
    """The stage with everybody on it."""

    name = "sso"
    title = "The central point of failure"

    async def set_stage(self) -> None:
        """Everybody enters: sign-on, mailbox, node, three applications, citizens."""
        self.ports = {name: free_port() for name in ("gateway", "cas", *APPLICATIONS)}
        await self._install_sign_on()
        await self.start_sign_on("basement")
        mailbox = await self.enter("mailbox", "mailbox", "--folder", self.home / "mail")
        self.ports["smtp"], self.ports["chat"] = mailbox.ports
        await self.start_node(_DECLARED)
        for name in APPLICATIONS:
            await self._open_application(name)
        await self.enter(
            "citizens", "citizens", "--user", f"ada:{_PASSWORD}",
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
        """A command typed in a terminal, and what it said."""
        typed = [sys.executable, "-m", "detente", *words, "--config", self.home / "detente.yaml"]
        done = await asyncio.to_thread(
            subprocess.run, typed, capture_output=True, text=True, check=False
        )
        return str(done.stdout + done.stderr)
