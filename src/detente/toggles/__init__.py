"""What can we switch without shipping?

from detente import toggles

toggles.follow()  # a node, from now on; DETENTE_ADDRESS and DETENTE_TOKEN say which

if toggles.on("new-checkout", {"targetingKey": user.id}):
    ...
size = toggles.value("basket-size", 20)
"""

from detente.toggles.engine.client import Client, State, Toggle
from detente.toggles.engine.definition import BadDefinition

_client = Client()

follow = _client.follow
follow_file = _client.follow_file
load = _client.load
close = _client.close

on = _client.on
value = _client.value
answer = _client.answer
toggle = _client.toggle
keys = _client.keys
outcome = _client.outcome

listen = _client.listen
openfeature = _client.openfeature
override = _client.override


def state() -> State:
    """Where the rules come from, and whether they may be out of date."""
    return _client.state


__all__ = [
    "BadDefinition",
    "Client",
    "State",
    "Toggle",
    "answer",
    "close",
    "follow",
    "follow_file",
    "keys",
    "listen",
    "load",
    "on",
    "openfeature",
    "outcome",
    "override",
    "state",
    "toggle",
    "value",
]
