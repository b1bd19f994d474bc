"""What did the server say, whatever it said?

Takes in the bytes of one HTTP/1.1 answer as they come. No sockets here: `http` brings the bytes.
"""

from __future__ import annotations

from http import HTTPStatus

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from detente.watch.engine.plan import Plan

BODY_LIMIT = 1024 * 1024
HEAD_LIMIT = 64 * 1024


class Answer:
    """An answer, as far as it has come. The parser calls the methods named `on_…`."""

    __slots__ = ("body", "complete", "head", "parser", "plan", "received", "status", "wrong")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.received = 0
        self.status: int | None = None  # known once all headers are here
        self.complete = False
        self.wrong: str | None = None  # why this cannot be read
        self.head = b""
        self.body = bytearray() if plan.looks_at_body else None
        self.parser: HttpResponseParser | None = HttpResponseParser(self)

    def take(self, chunk: bytes) -> bool:
        """Read on. False once nobody needs more of it."""
        self.received += len(chunk)
        if self.status is None:
            self.head += chunk
        assert self.parser is not None
        try:
            self.parser.feed_data(chunk)
        except HttpParserUpgrade:
            self.complete = True
        except HttpParserError as wrong:
            if not self.complete:
                self.wrong = self._unreadable(wrong)
                return False
        return not (self.complete or self._enough())

    def _enough(self) -> bool:
        return self.received > (HEAD_LIMIT if self.status is None else BODY_LIMIT)

    def _unreadable(self, wrong: HttpParserError) -> str:
        if self.status is None:
            return "answered, but not with HTTP"
        return f"the answer cannot be read to its end: {wrong}"

    def end(self) -> None:
        """The other side hung up: was that the end of the answer, or did it break off?"""
        if self.complete:
            return
        if self.status is None:
            self.wrong = "the answer broke off within its headers"
        elif self._length_was_promised():
            self.wrong = f"the answer broke off after {self.received:,} bytes"
        else:
            self.complete = True

    def _length_was_promised(self) -> bool:
        head = self.head.partition(b"\r\n\r\n")[0].lower()
        return b"\ncontent-length:" in head or b"\ntransfer-encoding:" in head

    def verdict(self) -> str | None:
        """Why this is not the answer we expect; None if it is."""
        if self.wrong is not None:
            return self.wrong
        if self.status is None:
            return f"answered, but its headers do not end within {HEAD_LIMIT // 1024} KiB"
        if self.status not in self.plan.accepts:
            return f"HTTP {self.status} {_phrase(self.status)}".rstrip()
        if self.body is not None:
            return self._missing(bytes(self.body))
        return None

    def _missing(self, body: bytes) -> str | None:
        plan, probe = self.plan, self.plan.probe
        where = "answer" if self.complete else f"first {BODY_LIMIT // 1024} KiB of the answer"
        if plan.phrase is not None and plan.phrase not in body:
            return f"“{probe.expect_body}” is not in the {where}"
        if plan.pattern is not None and not plan.pattern.search(body):
            return f"nothing in the {where} matches “{probe.expect_body_regex}”"
        return None

    def close(self) -> None:
        """Let go of the parser, which holds our methods: a circle only the collector could open."""
        self.parser = None

    # -- what the parser finds ----------------------------------------------------------------

    def on_headers_complete(self) -> None:
        assert self.parser is not None
        status = self.parser.get_status_code()
        if status >= 200 or status == 101:
            self.status = status
            self.complete = self.plan.without_body

    def on_body(self, part: bytes) -> None:
        if self.body is not None:
            self.body += part

    def on_message_complete(self) -> None:
        if self.status is None:
            self.head = b""  # “100 Continue” and its kind: the answer itself is still to come
        else:
            self.complete = True


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
