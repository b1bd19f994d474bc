"""Whose fault is it that a socket did not work, and how do both sides say it?

What this machine refuses by itself (no route, no descriptors, no ports) is the prober's own fault.
What came back over the network, or never came, is the target's.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple


class Fault(NamedTuple):
    """Why a run found no answer. `ours` means it says nothing about the target."""

    ours: bool
    reason: str


_ALWAYS_OURS = {
    errno.EMFILE: "the prober has no file descriptors left: raise `ulimit -n` or check less often",
    errno.ENFILE: "this machine has no file descriptors left: raise `fs.file-max`",
    errno.ENOBUFS: "this machine has no network buffers left",
    errno.ENOMEM: "this machine has no memory left",
    errno.EADDRNOTAVAIL: "this machine has no free local port or address to reach {where} from",
    errno.EACCES: "this machine does not allow the prober to reach {where}: look at its firewall",
    errno.EPERM: "this machine does not allow the prober to reach {where}: look at its firewall",
    errno.ENETDOWN: "the network of this machine is down",
    errno.EAFNOSUPPORT: "this machine cannot speak the protocol of {where}: is IPv6 switched off?",
    errno.EINVAL: "this machine cannot use the address {where}",
    errno.EAGAIN: "this machine has no free local port to reach {where} from",
}

_OURS_AT_ONCE = {
    errno.ENETUNREACH: "this machine has no route to {where}",
    errno.EHOSTUNREACH: "this machine has no route to {where}",
}

_THEIRS = {
    errno.ECONNREFUSED: "connection refused by {where}",
    errno.ECONNRESET: "connection reset by {where}",
    errno.EPIPE: "connection closed by {where}",
    errno.ECONNABORTED: "connection broken off by {where}",
    errno.ETIMEDOUT: "no answer from {where}: the connection timed out",
    errno.ENETUNREACH: "the network of {where} cannot be reached",
    errno.EHOSTUNREACH: "{where} cannot be reached",
}


def fault(code: int, where: str, *, at_once: bool = False) -> Fault:
    """The fault behind an error number.

    `at_once`: this machine said so without asking anyone, when the connection was only begun.
    """
    ours = _ALWAYS_OURS.get(code) or (_OURS_AT_ONCE.get(code) if at_once else None)
    if ours is not None:
        return Fault(True, ours.format(where=where))
    theirs = _THEIRS.get(code)
    if theirs is None:
        return Fault(False, f"{where}: {os.strerror(code)}")
    return Fault(False, theirs.format(where=where))
