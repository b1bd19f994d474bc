"""The terminal face: every command, and every way in which starting can go wrong."""

from __future__ import annotations

import asyncio
import errno
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import click
import msgspec
import pytest
from click.testing import CliRunner, Result

import detente
from detente.app import Declared
from detente.commands import root
from detente.commands.place import LEDGER
from detente.commands.up import say_once_when_full
from detente.kernel.clock import SystemClock
from detente.kernel.ledger.sqlite import SqliteLedger
from detente.kernel.terminal.calling import Note, note_of
from detente.kernel.terminal.commands import WithExample

CONFIG = """\
name: Shop
vendors:
  cardpay: {title: CardPay}
watch:
  checks:
    cardpay: {tcp: "127.0.0.1:PORT", every: 1s, timeout: 500ms, falls_after: 1, rises_after: 1}
"""


@contextmanager
def taken_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield held.getsockname()[1]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A configuration, in a folder of its own; what it watches is never there."""
    with taken_port() as port:
        path = tmp_path / "detente.yaml"
        path.write_text(CONFIG.replace("PORT", str(port)))
    return path


def run(config: Path, *args: str) -> Result:
    return CliRunner().invoke(root, [*args, "--config", str(config)])


def begun(config: Path) -> Path:
    """The same place after a node was there once: with a ledger, and nobody writing."""
    ledger = SqliteLedger(config.with_name(LEDGER), clock=SystemClock(), writer="inline")
    asyncio.run(ledger.close())
    return config


def bytes_of(config: Path) -> bytes:
    return config.with_name(LEDGER).read_bytes()


# Every command


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        yield (*path, name)
        inner = group.get_command(context, name)
        if isinstance(inner, click.Group):
            yield from commands(inner, (*path, name))


ALL = list(commands(root))


def test_every_slice_has_its_group() -> None:
    """Commands come from the cards: pages to look at, levers to pull."""
    assert {("watch",), ("work",), ("work", "call"), ("work", "give-up")} <= set(ALL)
    assert {("ledger", "rebuild"), ("config", "schema"), ("watch", "try"), ("up",)} <= set(ALL)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_says_what_a_command_does_and_shows_an_example(path: tuple[str, ...]) -> None:
    """One plain line, every option explained, and an example that begins with the command."""
    result = CliRunner().invoke(root, [*path, "--help"], prog_name="detente")
    assert result.exit_code == 0, result.output
    assert "Example" in result.output
    assert f"detente {' '.join(path)}" in result.output.partition("Example")[2]
    command = found(path)
    assert isinstance(command, WithExample)
    assert (command.help or "").rstrip().endswith((".", "?"))
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.opts} of {path} explains nothing"


def found(path: tuple[str, ...]) -> click.Command:
    command: click.Command = root
    for name in path:
        assert isinstance(command, click.Group)
        inner = command.get_command(click.Context(command), name)
        assert inner is not None
        command = inner
    return command


def test_a_lever_asks_for_what_its_form_requires(shop: Path) -> None:
    """What is missing is named before anything is sent."""
    result = run(shop, "work", "hold", "01JD")
    assert result.exit_code == 2
    assert "--reason" in result.stderr


def test_the_version() -> None:
    """`--version` says it."""
    assert CliRunner().invoke(root, ["--version"]).output == f"Détente {detente.__version__}\n"


# What is loaded


def test_importing_detente_loads_nothing_heavy() -> None:
    """A user's program that imports us pays for none of the server."""
    asked = "import sys, detente; print({'click', 'aiohttp', 'rich', 'apsw'} & {*sys.modules})"
    assert python("-c", asked).stdout == "set()\n"


def test_now_loads_no_server(shop: Path) -> None:
    """What is asked often loads neither the server nor the slices."""
    asked = (
        "import sys, detente.commands.faces\n"
        "print({'aiohttp', 'detente.slices', 'rich', 'jinja2'} & {*sys.modules})"
    )
    assert python("-c", asked).stdout == "set()\n"


def test_without_the_server_extra_it_says_how_to_get_it() -> None:
    """The command of a light installation explains itself."""
    asked = "import sys; sys.modules['click'] = None\nfrom detente.__main__ import main; main()"
    result = python("-c", asked)
    assert result.returncode == 2
    assert "pip install 'detente[server]'" in result.stderr
    assert "Traceback" not in result.stderr


def python(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=60)


# The configuration


def test_config_check_counts_what_is_declared(shop: Path) -> None:
    """All is well, and this is what was understood."""
    result = run(shop, "config", "check")
    assert result.exit_code == 0
    assert result.output == f"{shop} is in order: 1 vendor, 1 check.\n"


def test_config_check_shows_every_mistake(shop: Path) -> None:
    """Each with its place, all at once, on standard error."""
    shop.write_text(
        "vendors: {cardpay: {titel: x}}\nwatch: {checks: {cardpay: {http: nonsense}}}\n"
    )
    result = run(shop, "config", "check")
    assert result.exit_code == 2
    assert f"{shop}:1:" in result.stderr
    assert f"{shop}:2:" in result.stderr
    told = json.loads(run(shop, "config", "check", "--json").stdout)
    assert len(told["mistakes"]) == 2


@pytest.mark.parametrize("command", ["up", "now", "timeline", "work", "ledger read"])
@pytest.mark.parametrize(
    "broken", ["vendors:\n  cardpay: {title: Card", "vendors: [\n", "", "\x00", "a: b: c"]
)
def test_a_half_written_configuration(shop: Path, command: str, broken: str) -> None:
    """One clear sentence with its place and exit code 2; no ledger is made or changed."""
    shop.write_text(broken)
    result = run(shop, *command.split())
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert result.stderr
    assert not shop.with_name(LEDGER).exists()


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    """The remedy is named: `detente init` writes one."""
    result = run(tmp_path / "detente.yaml", "up")
    assert result.exit_code == 2
    assert "detente init" in result.stderr


def test_a_configuration_that_cannot_be_read(shop: Path) -> None:
    """A folder by that name, or no right to read it."""
    shop.unlink()
    shop.mkdir()
    result = run(shop, "up")
    assert result.exit_code == 2
    assert "is a folder" in result.stderr


def test_the_schema_completes_every_slice() -> None:
    """One JSON Schema, a section for each slice."""
    found = json.loads(CliRunner().invoke(root, ["config", "schema"]).output)
    declared = found["$defs"]["Declared"]["properties"]
    assert {"watch", "work", "vendors", "web"} <= set(declared)


def test_the_ledger_is_where_the_settings_say() -> None:
    """The quick look at the configuration knows the same default as the whole of it."""
    assert Declared().ledger == LEDGER


# What can be wrong at the start


def test_port_in_use(shop: Path) -> None:
    """A sentence with a remedy, exit code 2, and the ledger is let go."""
    with taken_port() as port:
        result = run(shop, "up", "--port", str(port))
    assert result.exit_code == 2
    assert f"127.0.0.1:{port}" in result.stderr
    assert "--port" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not note_of(shop.with_name(LEDGER)).exists()
    begun(shop)  # nobody holds it


def test_locked_ledger(shop: Path) -> None:
    """Who holds it is said; nothing of it changes."""
    begun(shop)
    before = bytes_of(shop)
    holder = (
        "import sys\nfrom detente.kernel.ledger.sqlite import SqliteLedger\n"
        "from detente.kernel.clock import SystemClock\n"
        "SqliteLedger(sys.argv[1], clock=SystemClock(), holder='the other one')\n"
        "print('held', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(shop.with_name(LEDGER))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for command in (["up", "--port", "0"], ["ledger", "rebuild"]):
            result = run(shop, *command)
            assert result.exit_code == 2
            assert "the other one" in result.stderr
            assert str(other.pid) in result.stderr
        other.communicate("")
    assert bytes_of(shop) == before


@pytest.mark.parametrize("command", ["up --port 0", "now", "ledger read", "ledger rebuild"])
def test_a_ledger_of_a_newer_version(shop: Path, command: str) -> None:
    """It says so, exits with 2 and leaves the file as it is."""
    begun(shop)
    connection = apsw.Connection(str(shop.with_name(LEDGER)))
    connection.execute("pragma user_version = 99; pragma wal_checkpoint(truncate)")
    connection.close()
    before = bytes_of(shop)
    result = run(shop, *command.split())
    assert result.exit_code == 2
    assert "newer" in result.stderr
    assert "Traceback" not in result.output
    assert bytes_of(shop) == before


def test_a_file_that_is_no_ledger(shop: Path) -> None:
    """Somebody's file is not ours to change."""
    shop.with_name(LEDGER).write_text("a shopping list, long enough to be read as something\n" * 90)
    before = bytes_of(shop)
    result = run(shop, "up", "--port", "0")
    assert result.exit_code == 2
    assert "not a ledger" in result.stderr
    assert bytes_of(shop) == before


def test_a_ledger_in_a_folder_that_is_not_there(shop: Path) -> None:
    """The remedy is the command to type."""
    shop.write_text(f"ledger: nowhere/{LEDGER}\n{shop.read_text()}")
    result = run(shop, "up", "--port", "0")
    assert result.exit_code == 2
    assert "mkdir -p" in result.stderr


# Without a node


def test_no_ledger_yet(shop: Path) -> None:
    """Nothing to look at, and how to change that."""
    result = run(shop, "now")
    assert result.exit_code == 2
    assert "detente up" in result.stderr
    assert not shop.with_name(LEDGER).exists()


def test_looking_without_a_node(shop: Path) -> None:
    """The ledger answers, and says that it is the ledger."""
    result = run(begun(shop), "now")
    assert result.exit_code == 0
    assert result.stderr == "No node is running; this is what the ledger says.\n"
    assert "CardPay" in result.stdout


def test_json_stays_json_without_a_node(shop: Path) -> None:
    """Programs read standard output alone."""
    begun(shop)
    for command in ("now", "timeline", "work", "watch", "about cardpay", "watch check cardpay"):
        result = run(shop, *command.split(), "--json")
        assert result.exit_code == 0, result.stderr
        assert isinstance(json.loads(result.stdout), dict)


def test_every_page_is_shown_without_a_node(shop: Path) -> None:
    """Whatever a slice answers, a terminal can show it."""
    begun(shop)
    for path in ALL:
        command = found(path)
        needed = [each for each in command.params if each.required]
        if path[0] in ("up", "init", "demo", "config", "ledger") or needed:
            continue
        if path in (("sla", "checkpoint"), ("sla", "key"), ("releases", "request")):  # no pages
            continue
        result = run(shop, *path)
        assert result.exit_code == 0, (path, result.output, result.exception)


def test_what_is_not_there(shop: Path) -> None:
    """Asking for something unknown is answered with no, not with trouble: exit code 1."""
    begun(shop)
    for command in ("about nobody", "work call 12", "watch check nobody"):
        result = run(shop, *command.split())
        assert result.exit_code == 1, result.output
        assert "Traceback" not in result.output


def test_a_slice_that_is_not_there(shop: Path) -> None:
    """A timeline of nothing known exits with 2 and the nearest right word."""
    assert "Nothing has happened yet" in run(begun(shop), "timeline", "--slice", "work").stdout
    result = run(shop, "timeline", "--slice", "incident")
    assert result.exit_code == 2, result.output
    assert "did you mean incidents?" in result.stderr


def test_levers_need_a_node(shop: Path) -> None:
    """Nobody is there to act on it, and how to change that."""
    result = run(begun(shop), "work", "retry", "01JD")
    assert result.exit_code == 2
    assert "detente up" in result.stderr


def test_a_node_that_was_killed_leaves_no_false_trail(shop: Path) -> None:
    """A note whose process has ended counts for nothing."""
    begun(shop)
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    note = Note("127.0.0.1", 1, int(gone.stdout), socket.gethostname())
    note_of(shop.with_name(LEDGER)).write_bytes(msgspec.json.encode(note))
    result = run(shop, "now")
    assert result.exit_code == 0
    assert "No node is running" in result.stderr


# With a node


class Running:
    """A real node in a process of its own."""

    def __init__(self, config: Path, *args: str) -> None:
        command = [sys.executable, "-m", "detente", "up", "-c", str(config), "--port", "0", *args]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            if "Ctrl-C" in line:
                break
        assert self.process.poll() is None, self.said
        note = msgspec.json.decode(note_of(config.with_name(LEDGER)).read_bytes(), type=Note)
        self.port = note.port

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def stop(self, how: int = signal.SIGTERM) -> tuple[int, str, float]:
        """(exit code, what else it said, seconds)"""
        began = time.monotonic()
        self.process.send_signal(how)
        rest, _ = self.process.communicate(timeout=20)
        return self.process.returncode, rest, time.monotonic() - began


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Running]]:
    config = tmp_path_factory.mktemp("node") / "detente.yaml"
    with taken_port() as port:
        config.write_text(CONFIG.replace("PORT", str(port)))
    with Running(config) as running:
        yield config, running


@pytest.mark.slow
def test_up_says_where_everything_is(node: tuple[Path, Running]) -> None:
    """A few calm lines: what is declared, the page, the ledger, how to stop."""
    config, running = node
    said = "".join(running.said)
    assert 3 <= len(running.said) <= 5
    assert f"http://127.0.0.1:{running.port}" in said
    assert str(config.with_name(LEDGER)) in said
    assert "1 vendor, 1 check" in said


@pytest.mark.slow
def test_now_asks_the_running_node(node: tuple[Path, Running]) -> None:
    """The answer comes from the node: nothing on standard error."""
    config, _ = node
    result = run(config, "now")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert "CardPay" in result.stdout
    assert "sentence" in json.loads(run(config, "now", "--json").stdout)


@pytest.mark.slow
def test_a_lever_that_cannot_be_pulled(node: tuple[Path, Running]) -> None:
    """The node says why; exit code 1, nothing recorded."""
    config, _ = node
    for command in (
        ["work", "retry", "nobody"],
        ["work", "pause", "route:nobody", "--reason", "no such route"],
    ):
        result = run(config, *command)
        assert result.exit_code == 1, result.output
        assert result.stderr.strip()
        assert "Traceback" not in result.output


@pytest.mark.slow
def test_a_lever_carries_who_pulled_it(node: tuple[Path, Running]) -> None:
    """`--as` puts the name on the fact."""
    config, _ = node
    wait_until(lambda: "incident" in run(config, "timeline").stdout)
    result = run(config, "pager", "take", "incident:1", "--as", "Zoë")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("✓ incident 1")
    facts = run(config, "ledger", "read", "--about", "incident:1", "--json").stdout.splitlines()
    assert any(json.loads(fact)["by"] == "Zoë" for fact in facts)
    assert "Zoë has it" in run(config, "now").stdout


@pytest.mark.slow
def test_one_ledger_one_node(node: tuple[Path, Running]) -> None:
    """A second node, or a rebuild, is refused with the name of the first."""
    config, running = node
    for command in (["up", "--port", "0"], ["ledger", "rebuild"]):
        result = run(config, *command)
        assert result.exit_code == 2
        assert str(running.process.pid) in result.stderr
    assert run(config, "now").exit_code == 0


@pytest.mark.slow
def test_hangup_tells_what_a_restart_would_change(node: tuple[Path, Running]) -> None:
    """The node goes on; somebody who edited the file hears what it takes."""
    config, running = node
    written = config.read_text()
    config.write_text(written.replace("CardPay", "Card Pay"))
    running.process.send_signal(signal.SIGHUP)
    assert running.process.stdout is not None
    while "vendors" not in (line := running.process.stdout.readline()):
        assert line
    assert "restart" in line
    config.write_text(written)
    assert run(config, "now").exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_asked(shop: Path, how: int) -> None:
    """Cleanly and soon, with a page open that listens; afterwards the views are what facts say."""
    with Running(shop) as running:
        page = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)
        page.request("GET", "/live?hears=*")
        stream = page.getresponse()
        assert stream.readline().startswith(b"retry")
        code, rest, seconds = running.stop(how)
        stream.close()
        page.close()
    assert code == 0, rest
    assert "Stopped." in rest
    assert "Traceback" not in rest
    assert seconds < 3
    assert not note_of(shop.with_name(LEDGER)).exists()
    said = json.loads(run(shop, "ledger", "rebuild", "--json").stdout)
    assert said["facts"] >= 2
    assert said["changed"] == []


@pytest.mark.slow
def test_kill_nine_and_up_again(shop: Path) -> None:
    """After the hardest end it starts again and says that the last one came without notice."""
    asked = ("ledger", "read", "--name", "node.*")
    with Running(shop) as running:
        wait_until(lambda: "started" in run(shop, *asked).stdout)
        assert running.stop(signal.SIGKILL)[0] == -signal.SIGKILL
    assert "No node is running" in run(shop, "now").stderr
    with Running(shop) as again:
        wait_until(lambda: "without notice" in run(shop, *asked).stdout)
        assert again.stop()[0] == 0


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def test_callers_that_find_no_file_left_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """However many wait, one line with the remedy; every other trouble is told as ever."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        say_once_when_full(loop)
        for _ in range(200):
            full = OSError(errno.EMFILE, "Too many open files")
            loop.call_exception_handler({"message": "accept", "exception": full})
        loop.call_exception_handler({"message": "other", "exception": KeyError("x")})

    asyncio.run(story())
    assert [each.levelname for each in caplog.records] == ["WARNING", "ERROR"]
    assert "ulimit -n" in caplog.messages[0]
