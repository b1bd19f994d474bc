"""The queue, a call, the money, what broke and what was rehearsed, as people see them."""

from detente.work.pages import calls, failing, statements
from detente.work.pages.calls import (
    Books,
    CallPage,
    Queue,
    RouteState,
    books_panel,
    call_panel,
    one_call,
    queue,
    signs,
)

__all__ = [
    "ENDPOINTS",
    "PAGES",
    "PANELS",
    "Books",
    "CallPage",
    "Queue",
    "RouteState",
    "books_panel",
    "call_panel",
    "one_call",
    "queue",
    "signs",
]

PAGES = (*calls.PAGES, *failing.PAGES, *statements.PAGES)
PANELS = calls.PANELS
ENDPOINTS = statements.ENDPOINTS
