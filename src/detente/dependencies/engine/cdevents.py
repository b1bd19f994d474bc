"""What does a CDEvent say was changed?

CDEvents (https://cdevents.dev) are what pipelines of other makers send. Those about a service or an
environment in production are changes; the many others (a build began, a test passed) are not. They come
bare, or inside a CloudEvent in structured mode.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

_TYPE = re.compile(r"dev\.cdevents\.([a-z]+)\.([a-z]+)\.\d+\.\d+\.\d+\S*")

CHANGES: Mapping[tuple[str, str], str] = {
    ("service", "deployed"): "was deployed",
    ("service", "upgraded"): "was upgraded",
    ("service", "rolledback"): "was rolled back",
    ("service", "published"): "was published",
    ("service", "removed"): "was removed",
    ("environment", "created"): "was created",
    ("environment", "modified"): "was modified",
    ("environment", "deleted"): "was deleted",
}


class NoCDEvent(ValueError):
    """It says that it is a CDEvent, and is none; the message names the field."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What one event tells."""

    id: str
    source: str
    type: str
    what: str  # "was deployed"; empty if this kind of event is no change
    names: tuple[str, ...]  # by which the map may know what was changed
    environment: str
    artifact: str
    at: str
    link: str

    @property
    def title(self) -> str:
        """'shop was deployed (shop 0b31b1c02ff4)'."""
        artifact = f" ({self.artifact})" if self.artifact else ""
        return f"{self.names[-1]} {self.what}{artifact}"


def event_in(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The CDEvent in it, if that is what it holds."""
    inside = body.get("data") if "specversion" in body else body
    context = inside.get("context") if isinstance(inside, dict) else None
    said = context.get("type") if isinstance(context, dict) else None
    return inside if isinstance(said, str) and said.startswith("dev.cdevents") else None


def read(event: Mapping[str, Any]) -> Event:
    """What it tells. Raises NoCDEvent."""
    context, subject = _part(event, "context"), _part(event, "subject")
    kind = _text(context, "context.type")
    parts = _TYPE.fullmatch(kind)
    content = subject.get("content")
    content = content if isinstance(content, dict) else {}
    return Event(
        id=_text(context, "context.id"),
        source=_text(context, "context.source"),
        type=kind,
        what=CHANGES.get((parts[1], parts[2]), "") if parts else "",
        names=_names(_text(subject, "subject.id"), content),
        environment=_said(content.get("environment"), "id"),
        artifact=_in_short(_said(content, "artifactId")),
        at=_text(context, "context.timestamp"),
        link=next((uri for uri in (_said(content, "uri"), _said(content, "url")) if uri), ""),
    )


def _part(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = event.get(name)
    if not isinstance(found, dict):
        raise NoCDEvent(f"{name} is missing; a CDEvent has context and subject")
    return found


def _text(part: Mapping[str, Any], where: str) -> str:
    found = part.get(where.rpartition(".")[2])
    if not isinstance(found, str) or not found.strip():
        raise NoCDEvent(f"{where} is missing; a CDEvent says it as a text")
    return found


def _said(part: Any, name: str) -> str:
    found = part.get(name) if isinstance(part, dict) else None
    return found if isinstance(found, str) else ""


def _names(subject_id: str, content: Mapping[str, Any]) -> tuple[str, ...]:
    """What it may be called here: the whole id, the last part of a path or package, its name."""
    last = re.split(r"[/:]", unquote(subject_id).partition("@")[0].rstrip("/"))[-1]
    told = (subject_id, last, _said(content, "name"))
    return tuple(dict.fromkeys(name for name in told if name))


def _in_short(package: str) -> str:
    """`pkg:oci/shop@sha256%3A0b31b1c02ff458ad` → 'shop 0b31b1c02ff4'."""
    name, _, version = unquote(package).partition("?")[0].partition("@")
    return f"{name.rpartition('/')[2]} {version.removeprefix('sha256:')[:12]}".strip()
