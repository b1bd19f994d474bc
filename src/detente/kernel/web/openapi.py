"""What may programs ask and do here?

The OpenAPI 3.1 description, made of the same pages and levers that people see.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import msgspec

import detente
from detente.kernel.slice import Endpoint, Lever, Nothing, Page
from detente.kernel.web.pulling import Outcome

Json = dict[str, Any]


def describe(
    name: str,
    address: str,
    pages: Sequence[Page],
    levers: Sequence[Lever],
    endpoints: Sequence[Endpoint] = (),
) -> Json:
    """The whole document."""
    answers = [answered(page) for page in pages]
    forms = [lever.form for lever in levers]
    types = [Outcome, *(kind for kind in (*answers, *forms) if kind is not None)]
    unique = list(dict.fromkeys(types))
    found, components = msgspec.json.schema_components(
        unique, ref_template="#/components/schemas/{name}"
    )
    schemas = dict(zip(unique, found, strict=True))
    paths: dict[str, Json] = {
        "/live": {"get": _LIVE},
        **{_path(page): {"get": _asking(page, schemas)} for page in pages},
        **{f"/levers/{lever.name}": {"post": _pulling(lever, schemas)} for lever in levers},
    }
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _talking(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{name} — Détente", "version": detente.__version__},
        "servers": [{"url": address}],
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def answered(page: Page) -> type[msgspec.Struct] | None:
    """The type of a page's answer, as its function declares it."""
    said = inspect.signature(page.answer).return_annotation
    if isinstance(said, str):
        said = getattr(inspect.getmodule(page.answer), said, None)
    is_struct = isinstance(said, type) and issubclass(said, msgspec.Struct)
    return said if is_struct and said is not msgspec.Struct else None


def _path(page: Page) -> str:
    return "/now.json" if page.path == "/" else f"{page.path}.json"


def _in_path(path: str) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _talking(endpoint: Endpoint) -> Json:
    return {
        "summary": endpoint.explains,
        "operationId": endpoint.method.lower() + re.sub(r"\W+", "_", endpoint.path),
        "parameters": _in_path(endpoint.path),
        "responses": {"200": {"description": "As explained."}, "default": _json(_ERROR_HERE)},
        **({} if endpoint.method == "GET" else {"security": [{"token": []}]}),
    }


def _asking(page: Page, schemas: dict[Any, Json]) -> Json:
    kind = answered(page)
    return {
        "summary": page.title,
        "description": _first_line(kind.__doc__) if kind else "",
        "operationId": "get" + re.sub(r"\W+", "_", page.path),
        "parameters": _in_path(page.path),
        "responses": {"200": _json(schemas.get(kind, {})), "default": _json(_ERROR_HERE)},
    }


def _pulling(lever: Lever, schemas: dict[Any, Json]) -> Json:
    body = {"allOf": [_ABOUT, *([] if lever.form is Nothing else [schemas[lever.form]])]}
    return {
        "summary": lever.label,
        "description": f"{lever.explains} For: {', '.join(lever.kinds)}.",
        "operationId": "pull_" + lever.name.replace(".", "_"),
        "security": [{"token": []}],
        "parameters": [_WHO],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": _json(schemas[Outcome]), "default": _json(_ERROR_HERE)},
    }


def _json(schema: Json) -> Json:
    described = "wrong" if schema is _ERROR_HERE else "the answer"
    return {"description": described, "content": {"application/json": {"schema": schema}}}


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


_ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "What is wrong, and the remedy."}},
}
_ERROR_HERE: Json = {"$ref": "#/components/schemas/Error"}
_ABOUT: Json = {
    "type": "object",
    "required": ["about"],
    "properties": {
        "about": {"type": "string", "description": "The subject, as kind:name."},
        "once": {"type": "string", "description": "Any token; repeated, the lever is pulled once."},
    },
}
_WHO: Json = {
    "name": "X-Detente-Who",
    "in": "header",
    "description": "Who is acting: the name the facts will carry.",
    "schema": {"type": "string"},
}
_LIVE: Json = {
    "summary": "Facts as they land, as server-sent events",
    "operationId": "live",
    "parameters": [
        {
            "name": "hears",
            "in": "query",
            "required": True,
            "description": "Names of facts, comma-separated; slice.* for a whole slice, * for all.",
            "schema": {"type": "string"},
        },
        {
            "name": "after",
            "in": "query",
            "description": "The position from which to hear; now if left out.",
            "schema": {"type": "integer"},
        },
    ],
    "responses": {"200": {"description": "events", "content": {"text/event-stream": {}}}},
}
