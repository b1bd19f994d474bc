"""What is on, in this program, right now?

A client holds the newest rule book that it has heard of and answers from it, in the program itself.
Behind it two threads follow the node and tell it what was asked for; neither is ever waited for. While
the node is away the last rules go on counting, from disk if the program has just started.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import msgspec

from detente.kernel.clock import Clock, Instant, Seconds, SystemClock
from detente.toggles.engine.counting import Counter
from detente.toggles.engine.definition import BadDefinition
from detente.toggles.engine.ruleset import UNSET, Answer, Context, Ruleset
from detente.toggles.engine.typed import fitting

if TYPE_CHECKING:
    from openfeature.provider import AbstractProvider

T = TypeVar("T")
Origin = Literal["nowhere", "disk", "file", "node"]

NODE = "http://127.0.0.1:3383"
_log = logging.getLogger("detente.toggles")


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Where a client's rules come from, and whether they may be out of date."""

    origin: Origin = "nowhere"
    stale: bool = False  # the node is being followed and does not answer now
    version: str = ""
    since: Instant = 0  # when these rules came


class Following(Protocol):
    """What a client follows."""

    def start(self) -> None:
        """Raises what keeps it from starting."""
        ...

    def go_on(self) -> None:
        """In a forked child, where its threads are gone."""
        ...

    def close(self) -> None: ...


class Client:
    """The toggles of one program. Asking never raises, blocks or waits."""

    def __init__(self, *, clock: Clock | None = None, program: str = "") -> None:
        self._clock = clock or SystemClock()
        self._now = self._clock.now
        self._program = program or os.environ.get("DETENTE_PROGRAM") or _called()
        self._ruleset = Ruleset.parse({"flags": {}})
        self._entries: Mapping[str, Any] = {}  # an Answer, or the Rule that finds it
        self._overridden: list[Mapping[str, Answer]] = []
        self._listeners: list[Callable[[State], None]] = []
        self._following: Following | None = None
        self.state = State()
        self._fresh()
        _clients.add(self)

    def _fresh(self) -> None:
        self._lock = threading.Lock()
        self._ready = threading.Event()
        if self.state.origin != "nowhere":
            self._ready.set()
        self.counter = Counter(self._program, self._clock)

    # -- asking ------------------------------------------------------------------------------------

    def on(self, key: str, context: Context = None, default: bool = False) -> bool:
        """Is it on, for this person, request or whatever `context` describes?"""
        answer = self._entries.get(key)
        if type(answer) is not Answer:
            answer = answer(context, self._now) if answer else self._ruleset.unknown(key)
        answer.handed_out[0] += 1
        value = answer.value
        return value if value is True or value is False else default

    def value(self, key: str, default: T, context: Context = None) -> T:
        """Which value does it have? Always of the default's kind; when in doubt, the default."""
        answer = self._entries.get(key)
        if type(answer) is not Answer:
            answer = answer(context, self._now) if answer else self._ruleset.unknown(key)
        answer.handed_out[0] += 1
        value = answer.value
        if value.__class__ is not default.__class__:
            value = fitting(value, default)
        return default if value is UNSET else value

    def answer(self, key: str, context: Context = None) -> Answer:
        """The value with its reason. It is not counted."""
        entry = self._entries.get(key)
        if isinstance(entry, Answer):
            return entry
        return self._ruleset.answer(key, context, self._now)

    def toggle(self, key: str, default: T) -> Toggle[T]:
        """A handle, for toggles that are asked for in many places."""
        return Toggle(self, key, default)

    def keys(self) -> list[str]:
        """The names of all toggles that are known here."""
        return [*self._entries]

    def outcome(self, key: str, *, ok: bool, context: Context = None) -> None:
        """Tell how it turned out for whoever `context` describes: a guard may be looking on."""
        self.counter.outcome(key, self.answer(key, context).variant, ok=ok)

    # -- where rules come from -----------------------------------------------------------------------

    def load(self, document: bytes | str | Mapping[str, Any]) -> None:
        """Use these rules, once. Raises BadDefinition."""
        self.take(Ruleset.parse(document), origin="file")

    def follow_file(self, path: str | Path) -> None:
        """Use a file's rules, and read it again when it changes. Raises BadDefinition, OSError."""
        from detente.toggles.engine.following import FileFollower

        self._follow(FileFollower(self, Path(path).expanduser()))

    def follow(
        self,
        address: str | None = None,
        *,
        token: str | None = None,
        cache: str | Path | None = "",
        wait: Seconds = 0.0,
    ) -> bool:
        """Follow a node's toggles from now on. True when there are rules to answer from.

        `address` and `token` are by default what DETENTE_ADDRESS and DETENTE_TOKEN say; without a
        token nothing is told to the node. `cache` is the file to start from while the node is away;
        None keeps nothing. `wait` is how long to wait for the first rules.
        """
        from detente.toggles.engine import keeping
        from detente.toggles.engine.following import NodeFollower

        address = address or os.environ.get("DETENTE_ADDRESS") or NODE
        token = os.environ.get("DETENTE_TOKEN", "") if token is None else token
        kept = keeping.usual_place(address) if cache == "" else cache
        place = Path(kept).expanduser() if kept is not None else None
        self._follow(NodeFollower(self, address, token=token, cache=place))
        return self._ready.wait(wait) if wait else self._ready.is_set()

    def _follow(self, following: Following) -> None:
        self.close()
        following.start()
        self._following = following

    def close(self) -> None:
        """Follow nothing any more. The rules stay."""
        following, self._following = self._following, None
        if following is not None:
            following.close()

    def listen(self, told: Callable[[State], None]) -> None:
        """Have `told` called when rules change, and when they become or cease to be stale."""
        self._listeners.append(told)

    def openfeature(self) -> AbstractProvider:
        """A provider for OpenFeature's SDK, where that is installed: `api.set_provider(…)`."""
        from detente.toggles.engine.provider import Provider

        return Provider(self)

    def understand(self, document: bytes) -> Ruleset:
        """A node's rule book. Toggles that this version does not understand answer with an error."""
        return Ruleset.parse(document, strict=False, before=self._ruleset)

    def take(self, ruleset: Ruleset, *, origin: Origin) -> None:
        """Answer from these rules from now on."""
        with self._lock:
            self.counter.collect(self._ruleset.handed_out())  # what is replaced is asked no more
            self._ruleset = ruleset
            self._lay_over()
        self.tell(origin=origin, stale=origin == "disk", version=ruleset.version)
        self._ready.set()

    def tell(self, **changed: Any) -> None:
        """Something about the state is different now."""
        if "version" in changed:
            changed["since"] = self._now()
        before, self.state = self.state, msgspec.structs.replace(self.state, **changed)
        if before == self.state:
            return
        for told in [*self._listeners]:
            try:
                told(self.state)
            except Exception:  # noqa: BLE001 - theirs, and the next rules must still arrive
                _log.exception("somebody who listens to toggles stumbled")

    def collect(self) -> Counter:
        """The counter, with everything counted so far."""
        self.counter.collect(self._ruleset.handed_out())
        return self.counter

    # -- in tests ------------------------------------------------------------------------------------

    @contextmanager
    def override(self, values: Mapping[str, Any]) -> Iterator[None]:
        """In this block these toggles have these values, whatever the rules say. For tests."""
        mine = {key: Answer(value, "override") for key, value in values.items()}
        with self._lock:
            self._overridden.append(mine)
            self._lay_over()
        try:
            yield
        finally:
            with self._lock:
                self._overridden = [each for each in self._overridden if each is not mine]
                self._lay_over()

    def _lay_over(self) -> None:
        entries: dict[str, Any] = {**self._ruleset.rules, **self._ruleset.fixed}
        for each in self._overridden:
            entries |= each
        self._entries = entries

    # -- after a fork ----------------------------------------------------------------------------------

    def _forked(self) -> None:
        """Threads and held locks stay behind in the parent, and so does what it has counted."""
        for _, _, cell in self._ruleset.handed_out():
            cell[0] = 0
        self._fresh()
        if self._following is not None:
            self._following.go_on()


class Toggle(Generic[T]):
    """One toggle of a client: call it with a context."""

    __slots__ = ("_client", "default", "key")

    def __init__(self, client: Client, key: str, default: T) -> None:
        self._client = client
        self.key = key
        self.default = default

    def __call__(self, context: Context = None) -> T:
        return self._client.value(self.key, self.default, context)

    def __repr__(self) -> str:
        return f"<toggle {self.key}>"


def _called() -> str:
    """The program's name, as far as it can be seen."""
    where = Path(sys.argv[0] if sys.argv else "")
    name = where.parent.name if where.stem == "__main__" else where.stem
    return re.sub(r"[^\w.@-]+", "-", name).strip("-")[:80] or "python"


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _in_the_child() -> None:
    for client in [*_clients]:
        client._forked()


def _at_the_end() -> None:
    for client in [*_clients]:
        client.close()


os.register_at_fork(after_in_child=_in_the_child)
atexit.register(_at_the_end)

__all__ = ["BadDefinition", "Client", "State", "Toggle"]
