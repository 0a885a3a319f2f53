"""What the gateway offers over HTTP now, as an OpenAPI 3.1 document made from the configuration in use."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from aiohttp import web

from pipe.config.models import Configuration, RouteConfig
from pipe.errors import NoCredentials, PipeError, every_error
from web.pages.described import SECURITY, Described
from web.pages.router import Operation

Document = dict[str, Any]

_PROBLEM = "application/problem+json"
_MEDIA = {"json": "application/json", "xml": "application/xml", "csv": "text/csv", "text": "text/plain"}
_HEADER_KEY = re.compile(r"header\('([A-Za-z0-9-]+)'\)|headers\.([a-z0-9_]+)")
_REFUSED = (400, 404, 405, 408, 414, 431, 500, 503)
"""what any request may meet"""
_OF_A_BODY = (409, 413, 415, 422)
_OF_A_CALL = (409, 422, 502, 504, 508)
_SEGMENT, _REST = r"^(?!\.{1,2}$)[^/\x00-\x1f\x7f]+$", r"^[^\x00-\x1f\x7f]+$"
_TEXT = {"text/plain": {"schema": {"type": "string"}}}


def document(configuration: Configuration, operations: Iterable[Operation] = ()) -> Document:
    """The whole document; `operations` are those of the pages, of which some are for programs, too."""
    writer = _Writer(configuration)
    described = Described(operations, _problem)
    paths: dict[str, Any] = {}
    for route in configuration.routes.values():
        options: Any = route.source.options
        if hasattr(options, "methods") and hasattr(options, "path"):
            entry = paths.setdefault(f"/pipe{re.sub(r':path}', '}', options.path)}", {})
            for method in options.methods:
                entry[method.lower()] = writer.operation(route, method, options.path)
    if paths:
        paths["/pipe/messages/{id}"] = {"get": writer.story()}
    paths |= {**_OWN, **described.paths}
    ways = SECURITY if described.paths else {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PIPE",
            "version": configuration.revision or "0",
            "description": "What this gateway takes and tells.",
        },
        "paths": paths,
        "components": {
            "schemas": {**_SCHEMAS, **writer.schemas, **described.schemas},
            "securitySchemes": {**writer.security, **ways},
        },
    }


class Api:
    """Serves the document; it is made again when another configuration is in use."""

    def __init__(
        self, configuration: Callable[[], Configuration], operations: Iterable[Operation] = (), *, open_to_all: bool
    ) -> None:
        self._configuration, self._operations, self._open = configuration, tuple(operations), open_to_all
        self._made: tuple[str, bytes] | None = None

    async def serve(self, request: web.Request) -> web.Response:
        """The JSON. Raises NoCredentials where strangers could ask."""
        if not self._open:
            raise NoCredentials("what is offered here is told on a loopback listener only")
        configuration = self._configuration()
        if self._made is None or self._made[0] != configuration.revision:
            self._made = (configuration.revision, orjson.dumps(document(configuration, self._operations)))
        return web.Response(body=self._made[1], content_type="application/json")


class _Writer:
    """Writes operations, and collects the schemas and ways to sign in that they name."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self.schemas: dict[str, Any] = {}
        self.security: dict[str, Any] = {}

    def operation(self, route: RouteConfig, method: str, path: str) -> Document:
        """One method of one route."""
        synchronous = route.reply.mode == "sync"
        spec = self._configuration.connections[route.source.connection or ""]
        secured = self._security(spec.config.auth)
        responses: dict[str, Any] = _answers(route) if synchronous else {"202": _ACCEPTED}
        statuses = {
            *_REFUSED,
            *_OF_A_BODY,
            *(_OF_A_CALL if synchronous else ()),
            *((401,) if secured else ()),
            *((429,) if spec.config.rate else ()),
        }
        for status in sorted(statuses):
            responses.setdefault(str(status), _problem(status))
        for fault in route.reply.faults:
            responses[str(fault.status)] = {
                "description": f"`{fault.when}`",
                "content": {"application/json": {}, _PROBLEM: {"schema": _ref("Problem")}},
            }
        written: Document = {
            "operationId": f"{method.lower()}-{route.name}",
            "summary": f"Route {route.name}: {'answered at once' if synchronous else 'accepted, then delivered'}.",
            "parameters": [*_named(path), *_key(route)],
            "responses": responses,
            "security": secured,
        }
        if method in ("POST", "PUT", "PATCH"):
            written["requestBody"] = self._body(route)
        return written

    def story(self) -> Document:
        """What became of a message."""
        parameter = {
            "name": "id",
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
            "description": "As the acceptance told it.",
        }
        answers = {
            "200": {"description": "Its story.", "content": {"application/json": {"schema": {"type": "object"}}}}
        }
        ways: list[Document] = [{name: []} for name in self.security]
        return {
            "operationId": "story-of-a-message",
            "summary": "What became of a message, for the caller that sent it.",
            "parameters": [parameter],
            "responses": {**answers, **{str(status): _problem(status) for status in (*_REFUSED, 401)}},
            "security": [{}, *ways],
        }

    # --- bodies ---

    def _body(self, route: RouteConfig) -> Document:
        word = next((step.config.chosen()[0] for step in route.steps[:2] if step.name == "decode"), None)
        media = _MEDIA.get(word or "", "application/octet-stream")
        content: Document = {}
        if media == "application/json":
            content = {"schema": self._schema(route)}
        elif media == "text/plain":
            content = {"schema": {"type": "string"}}
        return {"required": word is not None, "content": {media: content}}

    def _schema(self, route: RouteConfig) -> Any:
        for step in route.steps[:2]:
            file = getattr(getattr(step.config, "root", None), "path", "")
            if step.name == "check" and file.endswith(".json"):
                return self._taken(posixpath.normpath(posixpath.join(posixpath.dirname(step.place.file), file)))
        return {}

    def _taken(self, name: str) -> Document:
        """A reference to a schema file, that file and those it names taken into the document."""
        key = _component(name)
        if key not in self.schemas and name in self._configuration.files:
            self.schemas[key] = {}
            self.schemas[key] = self._moved(orjson.loads(self._configuration.files[name]), name)
        return _ref(key)

    def _moved(self, value: Any, name: str) -> Any:
        """A schema with its references leading into the document."""
        if isinstance(value, list):
            return [self._moved(each, name) for each in value]
        if not isinstance(value, dict):
            return value
        moved = {key: self._moved(inner, name) for key, inner in value.items() if key not in ("$id", "$schema")}
        if isinstance(reference := moved.get("$ref"), str) and "://" not in reference:
            location, _, fragment = reference.partition("#")
            file = posixpath.normpath(posixpath.join(posixpath.dirname(name), location)) if location else name
            moved["$ref"] = f"{self._taken(file)['$ref']}{fragment}"
        return moved

    # --- who may ---

    def _security(self, auth: Any) -> list[Document]:
        """The ways that `auth:` names; any one is enough, none: everybody may."""
        ways = [] if auth in (None, "none") else auth if isinstance(auth, list) else [auth]
        names = [next(iter(way.model_fields_set)) for way in ways]
        for name in names:
            self.security[name] = _SCHEMES[name]
        return [{name: []} for name in names]


def _named(path: str) -> list[Document]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": _REST if rest else _SEGMENT},
        }
        for name, rest in re.findall(r"{([A-Za-z_][A-Za-z0-9_]*)(:path)?}", path)
    ]


def _key(route: RouteConfig) -> list[Document]:
    """The header that names a message, where its key is one."""
    if route.idempotency is None or (found := _HEADER_KEY.fullmatch(str(route.idempotency.key))) is None:
        return []
    told = "The same key and body are taken once."
    name = found[1] or found[2].replace("_", "-").title()
    return [
        {
            "name": name,
            "in": "header",
            "required": route.idempotency.required,
            "schema": {"type": "string"},
            "description": told,
        }
    ]


def _answers(route: RouteConfig) -> Document:
    media: Document = {"application/json": {}} if route.reply.steps else {"*/*": {}}
    return {
        "200": {"description": "The answer.", "content": media},
        "201": {"description": "The answer.", "content": media},
        "204": {"description": "There is no answer."},
    }


def _problem(status: int) -> Document:
    kinds = sorted({kind.code for kind in _of_status(status)})
    return {
        "description": f"Refused: {', '.join(kinds) or 'see the body'}.",
        "content": {_PROBLEM: {"schema": _ref("Problem")}},
    }


def _of_status(status: int) -> Iterable[type[PipeError]]:
    return (kind for kind in every_error() if kind.status == status and not kind.code.endswith("000"))


def _ref(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}


def _component(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


_ACCEPTED: Mapping[str, Any] = {
    "description": "The message is safe on disk.",
    "content": {"application/json": {"schema": _ref("Accepted")}},
    "headers": {"Idempotent-Replayed": {"schema": {"const": "true"}, "description": "It had been accepted before."}},
}
_SCHEMAS: Mapping[str, Any] = {
    "Accepted": {
        "type": "object",
        "properties": {"id": {"type": "string"}, "status_url": {"type": "string"}},
        "required": ["id", "status_url"],
    },
    "Problem": {
        "type": "object",
        "description": "RFC 9457.",
        "properties": {
            "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
            "code": {"type": "string"}, "detail": {"type": "string"}, "hint": {"type": "string"},
            "id": {"type": "string"}, "path": {"type": "string"},
        },
        "required": ["type", "title", "status", "code", "detail", "hint"],
    },
}  # fmt: skip
_SCHEMES: Mapping[str, Any] = {
    "api_keys": {"type": "http", "scheme": "bearer", "description": "A key that `pipe keys issue` made."},
    "basic": {"type": "http", "scheme": "basic"},
    "jwt": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "hmac": {"type": "apiKey", "in": "header", "name": "webhook-signature", "description": "Standard Webhooks."},
    "mtls": {"type": "mutualTLS"},
}
_OWN: Mapping[str, Any] = {
    "/live": {
        "get": {
            "operationId": "live",
            "summary": "Whether the process can answer.",
            "responses": {"200": {"description": "It can.", "content": _TEXT}},
        }
    },
    "/ready": {
        "get": {
            "operationId": "ready",
            "summary": "Whether messages can be accepted.",
            "responses": {
                "200": {"description": "They can.", "content": _TEXT},
                "503": {"description": "Not now.", "content": _TEXT},
            },
        }
    },
    "/metrics": {
        "get": {
            "operationId": "metrics",
            "summary": "Counters and times, for Prometheus.",
            "responses": {"200": {"description": "In the text format.", "content": _TEXT}, "401": _problem(401)},
        }
    },
    "/api/openapi.json": {
        "get": {
            "operationId": "openapi",
            "summary": "This document.",
            "responses": {
                "200": {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": {"type": "object"}}}},
                "401": _problem(401),
            },
        }
    },
}
