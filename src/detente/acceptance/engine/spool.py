"""How do results get to the node, when it may be away?

Each run of the tests writes one file, a line for each result as soon as there is one, and the file
goes when the node has taken it. What an earlier run could not deliver goes out with the next. The
node knows results by run and test, so sending twice counts once. Nothing but the standard library:
this runs inside other people's pytest.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO
from urllib.parse import urlsplit

from detente.kernel.clock import Clock, SystemClock

_PATIENCE = 10.0
_AT_ONCE, _BYTES = 200, 1_000_000  # results and bytes in one request; the node takes twice as many
Verdict = Literal["passed", "failed", "skipped"]


class Outcome(NamedTuple):
    """One test, run once."""

    test: str
    of: str
    sha256: str
    outcome: str
    took: float = 0.0
    reason: str = ""

    def after(self, outcome: str, took: float, reason: str) -> Outcome:
        """With what one more of its phases said: the worst counts, and the first reason for it."""
        worst = max(self.outcome, outcome, key=_BADNESS.index)
        why = reason if worst != self.outcome else self.reason
        return self._replace(outcome=worst, took=self.took + took, reason=why)


_BADNESS = ("passed", "skipped", "failed")


class Spool:
    """The results of this run, and those of earlier ones that no node has yet."""

    def __init__(
        self, folder: Path, address: str, head: dict[str, str], token: str, clock: Clock
    ) -> None:
        self._folder = folder
        self._address = address.rstrip("/")
        self._head = head
        self._token = token
        self._clock = clock
        self._file: TextIO | None = None

    @classmethod
    def begun(cls, root: Path, address: str, place: str) -> Spool:
        """The spool of this run. Its name is the build's own where the build says so."""
        environ = os.environ
        head = {
            "run": environ.get("DETENTE_RUN") or secrets.token_hex(8),
            "place": place,
            "version": _version(root),
            "release": environ.get("DETENTE_RELEASE", ""),
        }
        folder = Path(environ.get("DETENTE_SPOOL") or root / ".detente" / "results")
        return cls(folder, address, head, environ.get("DETENTE_TOKEN", ""), SystemClock())

    def keep(self, outcome: Outcome) -> None:
        """On disk before anything else: a build that is killed has still told what it saw."""
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = f"{self._clock.now()}-{secrets.token_hex(4)}.jsonl"
            self._file = (self._folder / name).open("x", encoding="utf-8")
            self._write(self._head)
        self._write({**outcome._asdict(), "ran_at": self._clock.now()})

    def _write(self, line: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def send_everything(self) -> Iterator[str]:
        """Send what is there, oldest first; yields what people should know of it."""
        if self._file is not None:
            self._file.close()
        sent, files = 0, sorted(self._folder.glob("*.jsonl")) if self._folder.is_dir() else []
        for index, file in enumerate(files):
            try:
                sent += self._send(file)
            except Refused as why:
                file.rename(file.with_suffix(".refused"))
                yield f"the node refuses {file.with_suffix('.refused')}: {why}"
            except Away as why:
                left = len(files) - index
                kept = "results are" if left == 1 else f"results of {left} runs are"
                yield f"{why}. The {kept} kept in {self._folder} and sent with the next run."
                return
        if sent:
            yield f"{sent} result{'' if sent == 1 else 's'} told to {self._address}"

    def _send(self, file: Path) -> int:
        """Deliver one file. Another run may have just done so. Raises Away, Refused."""
        lines = list(_lines(file))
        head, results = (lines[0], lines[1:]) if lines else ({}, [])
        for some in batches(results):
            self._post({**head, "results": some})
        file.unlink(missing_ok=True)
        return len(results)

    def _post(self, body: dict[str, Any]) -> None:
        status, answer = self._ask(json.dumps(body).encode())
        if status in (400, 413):
            raise Refused(answer)
        if status == 403:
            raise Away(
                "the node wants its token: put what stands in <ledger>.token into DETENTE_TOKEN"
            )
        if status != 200:
            raise Away(f"{self._address} answered HTTP {status} {answer}".rstrip())

    def _ask(self, body: bytes) -> tuple[int, str]:
        where = urlsplit(self._address)
        if where.scheme not in ("http", "https") or not where.hostname:
            raise Away(f"{self._address} is no address such as http://127.0.0.1:3383")
        secure = where.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(where.hostname, where.port, timeout=_PATIENCE)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        try:
            connection.request("POST", f"{where.path}/acceptance/results", body, headers)
            answer = connection.getresponse()
            return answer.status, _error(answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise Away(f"no node answers at {self._address} ({error})") from None
        finally:
            connection.close()


class Away(Exception):
    """The node cannot be told just now; the message says why."""


class Refused(Exception):
    """The node does not understand these results and never will; the message is what it says."""


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """What was written whole. A build that was killed may have left half a line at the end."""
    try:
        written = file.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except FileNotFoundError:
        return
    for line in written:
        try:
            yield json.loads(line)
        except ValueError:
            return


def batches(results: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """As many at once as the node takes."""
    some: list[dict[str, Any]] = []
    size = 0
    for each in results:
        bytes_ = len(json.dumps(each)) + 2
        if some and (len(some) == _AT_ONCE or size + bytes_ > _BYTES):
            yield some
            some, size = [], 0
        some.append(each)
        size += bytes_
    if some:
        yield some


def _error(body: bytes) -> str:
    try:
        return str(json.loads(body).get("error", ""))
    except (ValueError, AttributeError):
        return ""


_COMMITS = ("DETENTE_VERSION", "GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", "BUILD_VCS_NUMBER")


def _version(root: Path) -> str:
    """What is tested: what the build says, or the commit that is checked out."""
    if said := next((os.environ[name] for name in _COMMITS if os.environ.get(name)), ""):
        return said
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""
