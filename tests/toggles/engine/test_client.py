"""What a user's program gets: answers at once, whatever the node, the disk or the context are like."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import timeit
from pathlib import Path
from typing import Any

import pytest

from detente import toggles
from detente.toggles.engine import keeping
from detente.toggles.engine.client import Client, State

FLAGS: dict[str, Any] = {
    "checkout": {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "off",
        "targeting": {"if": [{"==": [{"var": "plan"}, "gold"]}, "on"]},
    },
    "size": {"state": "ENABLED", "variants": {"s": 5, "l": 50}, "defaultVariant": "l"},
    "rate": {"state": "ENABLED", "variants": {"half": 0.5, "full": 1}, "defaultVariant": "full"},
    "dark": {"state": "DISABLED", "variants": {"on": True}, "defaultVariant": "on"},
}
GOLD = {"targetingKey": "ann", "plan": "gold"}


class Clock:
    def __init__(self) -> None:
        self.time = 1_000

    def now(self) -> int:
        self.time += 1
        return self.time


@pytest.fixture
def client() -> Client:
    client = Client(clock=Clock(), program="shop")
    client.load({"flags": FLAGS})
    return client


def counted(client: Client) -> dict[str, dict[str, Any]]:
    batch = client.collect().take()
    return {} if batch is None else json.loads(_encoded(batch))["counts"]


def _encoded(batch: Any) -> bytes:
    from detente.toggles.engine.counting import encoded

    return encoded(batch)


def test_before_anything_is_known_the_defaults_count() -> None:
    """A program that follows nobody works as it was written."""
    client = Client()
    assert client.on("checkout") is False
    assert client.on("checkout", default=True) is True
    assert client.value("size", 20) == 20
    assert client.state == State()


def test_answers_are_of_the_defaults_kind(client: Client) -> None:
    """A program that expects a number never gets a text, and loses no fraction."""
    assert client.on("checkout", GOLD) is True
    assert client.on("checkout") is False
    assert client.value("size", 20) == 50
    assert client.value("size", "medium") == "medium"
    assert client.value("rate", 0.25) == 1.0
    assert client.on("size", default=True) is True
    assert client.value("dark", True) is True
    assert client.toggle("size", 20)(GOLD) == 50
    assert client.answer("checkout", GOLD).reason == "TARGETING_MATCH"


def test_everything_asked_is_counted_by_variant(client: Client) -> None:
    """Toggles and variants, unknown ones too, and how it turned out."""
    for context in (GOLD, GOLD, None):
        client.on("checkout", context)
    client.value("size", "medium")
    client.on("chekout")
    client.outcome("checkout", ok=True, context=GOLD)
    client.outcome("checkout", ok=False)
    assert counted(client) == {
        "checkout": {"on": {"asked": 2, "worked": 1}, "off": {"asked": 1, "failed": 1}},
        "size": {"l": {"asked": 1}},
        "chekout": {"": {"asked": 1}},
    }
    assert counted(client) == {}


def test_new_rules_lose_no_counts(client: Client) -> None:
    """What was asked of a rule book that is replaced is told all the same."""
    client.on("checkout")
    client.load({"flags": {"checkout": FLAGS["size"]}})
    client.on("checkout")
    assert counted(client) == {"checkout": {"off": {"asked": 1}, "l": {"asked": 1}}}


def test_names_made_of_users_do_not_fill_the_memory(client: Client) -> None:
    """Somebody will ask for `toggle-of-USER`; a batch stays of a bearable size."""
    for n in range(12_000):
        client.on(f"toggle-of-{n}")
        client.outcome(f"other-of-{n}", ok=True)
    assert len(counted(client)) <= 11_000


def test_overrides_hold_in_their_block_only(client: Client) -> None:
    """Tests say what is on, in all threads, one block inside the other, and nothing of it is counted."""
    with client.override({"checkout": True, "fresh": "x"}):
        seen: queue.Queue[bool] = queue.Queue()
        threading.Thread(target=lambda: seen.put(client.on("checkout"))).start()
        assert seen.get(timeout=5) is True
        with client.override({"checkout": False}):
            assert (client.on("checkout"), client.value("fresh", "")) == (False, "x")
            client.load({"flags": {"checkout": FLAGS["size"]}})
            assert client.on("checkout") is False
        assert client.on("checkout") is True
    assert client.value("checkout", 1) == 50
    assert counted(client) == {"checkout": {"l": {"asked": 1}}}


def test_bad_definitions_change_nothing(client: Client) -> None:
    """A rule book with a mistake is refused with its place, and the old rules go on counting."""
    with pytest.raises(toggles.BadDefinition, match=r"flags\.checkout\.state: is missing"):
        client.load({"flags": {"checkout": {}}})
    assert client.on("checkout", GOLD) is True


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """Local mode: without any node, a file says what is on; half-written it is left alone."""
    file, states = tmp_path / "toggles.json", queue.Queue[State]()
    file.write_text(json.dumps({"flags": FLAGS}))
    client = Client()
    client.listen(states.put)
    client.follow_file(file)
    try:
        assert states.get(timeout=5).origin == "file"
        assert client.value("size", 1) == 50
        file.write_text('{"flags": ')
        os.utime(file, ns=(1, 1))
        changed = {**FLAGS, "size": {**FLAGS["size"], "defaultVariant": "s"}}
        keeping.write(file, json.dumps({"flags": changed}).encode())
        assert states.get(timeout=5).version != ""
        assert client.value("size", 1) == 5
    finally:
        client.close()
    with pytest.raises(OSError, match="gone"):
        client.follow_file(tmp_path / "gone.json")


def test_a_listener_that_stumbles_stops_nothing(client: Client) -> None:
    """Whoever listens is told; what they do with it is theirs."""
    heard: list[State] = []
    client.listen(lambda _state: 1 / 0)
    client.listen(heard.append)
    client.load({"flags": {}})
    assert heard[0].version == client.state.version


def test_asking_is_quick(client: Client) -> None:
    """A toggle is asked for in loops: a plain one takes well under ten microseconds anywhere."""
    best = min(timeit.repeat(lambda: client.on("dark"), number=2_000, repeat=5)) / 2_000
    assert best < 10e-6


IN_CHILDREN = """
import os, sys
from detente import toggles
toggles.load({"flags": {"a": {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}}})
toggles.on("a")
client = toggles.on.__self__
held = client._lock.acquire()  # as if another thread was just changing the rules
child = os.fork()
if child == 0:
    toggles.load({"flags": {"a": {"state": "ENABLED", "variants": {"on": True, "no": False}, "defaultVariant": "no"}}})
    os._exit(0 if toggles.on("a") is False and client.collect().take().counts["a"]["no"].asked == 1 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_works_on() -> None:
    """It has locks of its own, and does not tell again what its parent counted."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", IN_CHILDREN], timeout=60)
    assert done.returncode == 0


def test_the_module_is_a_client() -> None:
    """`from detente import toggles` is all that a program needs."""
    with toggles.override({"checkout": True, "size": 7}):
        assert toggles.on("checkout")
        assert toggles.value("size", 1) == 7
        assert toggles.toggle("size", 1)() == 7
        assert set(toggles.keys()) >= {"checkout", "size"}
    assert toggles.state().origin == "nowhere"
