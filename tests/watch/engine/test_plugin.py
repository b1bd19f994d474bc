"""Nagios plugins, run as they are: what they say, what they measure, and how they are ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.watch.engine.measurement import Measurement, Range, measurements, read_range
from detente.watch.engine.once import probe_once
from detente.watch.engine.parent import ProberProcess
from detente.watch.engine.plugin import taken_apart
from detente.watch.engine.wire import Orders, Probe, Result
from detente.watch.settings import PLUGIN_FOLDERS

REAL = Path(PLUGIN_FOLDERS[0]) / "check_http"


def plugin(*command: str, **given: object) -> Probe:
    return Probe(id="it", kind="plugin", target=command[0], command=command, **given)  # type: ignore[arg-type]


def ran(script: str, *, timeout: float = 5.0, **given: object) -> Result:
    """What a small shell script comes to, as a plugin."""
    return probe_once(plugin("/bin/sh", "-c", script, timeout=timeout, **given))


@pytest.mark.parametrize(
    ("code", "verdict"), [(0, "ok"), (1, "warned"), (2, "failed"), (3, "inconclusive")]
)
def test_the_exit_code_is_the_verdict(code: int, verdict: str) -> None:
    """And the first line, without what was measured, is the reason."""
    found = ran(f"echo 'DISK: 3 GB free | free=3GB;5;1'; echo more; exit {code}")
    assert (found.verdict, found.reason) == (verdict, "DISK: 3 GB free")
    assert found.measured == "free=3GB;5;1"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exit 7", "the plugin ended with 7, which means nothing"),
        ("echo oh; exit 127", "the plugin ended with 127, which means nothing (oh)"),
        ("kill -9 $$", "the plugin itself was ended by SIGKILL"),
        ("kill -11 $$", "the plugin itself was ended by SIGSEGV"),
    ],
)
def test_a_plugin_that_breaks_blames_nobody(script: str, says: str) -> None:
    """What is no verdict is the plugin's own trouble and not its target's."""
    found = ran(script)
    assert (found.verdict, found.reason) == ("inconclusive", says)


@pytest.mark.parametrize(("code", "says"), [(1, "it warns"), (2, "it says critical")])
def test_a_plugin_without_a_word(code: int, says: str) -> None:
    """Its verdict has a reason all the same; what it only complained of will do."""
    assert ran(f"exit {code}").reason == says
    assert ran(f"echo '  oh  no' >&2; exit {code}").reason == "oh no"


def test_a_plugin_that_is_not_done_in_time_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """It counts as a failure, as in Nagios, and nothing of it is left running."""
    pids = tmp_path / "pids"
    found = ran(f"sleep 60 & echo $! > {pids}; echo $$ >> {pids}; sleep 60", timeout=0.3)
    assert (found.verdict, found.failed_in) == ("failed", "transfer")
    assert found.reason == "it was not done within 0.3 s and was ended"
    assert found.total < 2
    assert all(_ends(int(pid)) for pid in pids.read_text().split())


def _ends(pid: int) -> bool:
    """Is it gone, or does it go at once?"""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], 5)[0])
    finally:
        os.close(fd)


def test_what_a_plugin_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    """A child that holds on to its output holds nobody up."""
    pids = tmp_path / "pids"
    found = ran(f"sleep 60 & echo $! > {pids}; echo fine")
    assert (found.verdict, found.reason) == ("ok", "fine")
    assert found.total < 2
    assert _ends(int(pids.read_text()))


def test_a_plugin_that_never_stops_talking() -> None:
    """It is read up to a limit, ended in time, and the loop turns on."""
    found = ran("yes", timeout=0.3)
    assert found.verdict == "failed"
    assert len(ran("head -c 200000 /dev/zero | tr '\\0' x; exit 2").reason) == 300


def test_a_plugin_gets_nothing_it_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to read, no secret of ours in its environment, signals as usual."""
    monkeypatch.setenv("NODE_SECRET", "hunter2")
    found = ran(
        "read line; echo read $? secret=$NODE_SECRET own=$OWN;"
        " grep -q '^SigIgn:.*0000000000000000$' /proc/$$/status || echo ignoring; exit 2",
        surroundings={"OWN": "mine"},
    )
    assert found.reason.startswith("read 1 secret= own=mine")
    assert "ignoring" not in found.reason


def test_secrets_do_not_come_back_in_its_words() -> None:
    """A plugin that repeats its arguments gives nothing away, however short the secret is."""
    found = ran(
        'echo "login tom/$PASSWORD failed with $PIN | try=$PASSWORD=1s"; exit 2',
        surroundings={"PASSWORD": "open-sesame", "PIN": "4711"},
        secrets=("open-sesame", "4711"),
    )
    assert found.reason == "login tom/••• failed with •••"
    assert "sesame" not in found.measured


def test_a_plugin_that_is_not_here(tmp_path: Path) -> None:
    """The sentence says what to do, and nobody is called down."""
    found = probe_once(plugin("check_nothing", plugins_from=("/usr/lib/nagios/plugins",)))
    assert found.verdict == "inconclusive"
    assert found.reason.startswith("check_nothing was not started: there is no such program here")
    plain = tmp_path / "check_it"
    plain.write_text("no program")
    assert "this user may not run it" in probe_once(plugin(str(plain))).reason
    plain.chmod(0o755)
    assert "it is no program" in probe_once(plugin(str(plain))).reason


def test_a_plugin_slower_than_wanted() -> None:
    """`slow_after` holds for plugins too."""
    found = ran("sleep 0.2; echo fine", slow_after=0.05)
    assert found.verdict == "failed"
    assert "wanted within 0.05 s" in found.reason


@pytest.mark.skipif(
    not REAL.exists() and "monitoring-plugins-basic" not in os.environ.get("DETENTE_WANTS", ""),
    reason="the Monitoring Plugins are not installed",
)
def test_the_real_ones(serve, acts, closed_port) -> None:
    """`check_http` and `check_tcp` as Debian ships them, against a server that answers and one that is gone."""
    port = serve(acts.says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    bad = serve(acts.says(b"HTTP/1.1 503 Gone\r\nContent-Length: 0\r\n\r\n"))

    def asked(name: str, port: int) -> Result:
        command = (name, "-H", "127.0.0.1", "-p", str(port))
        return probe_once(plugin(*command, plugins_from=PLUGIN_FOLDERS))

    good = asked("check_http", port)
    assert good.verdict == "ok"
    assert good.reason.startswith("HTTP OK")
    took, size = measurements(good.measured)
    assert (took.label, took.unit, size.label) == ("time", "s", "size")
    assert "503" in asked("check_http", bad).reason
    assert asked("check_tcp", closed_port).verdict == "failed"


def test_plugins_run_in_the_same_rhythm_as_all_checks(tmp_path: Path) -> None:
    """A worker process asks them at their slots and skips a slot while the last run is under way."""
    slow = plugin("/bin/sh", "-c", "sleep 0.25; echo fine", every=0.1, timeout=5.0)

    async def story() -> list[Result]:
        worker = ProberProcess()
        await worker.start(Orders(probes=(slow,)))
        found: list[Result] = []
        async with asyncio.timeout(20), contextlib.aclosing(worker.results()) as batches:  # type: ignore[type-var]
            async for batch in batches:
                found += batch
                if sum(each.verdict == "ok" for each in found) >= 2:
                    break
        await worker.close()
        return found

    verdicts = {each.verdict for each in asyncio.run(story())}
    assert verdicts == {"ok", "skipped"}


# -- what they measure ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "fine", "alerts"),
    [
        ("10", (0, 5, 10), (-1, 10.5)),
        ("10:", (10, 1e9), (9.9,)),
        ("~:10", (-1e9, 10), (10.1,)),
        ("10:20", (10, 20), (9, 21)),
        ("@10:20", (9, 21), (10, 15, 20)),
        ("-5:-1", (-5, -1), (0,)),
    ],
)
def test_ranges_are_those_of_the_guidelines(
    written: str, fine: tuple[float, ...], alerts: tuple[float, ...]
) -> None:
    """Both ends belong to a range; `@` turns it inside out."""
    bounds = read_range(written)
    assert bounds is not None
    assert not any(bounds.alerts(value) for value in fine)
    assert all(bounds.alerts(value) for value in alerts)


@pytest.mark.parametrize("written", ["", "20:10", "ten", "1:2:3", "@", "."])
def test_ranges_that_make_no_sense_alert_nobody(written: str) -> None:
    """The verdict is the exit code; a range is only shown."""
    bounds = read_range(written)
    assert bounds is None or not bounds.alerts(5) or written == "@"


def test_measurements_as_plugins_write_them() -> None:
    """Quotes, units, bounds left out, and a value the plugin could not tell."""
    written = "'a b''s'=3.5ms;5;10;0;20 /=80%;90 load1=U users=4;;;0 junk =5 x"
    found = list(measurements(written))
    assert found[0] == Measurement(
        label="a b's", value=3.5, unit="ms", warn="5", crit="10", least=0.0, most=20.0
    )
    assert [(each.label, str(each)) for each in found[1:]] == [
        ("/", "80 %"), ("load1", "unknown"), ("users", "4"),
    ]  # fmt: skip
    assert Measurement(label="x", value=95.0, warn="90", crit="100").tone == "warn"
    assert Measurement(label="x", value=101.0, warn="90", crit="100").tone == "bad"
    assert Measurement(label="x", value=None, warn="90").tone == "plain"


def test_measurements_may_go_on_behind_the_words() -> None:
    """What stands behind a `|` in the long output belongs to them too."""
    said = "OK: all | a=1\nsome words\nmore words | b=2\nc=3\n"
    assert taken_apart(said) == ("OK: all", "a=1 b=2 c=3")
    assert taken_apart("") == ("", "")


@given(st.text(max_size=80))
def test_any_text_is_read_without_a_stumble(said: str) -> None:
    """Whatever a plugin prints, reading it never fails."""
    words, measured = taken_apart(said)
    for each in measurements(measured):
        assert each.label
        assert each.tone in ("plain", "warn", "bad")
    assert "\n" not in words
    assert Range() == (read_range(":") or Range())


def test_programs_named_without_a_path_are_looked_for(tmp_path: Path) -> None:
    """In `plugins_from`, in order, and nowhere else."""
    for name, says in (("one", "first"), ("two", "second")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "check_it").write_text(f"#!{sys.executable}\nprint('{says}')")
        (folder / "check_it").chmod(0o755)
    folders = (str(tmp_path / "none"), str(tmp_path / "two"), str(tmp_path / "one"))
    assert probe_once(plugin("check_it", plugins_from=folders)).reason == "second"
    assert probe_once(plugin("sh", plugins_from=folders)).verdict == "inconclusive"
