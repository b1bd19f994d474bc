"""What other programs ask of toggles, over real connections, with the real clients."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError

from detente.facts.toggles import Counted
from detente.kernel.clock import SystemClock
from detente.kernel.ledger import Query
from detente.toggles.engine.client import Client, State
from detente.toggles.engine.counting import Batch, Usage, encoded

from ..suites import suite, wants
from .running import DECLARED, Running

NOW = SystemClock().now()
ONE, ALL = "/ofrep/v1/evaluate/flags/{}", "/ofrep/v1/evaluate/flags"
GOLD = {"targetingKey": "ann", "plan": "gold"}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "node") as running:
        yield running


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()


# -- OFREP -----------------------------------------------------------------------------------------


def schema(name: str) -> jsonschema.Draft202012Validator:
    """The protocol's own, with two mistakes of it set right.

    Its kinds of values are told apart by `oneOf`, though each value fits several of them; and its
    reasons lack DEFAULT, which flagd answers and every client knows.
    """
    text = (suite("ofrep") / "openapi.yaml").read_text()
    whole = yaml.safe_load(text.replace("oneOf:", "anyOf:"))
    success = whole["components"]["schemas"]["evaluationSuccess"]
    success["allOf"][0]["properties"]["reason"]["enum"].append("DEFAULT")
    return jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": whole["components"]}
    )


@pytest.mark.suite
@wants("ofrep")
def test_answers_fit_the_protocols_schema(node: Running) -> None:
    """Each answer, good or bad, is as OpenFeature's remote protocol describes it."""
    for key in ("checkout", "half", "timeout", "rate"):
        status, told, _ = node.ask("POST", ONE.format(key), {"context": GOLD})
        assert status == 200
        schema("serverEvaluationSuccess").validate(told)
        assert isinstance(told["variant"], str)
    status, told, _ = node.ask("POST", ONE.format("gone"), {"context": {}})
    assert status == 404
    schema("flagNotFound").validate(told)
    status, told, _ = node.ask("POST", ALL, {"context": GOLD})
    assert status == 200
    schema("bulkEvaluationSuccess").validate(told)
    assert {flag["key"] for flag in told["flags"]} == {"checkout", "half", "timeout", "rate"}
    for body in ({"context": []}, b"{", b"\xff", {"context": "ann"}):
        status, told, _ = node.ask("POST", ONE.format("checkout"), body)
        assert status == 400
        schema("evaluationFailure").validate(told)
        assert "Send" in told["errorDetails"]
        status, told, _ = node.ask("POST", ALL, body)
        assert status == 400
        schema("bulkEvaluationFailure").validate(told)


def test_the_real_client_gets_real_answers(node: Running) -> None:
    """OpenFeature's own provider evaluates each kind, with the node's token."""
    token = {"Authorization": f"Bearer {node.node.token}"}
    provider = OFREPProvider(node.address, headers_factory=lambda: token)
    ann = EvaluationContext("ann", {"plan": "gold"})
    try:
        assert provider.resolve_boolean_details("checkout", False, ann).value is True
        assert provider.resolve_boolean_details("checkout", True, None).value is False
        assert provider.resolve_integer_details("timeout", 1).value == 1500
        assert provider.resolve_float_details("rate", 0.1).value == 1.0
        with pytest.raises(FlagNotFoundError, match="no toggle called"):
            provider.resolve_boolean_details("gone", False)
        node.pull("on", "checkout")
        assert provider.resolve_boolean_details("checkout", False).value is True
    finally:
        provider.session.close()


def test_an_etag_is_of_the_rules_and_of_who_asks(node: Running) -> None:
    """304 only where nothing can be different: other contexts and newer rules get an answer."""
    _, told, headers = node.ask("POST", ALL, {"context": GOLD})
    tag, stream = headers["etag"], told["eventStreams"][0]["endpoint"]["requestUri"]
    assert stream == "/ofrep/v1/events"

    def asked(context: Any, query: str = "", seen: str = tag) -> int:
        return node.ask("POST", ALL + query, {"context": context}, If_None_Match=seen)[0]

    assert (
        asked(GOLD) == asked(GOLD, seen=f'W/"x", {tag}') == asked(GOLD, seen=tag.strip('"')) == 304
    )
    assert asked({**GOLD, "plan": "free"}) == asked(GOLD, seen='"other"') == 200
    version = node.ask("GET", "/toggles/definitions")[2]["etag"].strip('"')
    assert asked(GOLD, f"?flagConfigEtag={version}") == 304
    assert asked(GOLD, "?flagConfigEtag=newer-than-we-know") == 200
    node.pull("kill", "checkout")
    assert asked(GOLD) == 200


def test_answers_are_for_those_with_the_token(node: Running) -> None:
    """OFREP posts, so it shows the node's token like every program that posts."""
    for path in (ALL, ONE.format("checkout"), "/toggles/counts"):
        status, told, _ = node.ask(
            "POST", path, {"context": {}}, token=False, Accept="application/json"
        )
        assert status == 403
        assert "Authorization: Bearer" in told["error"]


def test_definitions_are_flagds(node: Running) -> None:
    """The rule book as it stands, to read and to compare; unchanged it is not sent again."""
    status, book, headers = node.ask("GET", "/toggles/definitions", token=False)
    assert (status, book["metadata"]["fractionalGeneration"]) == (200, "v3")
    assert set(book["flags"]["checkout"]["variants"]) == {"on", "off"}
    again = node.ask("GET", "/toggles/definitions", token=False, If_None_Match=headers["etag"])
    assert again[0] == 304


# -- our own client ----------------------------------------------------------------------------------


class Following:
    """A client that follows, and every state it was in."""

    def __init__(self, address: str, cache: Path | None, token: str = "") -> None:
        self.states: queue.Queue[State] = queue.Queue()
        self.client = Client(program="shop")
        self.client.listen(self.states.put)
        self.client.follow(address, token=token, cache=cache, wait=10)

    def until(self, *, stale: bool, origin: str = "node") -> State:
        while True:
            state = self.states.get(timeout=20)
            if (state.stale, state.origin) == (stale, origin):
                return state


def test_a_switch_arrives_and_outlives_the_node(node: Running, tmp_path: Path) -> None:
    """Live while the node is there; from memory, then from disk, while it is away; live again after."""
    cache = tmp_path / "kept" / "toggles.json"
    shop = Following(node.address, cache)
    first = shop.until(stale=False)
    assert shop.client.on("checkout") is False
    node.pull("on", "checkout")
    assert shop.until(stale=False).version != first.version
    assert shop.client.on("checkout") is True
    node.__exit__(None, None, None)
    shop.until(stale=True)
    assert shop.client.on("checkout") is True
    late = Following(node.address, cache)
    assert late.until(stale=True, origin="disk").version == shop.client.state.version
    assert late.client.on("checkout") is True
    late.client.close()
    with Running(node.home, port=node.port) as again:
        assert shop.until(stale=False).version == shop.client.state.version
        again.pull("kill", "checkout")
        shop.until(stale=False)
        assert shop.client.on("checkout", GOLD) is False
    shop.client.close()
    assert json.loads(cache.read_bytes())["flags"]["checkout"]["defaultVariant"] == "off"
    assert [each.name for each in cache.parent.iterdir()] == [cache.name]


def test_a_damaged_cache_is_no_trouble(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without node and with half a file the program's defaults count, and the log says why."""
    cache = tmp_path / "toggles.json"
    cache.write_bytes(b'{"flags": {"checkout"')
    client = Client()
    assert client.follow("http://127.0.0.1:9", token="", cache=cache) is False
    assert client.on("checkout", default=True) is True
    client.close()
    assert "cannot be used" in caplog.text


def test_what_was_asked_reaches_the_node_once(node: Running, tmp_path: Path) -> None:
    """Counts and outcomes become one fact; the same batch told again changes nothing."""
    shop = Following(node.address, None, token=node.node.token)
    shop.until(stale=False)
    shop.client.on("checkout", GOLD)
    shop.client.outcome("checkout", ok=False, context=GOLD)
    shop.client.close()
    (told,) = counted(node)
    assert told.about == "program:shop"
    assert told.counts["checkout"]["on"].asked == told.counts["checkout"]["on"].failed == 1
    now = node.node.clock.now()
    batch = Batch(
        id="7", program="shop", since=now, until=now, counts={"x": {"on": Usage(asked=2**53)}}
    )
    other = msgspec.structs.replace(batch, program="till")
    for each in (batch, batch, other):
        assert node.ask("POST", "/toggles/counts", encoded(each))[0] == 204
    assert [each.about for each in counted(node)][1:] == ["program:shop", "program:till"]


def test_a_token_for_programs_switches_nothing(tmp_path: Path) -> None:
    """It asks and tells; the node's own does, too; a wrong one or none does not."""
    secret = tmp_path / "programs"
    secret.write_text("only-asks\n")
    declared = DECLARED.replace(
        "toggles:\n  toggles:", f"toggles:\n  token: {{file: {secret}}}\n  toggles:"
    )
    now = SystemClock().now()
    counts = {"id": "1", "program": "a", "since": now, "until": now, "counts": {}}
    asked = [(ONE.format("checkout"), {}, 200), (ALL, {}, 200), ("/toggles/counts", counts, 204)]
    form = {"about": "toggle:checkout", "why": "we want it"}
    with Running(tmp_path / "node", declared) as node:
        for path, body, status in asked:
            for token in ("only-asks", node.node.token):
                shown = {"Authorization": f"Bearer {token}"}
                assert node.ask("POST", path, body, token=False, **shown)[0] == status
            for shown in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Bearer "}):
                said = {**shown, "Accept": "application/json"}
                assert node.ask("POST", path, body, token=False, **said)[0] == 403
        shown = {"Authorization": "Bearer only-asks", "Accept": "application/json"}
        assert node.ask("POST", "/levers/toggles.on", form, token=False, **shown)[0] == 403
        secret.unlink()
        assert node.ask("POST", ALL, {}, token=False, **shown)[0] == 403
        assert node.ask("POST", ALL, {})[0] == 200


def counted(node: Running) -> list[Any]:
    return [each.fact for each in node.node.ledger.read(Query(names=(Counted.name,)))]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "The body is not JSON"),
        ({}, "id: this has to be filled in"),
        ({"id": "1", "program": "a b", "since": 1, "until": 2, "counts": {}}, "“program”"),
        ({"id": "", "program": "a", "since": 1, "until": 2, "counts": {}}, "“id”"),
        ({"id": "1", "program": "a", "since": 3, "until": 2, "counts": {}}, "“until”"),
        ({"id": "1", "program": "a", "since": 1, "until": NOW, "counts": {}}, "“since” is more than a day"),
        ({"id": "1", "program": "a", "since": NOW, "until": 2**62, "counts": {}}, "“until” is more than a day"),
        ({"id": "1", "program": "a", "since": NOW, "until": 10**19, "counts": {}}, "“until” is more than a day"),
        ({"id": "1", "program": "a", "since": NOW, "until": NOW, "counts": {"x": {"on": {"asked": -1}}}}, "“counts.x.on.asked” is -1"),
        ({"id": "1", "program": "a", "since": NOW, "until": NOW, "counts": {"x": {"": {"failed": 2**53 + 1}}}}, "“counts.x..failed”"),
    ],
)  # fmt: skip
def test_bad_counts_are_refused(node: Running, body: Any, says: str) -> None:
    """A sentence that names the field, and nothing is written."""
    status, told, _ = node.ask("POST", "/toggles/counts", body, Accept="application/json")
    assert status == 400
    assert says in told["error"]
    assert counted(node) == []


PRELOADED = """
import os, queue, signal, sys
from detente import toggles
heard = queue.SimpleQueue()
toggles.listen(heard.put)
assert toggles.follow(sys.argv[1], token="", cache=None, wait=10)
read, write = os.pipe()
if os.fork() == 0:  # as a server does that loads the program once and serves it many times
    while toggles.state().stale or not toggles.on("checkout"):
        if not toggles.state().stale:
            os.write(write, b"+")
        heard.get(timeout=20)
    os.write(write, b"!")
    os._exit(0)
os.close(write)
with os.fdopen(read, "rb", buffering=0) as said:
    assert said.read(1) == b"+"
    print("following", flush=True)
    while said.read(1) != b"!":
        pass
print("arrived", flush=True)
"""


@pytest.mark.slow
def test_a_forked_child_follows_by_itself(node: Running) -> None:
    """Threads do not survive a fork; the child starts its own and hears of the switch."""
    child = subprocess.Popen(
        [sys.executable, "-c", PRELOADED, node.address], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "following\n"
        node.pull("on", "checkout")
        assert child.stdout.readline() == "arrived\n"
        assert child.wait(20) == 0
    finally:
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
        child.communicate()


def test_ofrep_clients_are_told_when_to_ask_again(node: Running) -> None:
    """The stream sends a notice with the new version, never the rules, and nothing while all is as it was."""
    from detente.toggles.engine.stream import Line

    line = Line(node.address, timeout=20)
    events = line.events("/ofrep/v1/events", {})
    try:
        heard = [next(events), next(events)]
        while heard[-1].kind != "unchanged":
            heard.append(next(events))
        node.pull("on", "checkout")
        event = next(each for each in events if each.kind)
        told = json.loads(event.data)
        assert (event.kind, told["type"]) == ("message", "refetchEvaluation")
        version = node.ask("GET", "/toggles/definitions")[2]["etag"].strip('"')
        assert event.id == told["etag"] == version
    finally:
        line.close()
