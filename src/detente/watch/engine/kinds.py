"""Which state machine runs this check?

Loaded with the first check of its kind: `ssl` and the HTTP parser cost memory that a prober of
plain ports need not spend.
"""

from __future__ import annotations

from detente.watch.engine.plan import Plan
from detente.watch.engine.run import Run


def kind_of_run(plan: Plan) -> type[Run]:
    """The class whose instances make runs of this plan."""
    if plan.probe.kind == "plugin":
        from detente.watch.engine.plugin import PluginRun

        return PluginRun
    if plan.mistake is not None or plan.probe.kind == "tcp":
        return Run
    if plan.probe.kind == "tls":
        from detente.watch.engine.tls import TlsRun

        return TlsRun
    if plan.secure:
        from detente.watch.engine.https import HttpsRun

        return HttpsRun
    from detente.watch.engine.http import HttpRun

    return HttpRun
