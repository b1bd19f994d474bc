"""Can one tell of a change from a terminal, and from a program with the node's token?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from detente.commands import root
from detente.kernel.terminal.calling import Note, note_of

from .agency import MAP

pytestmark = pytest.mark.slow

PATIENCE = 20.0


@contextmanager
def node(config: Path) -> Iterator[Note]:
    """A real node on a port of its own; at the end it is killed, without notice."""
    note = note_of(config.with_name("detente.db"))
    note.unlink(missing_ok=True)
    command = [sys.executable, "-m", "detente", "up", "--port", "0", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            yield _up(note, process)
        finally:
            os.kill(process.pid, signal.SIGKILL)


def _up(note: Path, process: subprocess.Popen[bytes]) -> Note:
    import msgspec

    until = time.monotonic() + PATIENCE
    while not note.exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < until, "the node does not come up"
        time.sleep(0.05)
    return msgspec.json.decode(note.read_bytes(), type=Note)


def run(config: Path, *args: str) -> Result:
    return CliRunner().invoke(root, [*args, "--config", str(config)])


def post(note: Note, token: str, said: object) -> tuple[int, dict[str, object]]:
    connection = HTTPConnection(note.host, note.port, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", "/dependencies/changes", json.dumps(said), headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body


def test_a_change_from_a_terminal_and_from_a_program(tmp_path: Path) -> None:
    """Who falls, what it costs and who must know is said at once; what was told survives the node's death."""
    config = tmp_path / "detente.yaml"
    config.write_text(MAP)
    told = {"title": "rebooted the host", "touches": ["vmhost1"], "id": "jira-1"}
    with node(config) as note:
        done = run(
            config, "changes", "record", "moved sign-on to a VM", "--touches", "cas", "--touches",
            "db1,db2", "--at", "2999-01-01 06:00", "--as", "ann",
        )  # fmt: skip
        assert done.exit_code != 0
        assert "more than ten years from now" in done.stderr
        done = run(
            config, "changes", "record", "moved sign-on", "--touches", "cas,db1", "--as", "ann"
        )
        assert done.exit_code == 0, done.output
        assert "was made: moved sign-on. Careful: cas is a central point; 4 journeys" in done.stdout
        assert (
            "! Sign-on is a central point. Would fall: Renew a permit, pay, apply and look"
            in done.stdout
        )
        assert "Must know: ops, dev" in done.stdout
        wrong = run(config, "changes", "record", "x", "--touches", "portl")
        assert wrong.exit_code != 0
        assert "nothing called “portl” is declared; did you mean portal?" in wrong.stderr
        token = config.with_name("detente.db.token").read_text().strip()
        assert post(note, "not the token", told)[0] == 403
        assert post(note, token, {"title": "x", "touches": ["cass"]}) == (
            400,
            {"error": "touches: nothing called “cass” is declared; did you mean cas?"},
        )
        assert post(note, token, told)[0] == 201
    with node(config) as note:
        assert post(note, token, told)[1]["repeated"] is True
        listed = json.loads(run(config, "changes", "--json").stdout)
        assert [each["change"]["title"] for each in listed["past"]] == [
            "rebooted the host",
            "moved sign-on",
        ]
        assert "rebooted the host" in run(config, "changes").stdout
        assert "what it needs" not in run(config, "about", "cas").stderr
        assert "Falls with it: permits, tax, forms, portal" in run(config, "about", "cas").stdout
