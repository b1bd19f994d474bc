"""Where a release touches the world: programs, git, acceptance suites, levers of other slices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from detente.facts.releases import Began
from detente.kernel import masking
from detente.kernel.clock import NS, Instant, Seconds
from detente.kernel.fact import Fact, Subject, plain
from detente.kernel.forms import BadForm, fill
from detente.kernel.node import Node
from detente.kernel.slice import Asked, NotFound, Pull, Refused
from detente.releases import queries
from detente.releases.decisions import Release
from detente.releases.engine.processes import Ended, Running
from detente.releases.settings import Command
from detente.releases.settings import Shipped as Declared

_GIT_TIMEOUT: Seconds = 30.0
_LAST_LINES = 300  # signs of what a program printed that go into a sentence


class _Accepted(msgspec.Struct):
    """What the acceptance slice answers, as far as it matters here."""

    passed: bool
    says: str = ""
    broken: str = ""


class Hands:
    """Runs programs for one node, and knows what they print meanwhile."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._running: dict[Subject, Running] = {}

    def tail(self, about: Subject) -> tuple[str, str]:
        """The program that runs for that release now, and the last it printed."""
        running = self._running.get(about)
        if running is None:
            return "", ""
        return running.title, self.discreet(running.tail().encode()).decode()

    def discreet(self, printed: bytes) -> bytes:
        """Without what looks like a secret: everybody reads it."""
        return self.masked(printed.decode("utf-8", "replace")).encode()

    def masked(self, said: str) -> str:
        """The same of a text."""
        return masking.printed(said, self.node.revealed())

    @property
    def _withheld(self) -> frozenset[str]:
        """The node's own secrets in its environment, which are nobody else's."""
        return frozenset(each.env for each in self.node.secrets if each.env is not None)

    async def run(
        self,
        release: Release,
        declared: Declared,
        command: Command,
        *,
        mark: str,
        left_alone: bool = False,
    ) -> Ended:
        """Run a program of the release's service. What it printed last says why it failed."""
        running = self._running[release.about] = Running(command.run)
        try:
            ended = await running.run(
                cwd=_folder(declared),
                environment=_told(release),
                mark=mark,
                timeout=command.timeout,
                left_alone=left_alone,
                withheld=self._withheld,
            )
        finally:
            self._running.pop(release.about, None)
        if ended.well:
            return ended
        return msgspec.structs.replace(ended, why=self._with_last_words(ended))

    def _with_last_words(self, ended: Ended) -> str:
        """Why, with the last line that it printed."""
        last = self.last_line(ended)
        return f"{ended.why}: {last[-_LAST_LINES:]}" if last else ended.why

    def last_line(self, ended: Ended) -> str:
        """The last that it printed, masked with all that stands around it."""
        lines = [each.strip() for each in self.masked(ended.words).splitlines()]
        return next((each for each in reversed(lines) if each), "")

    async def version(self, release: Release, declared: Declared) -> str | None:
        """The version that production has now; None when nobody can tell."""
        if declared.version is None:
            return None
        mark = f"{release.about}-version"
        ended = await self.run(release, declared, declared.version, mark=mark)
        said = ended.words.strip().splitlines()
        return said[0].strip() if ended.well and said else None

    # -- git

    async def begin(self, release: Release, declared: Declared) -> Began:
        """What will be shipped, instead of what, and when the oldest of it was committed."""
        before = await self.version(release, declared)
        if before is None:
            before = queries.last_version(self.node.rows, release.service)
        version, committed, commits = await self._from_git(release, declared, before)
        if not version:
            raise Refused(
                "nobody says which version: name one with `--version`, or say under"
                " releases.services where the repository is"
            )
        return Began(
            about=release.about,
            version=version,
            before=before,
            committed=committed,
            service=release.service,
            kind=release.kind,
            fixes=release.fixes,
            commits=commits,
        )

    async def _from_git(
        self, release: Release, declared: Declared, before: str
    ) -> tuple[str, Instant | None, int]:
        if declared.repository is None:
            return release.version, None, 0
        folder = _folder(declared)
        if folder is None or not folder.is_dir():
            raise Refused(f"the repository {declared.repository} is not there")
        wanted = release.version or "HEAD"
        found = await self._git(release, declared, "rev-parse", "--verify", f"{wanted}^{{commit}}")
        if not found.well:
            if release.version and not (folder / ".git").exists():
                return release.version, None, 0
            raise Refused(f"git knows no version {wanted} in {declared.repository}")
        commit = found.words.strip()
        times = await self._committed(release, declared, before, commit)
        return release.version or commit, (min(times) * NS if times else None), len(times)

    async def _committed(
        self, release: Release, declared: Declared, before: str, commit: str
    ) -> list[int]:
        """When each commit was made that production does not have yet; of one at least."""
        if before and not before.startswith("-"):
            new = await self._git(
                release, declared, "log", "--format=%ct", f"{before}..{commit}", "--"
            )
            if new.well and new.words.split():
                return [int(each) for each in new.words.split()]
        last = await self._git(release, declared, "log", "-1", "--format=%ct", commit, "--")
        return [int(each) for each in last.words.split()] if last.well else []

    async def _git(self, release: Release, declared: Declared, *words: str) -> Ended:
        running = Running(("git", *words))
        return await running.run(
            cwd=_folder(declared),
            environment={"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
            mark=f"{release.about}-git",
            timeout=_GIT_TIMEOUT,
            withheld=self._withheld,
        )

    # -- other slices, by what their cards offer

    async def accept(
        self, release: Release, suite: str, *, place: str, run: str
    ) -> tuple[Ended, str]:
        """Run an acceptance suite. The same `run` asked again answers with what was recorded."""
        body = msgspec.json.encode(
            {
                "suite": suite,
                "place": place,
                "release": release.about,
                "version": release.version,
                "run": run,
            }
        )
        try:
            said = await self._asked("POST", "/acceptance/runs", body)
        except (NotFound, Refused, BadForm) as wrong:
            return Ended(why=str(wrong), printed=b""), ""
        answer = msgspec.json.decode(said, type=_Accepted)
        says = f"{suite}: {answer.says}" if answer.says else suite
        why = "" if answer.passed else answer.broken or answer.says or "it did not pass"
        return Ended(why=why, printed=b""), says

    async def _asked(self, method: str, path: str, body: bytes) -> bytes:
        """What another slice's endpoint answers."""
        for endpoint in (each for card in self.node.cards for each in card.endpoints):
            if (endpoint.method, endpoint.path) == (method, path):
                headers = {"content-type": "application/json"}
                asked = Asked(
                    method=method, path={}, headers=headers, body=body, by="detente:releases"
                )
                return (await endpoint.answer(self.node, asked)).body
        raise NotFound("acceptance suites cannot be run here: nothing answers at /acceptance/runs")

    def pull(self, name: str, about: Subject, why: str) -> Sequence[Fact]:
        """What another slice's lever decides. Raises Refused."""
        for lever in (each for card in self.node.cards for each in card.levers):
            if lever.name == name:
                fields = lever.form.__struct_fields__
                try:
                    form = fill(lever.form, {"why": why[:400]} if "why" in fields else {})
                    pull = Pull(
                        about=about, by="detente:releases", at=self.node.clock.now(), form=form
                    )
                    return lever.decide(self.node, pull)
                except (NotFound, BadForm) as wrong:
                    raise Refused(str(wrong)) from wrong
        raise Refused(f"nothing here switches toggles: there is no lever {name}")


def _folder(declared: Declared) -> Path | None:
    return Path(declared.repository).expanduser() if declared.repository is not None else None


def _told(release: Release) -> dict[str, str]:
    """What a release's programs find in their environment."""
    return {
        "DETENTE_RELEASE": release.number,
        "DETENTE_SERVICE": plain(release.service),
        "DETENTE_VERSION": release.version,
        "DETENTE_PREVIOUS": release.before,
        "DETENTE_KIND": release.kind,
    }
