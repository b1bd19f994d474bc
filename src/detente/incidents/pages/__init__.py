"""The incidents, the room of one of them, and what was made of it afterwards."""

from __future__ import annotations

from detente.incidents.pages import changed, rooms
from detente.incidents.pages.rooms import listed, room, signs

PAGES = (*rooms.PAGES, changed.PAGE)
PANELS = rooms.PANELS

__all__ = ["PAGES", "PANELS", "listed", "room", "signs"]
