"""What does the prober's process do from its first moment to its last?

It reads orders from one pipe, writes results to another, and nothing else anywhere. When the node
goes, so does it.
"""

from __future__ import annotations

import os
import signal
import sys

from detente.watch.engine.loop import READ, Loop
from detente.watch.engine.outlet import Gone, Outlet
from detente.watch.engine.plan import Mistake
from detente.watch.engine.prober import Prober, raise_file_limit
from detente.watch.engine.wire import BadFrame, Frames, orders


class Inlet:
    """Reads frames of orders from a descriptor and hands them on."""

    def __init__(self, loop: Loop, fd: int, prober: Prober) -> None:
        self.fd = fd
        self.prober = prober
        self.frames = Frames()
        os.set_blocking(fd, False)
        loop.watch(fd, READ, self.on_readable)

    def on_readable(self, _events: int) -> None:
        try:
            chunk = os.read(self.fd, 1 << 20)
        except BlockingIOError:
            return
        if not chunk:
            raise Gone("the node closed the pipe of orders")
        for body in self.frames.feed(chunk):
            self.prober.obey(orders(body))


def serve(orders_from: int, results_to: int) -> None:
    """Carry out orders until the node is gone."""
    parent = os.getppid()
    loop = Loop()
    outlet = Outlet(loop, results_to)
    prober = Prober(loop, outlet.take, files=raise_file_limit())
    Inlet(loop, orders_from, prober)
    try:
        while os.getppid() == parent:
            if outlet.full:
                prober.pause()
            prober.turn(outlet.patience())
            outlet.tend()
    except Gone:
        pass
    finally:
        prober.close()
        loop.close()


def main() -> int:
    """Run as a process: orders on stdin, results on stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the node, which tells us
    try:
        serve(sys.stdin.fileno(), sys.stdout.fileno())
    except (BadFrame, Mistake) as wrong:
        sys.stderr.write(f"the prober stops: {wrong}\n")
        return 2
    except PermissionError:
        sys.stderr.write("the prober reads orders from a pipe; `detente up` starts it\n")
        return 2
    return 0
