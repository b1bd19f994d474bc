"""The incidents, the room of one of them, and what was made of it afterwards."""

from __future__ import annotations

from detente.incidents.pages import changed, retrospective, rooms, story
from detente.incidents.pages.rooms import listed, room, signs

PAGES = (*rooms.PAGES, changed.PAGE, story.PAGE, retrospective.PAGE)
ENDPOINTS = (retrospective.ENDPOINT,)
PANELS = rooms.PANELS

__all__ = ["ENDPOINTS", "PAGES", "PANELS", "listed", "room", "signs"]
