"""Does it answer over HTTP as we expect?

One request, one fresh connection, redirects not followed: a redirect is an answer.
"""

from __future__ import annotations

import errno

from detente.watch.engine.answer import Answer
from detente.watch.engine.faults import fault
from detente.watch.engine.loop import READ, WRITE
from detente.watch.engine.run import Run

CHUNK = 64 * 1024


class HttpRun(Run):
    """Connects, asks, listens, judges."""

    __slots__ = ()

    def connected(self) -> None:
        self.ask()

    def ask(self) -> None:
        """Send the request over the connection that stands."""
        self.phase = "first_byte"
        self.unsent = self.plan.request
        self.answer = Answer(self.plan)
        self.on_writable(0)

    def on_writable(self, _events: int) -> None:
        """Send what is left of the request."""
        assert self.sock is not None
        try:
            sent = self.sock.send(self.unsent)
        except BlockingIOError:
            sent = 0
        except OSError as wrong:
            self.broken_off(wrong)
            return
        self.has_sent(sent)

    def has_sent(self, count: int) -> None:
        self.unsent = self.unsent[count:]
        if self.unsent:
            self.loop.change(self.fd, WRITE, self.on_writable)
        else:
            self.loop.change(self.fd, READ, self.on_readable)

    def on_readable(self, _events: int) -> None:
        """Something came, or the other side hung up."""
        assert self.sock is not None
        try:
            chunk = self.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError as wrong:
            self.broken_off(wrong)
            return
        self.hear(chunk)

    def hear(self, chunk: bytes) -> bool:
        """Take in what was received; true if more is wanted."""
        answer = self.answer
        assert answer is not None
        if not chunk:
            self.hung_up(answer)
            return False
        if not answer.received:
            self.first_byte = self.lap()
            self.phase = "transfer"
        if answer.take(chunk):
            return True
        self.judge(answer)
        return False

    def hung_up(self, answer: Answer) -> None:
        """The other side closed the connection."""
        if answer.received:
            answer.end()
            self.judge(answer)
        else:
            self.fail(f"connection closed by {self.where()} without an answer", "first_byte")

    def judge(self, answer: Answer) -> None:
        """There is an answer, good or bad."""
        self.answered = True
        self.status = answer.status
        self.transfer = self.lap()
        wrong = answer.verdict()
        if wrong is None:
            self.judge_speed()
        else:
            self.fail(wrong, "transfer" if answer.status else "first_byte")

    def broken_off(self, wrong: OSError) -> None:
        self.blame(fault(wrong.errno or errno.ECONNRESET, self.where()), self.phase)

    def let_go(self) -> None:
        super().let_go()
        if self.answer is not None:
            self.received = self.answer.received
            self.status = self.answer.status
            self.answer.close()
            self.answer = None
