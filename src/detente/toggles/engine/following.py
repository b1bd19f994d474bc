"""How does a client hear of new rules? Threads of its own, which nobody waits for."""

from __future__ import annotations

import http.client
import logging
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from detente.kernel.clock import Seconds
from detente.toggles.engine import keeping
from detente.toggles.engine.client import Following
from detente.toggles.engine.counting import Batch, encoded
from detente.toggles.engine.definition import BadDefinition
from detente.toggles.engine.ruleset import Ruleset
from detente.toggles.engine.stream import BadAnswer, Event, Line

if TYPE_CHECKING:
    from detente.toggles.engine.client import Client

_log = logging.getLogger("detente.toggles")

SILENT_AFTER: Seconds = 40  # the node says something every 15 seconds
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 30.0
_USAGE_EVERY, _OUTCOMES_EVERY, _LOOKS_EVERY = 60.0, 10.0, 2.0
_WATCHED_FOR: Seconds = 120.0  # after a switch outcomes are told as they come
_LAST_WORD: Seconds = 0.5
_LOOK_AGAIN: Seconds = 1.0

_BROKEN = (OSError, http.client.HTTPException, BadAnswer, ValueError)


class NodeFollower(Following):
    """Reads the node's stream, and tells it what was asked for."""

    def __init__(self, client: Client, address: str, *, token: str, cache: Path | None) -> None:
        self._client = client
        self._address = address.rstrip("/")
        self._token = token
        self._cache = cache
        self._ended = threading.Event()
        self._line: Line | None = None
        self._live = False  # this line has said something
        self._unsent: Batch | None = None

    def start(self) -> None:
        if self._client.state.origin == "nowhere":
            self._from_disk()
        self.go_on()

    def go_on(self) -> None:
        self._ended = threading.Event()
        self._line, self._unsent, self._live = None, None, False
        self._client.tell(stale=True)
        threading.Thread(target=self._listen, name="toggles: listening", daemon=True).start()
        if self._token:
            threading.Thread(target=self._report, name="toggles: telling", daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        if self._line is not None:
            self._line.cut()
        if self._token:
            self._send(timeout=_LAST_WORD)
        self._client.tell(stale=False)

    # listening

    def _listen(self) -> None:
        ended, wait = self._ended, _FIRST_WAIT
        while not ended.is_set():
            why = self._until_it_breaks(ended)
            if ended.is_set():
                return
            wait = _FIRST_WAIT if self._live else min(wait * 2, _LONGEST_WAIT)
            self._lost(why)
            ended.wait(wait * random.uniform(0.5, 1.0))  # not all at the same moment

    def _until_it_breaks(self, ended: threading.Event) -> str:
        self._live = False
        line = self._line = Line(self._address, timeout=SILENT_AFTER)
        asked = {"Accept": "text/event-stream", "Last-Event-ID": self._client.state.version}
        try:
            for event in line.events("/toggles/stream", asked):
                if ended.is_set():
                    break
                self._live = True
                self._hear(event)
            return "it hung up"
        except _BROKEN as error:
            return str(error) or type(error).__name__
        finally:
            line.close()

    def _hear(self, event: Event) -> None:
        if event.kind == "definitions":
            self._heard(event.data)
        elif event.kind == "unchanged":
            self._client.tell(stale=False, origin="node")

    def _heard(self, document: bytes) -> None:
        try:
            ruleset = self._client.understand(document)
        except BadDefinition as bad:
            _log.warning("the node sent toggles that cannot be used, the old ones stay: %s", bad)
            return
        self._client.take(ruleset, origin="node")
        self._to_disk(document)

    def _lost(self, why: str) -> None:
        if not self._client.state.stale:
            _log.warning("no toggles from %s, the last ones go on counting: %s", self._address, why)
        self._client.tell(stale=True)

    # disk

    def _from_disk(self) -> None:
        if self._cache is None:
            return
        try:
            document = keeping.read(self._cache)
            if document is not None:
                self._client.take(self._client.understand(document), origin="disk")
        except (OSError, BadDefinition) as error:
            _log.warning("the toggles kept in %s cannot be used: %s", self._cache, error)

    def _to_disk(self, document: bytes) -> None:
        if self._cache is None:
            return
        try:
            keeping.write(self._cache, document)
        except OSError as error:
            _log.warning("toggles cannot be kept in %s: %s", self._cache, error)

    # telling

    def _report(self) -> None:
        """Now and then; at once and more often after a switch, because a guard may be looking on."""
        waited = watched = 0.0
        version = self._client.state.version
        while not self._ended.wait(_LOOKS_EVERY * random.uniform(0.9, 1.1)):
            waited += _LOOKS_EVERY
            watched -= _LOOKS_EVERY
            told = bool(self._client.counter.outcomes)
            if version != self._client.state.version:
                version, watched = self._client.state.version, _WATCHED_FOR
            elif not (
                waited >= _USAGE_EVERY or (told and (watched > 0 or waited >= _OUTCOMES_EVERY))
            ):
                continue
            self._send(timeout=_LONGEST_WAIT)
            waited = 0.0

    def _send(self, *, timeout: Seconds) -> None:
        """A batch that did not arrive is sent again as it is, so that it is counted once."""
        batch = self._unsent or self._client.collect().take()
        if batch is None:
            return
        self._unsent = batch
        line = Line(self._address, timeout=timeout)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            status = line.post("/toggles/counts", encoded(batch), headers)
        except _BROKEN:
            return
        finally:
            line.close()
        if status < 500:  # taken, or never will be
            self._unsent = None


class FileFollower(Following):
    """Reads a file, and again when it changes."""

    def __init__(self, client: Client, path: Path) -> None:
        self._client = client
        self._path = path
        self._seen: tuple[int, int] = (0, 0)
        self._ended = threading.Event()

    def start(self) -> None:
        self._seen = self._stamp()
        self._client.take(Ruleset.parse(self._path.read_bytes()), origin="file")
        self.go_on()

    def go_on(self) -> None:
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="toggles: reading", daemon=True).start()

    def close(self) -> None:
        self._ended.set()

    def _stamp(self) -> tuple[int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size

    def _watch(self) -> None:
        ended = self._ended
        while not ended.wait(_LOOK_AGAIN):
            try:
                self._look_again()
            except (OSError, BadDefinition) as error:
                _log.warning(
                    "the toggles in %s cannot be used, the old ones stay: %s", self._path, error
                )

    def _look_again(self) -> None:
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            self._client.take(self._client.understand(self._path.read_bytes()), origin="file")
