"""What is asked, how, and from where? Checks as a prober wants them."""

from __future__ import annotations

import msgspec

from detente.watch.engine.wire import Orders, Probe
from detente.watch.settings import Check, Watch, filled_in


def orders_for(watch: Watch, place: str) -> Orders:
    """Everything that place asks."""
    outside = watch.places.get(place)
    canaries = watch.canaries if outside is None else outside.canaries
    mine = {name: check for name, check in watch.checks.items() if place in watch.looking_at(check)}
    return Orders(
        probes=tuple(probe(name, check, watch) for name, check in mine.items()),
        canaries=tuple(str(each) for each in canaries),
        place=place,
    )


def only(orders: Orders, *, plugins: bool) -> Orders:
    """The part of the orders that goes to the worker of plugins, or to the prober of all else."""
    wanted = tuple(each for each in orders.probes if (each.kind == "plugin") == plugins)
    return msgspec.structs.replace(orders, probes=wanted)


def probe(name: str, check: Check, watch: Watch) -> Probe:
    """The check as the prober wants it. Secrets are revealed here and nowhere shown."""
    if check.kind == "plugin":
        return _plugin(name, check, watch)
    secrets = {key: value.reveal() for key, value in check.secret_headers.items()}
    asked = Probe(
        id=name,
        kind=check.kind,
        target=check.target,
        every=float(check.every),
        timeout=float(check.waits),
        method=check.method,
        headers={**check.headers, **secrets},
        expect_body=check.expect.body,
        expect_body_regex=check.expect.matches,
        slow_after=None if check.slow_after is None else float(check.slow_after),
        tls_verify=check.verify,
        ca_file=check.trust,
        expires_within=float(check.valid_for) if check.kind == "tls" else 0.0,
        ip=check.ip,
    )
    if check.expect.status:
        asked = msgspec.structs.replace(asked, expect_status=check.expect.status)
    return asked


def _plugin(name: str, check: Check, watch: Watch) -> Probe:
    secret_env = {key: value.reveal() for key, value in check.secret_env.items()}
    secrets = [value.reveal() for value in check.secret_arguments.values()]
    return Probe(
        id=name,
        kind="plugin",
        target=check.target,
        every=float(check.every),
        timeout=float(check.waits),
        slow_after=None if check.slow_after is None else float(check.slow_after),
        command=filled_in(check),
        plugins_from=watch.plugins_from,
        surroundings={**check.env, **secret_env},
        secrets=(*secrets, *secret_env.values()),
    )
