"""Operations of `/api/v1` as OpenAPI: read off their models, so that the document cannot say anything else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from web.pages.forms import Input
from web.pages.permission import Open
from web.pages.router import API, Operation

REFERENCE = "#/components/schemas/{model}"
SECURITY = {
    "staff_key": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of a service account, made at /admin/keys.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-pipe",
        "description": "Of who has signed in; changes need `X-CSRF-Token`, too.",
    },
}
_REFUSED = (400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 422, 429, 431, 500, 503)


class Described:
    """Paths, schemas and ways to sign in of all operations that programs may call."""

    def __init__(self, operations: Iterable[Operation], problem: Any) -> None:
        """`problem` makes the answer for a status of failure."""
        self._problem = problem
        self.paths: dict[str, Any] = {}
        offered = [operation for operation in operations if operation.api is not None]
        models = sorted({model for each in offered for model in _models(each)}, key=lambda model: model.__name__)
        references, definitions = models_json_schema(
            [(model, "serialization" if not _is_input(model, offered) else "validation") for model in models],
            ref_template=REFERENCE,
        )
        self._references = {model: schema for (model, _), schema in references.items()}
        self.schemas: dict[str, Any] = definitions.get("$defs", {})
        for model in models:
            if issubclass(model, Input):
                _without_nul(self.schemas[self._references[model]["$ref"].rpartition("/")[2]])
        for operation in offered:
            method, _, path = (operation.api or "").partition(" ")
            self.paths.setdefault(API + path, {})[method.lower()] = self._operation(operation, method, path)

    def _operation(self, operation: Operation, method: str, path: str) -> dict[str, Any]:
        permission = operation.permission.value if isinstance(operation.permission, Open) else operation.permission
        written: dict[str, Any] = {
            "operationId": operation.name,
            "summary": operation.summary,
            "tags": [operation.name.partition(".")[0]],
            "x-permission": permission,
            "parameters": [*_named(path), *(self._query(operation) if method == "GET" else ())],
            "responses": self._answers(operation),
            "security": [{"staff_key": []}, {"session": []}],
        }
        if method != "GET" and operation.takes is not None:
            schema = self._references[operation.takes]
            written["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        return written

    def _answers(self, operation: Operation) -> dict[str, Any]:
        answers: dict[str, Any] = {str(status): self._problem(status) for status in _REFUSED}
        if operation.media:
            file = {"description": "The file.", "content": {operation.media: {"schema": {"type": "string"}}}}
            return {"200": file, **answers}
        given = next(iter(_results(operation)), None)
        if given is None:
            return {"204": {"description": "Done."}, **answers}
        schema = self._references[given]
        return {
            str(operation.status): {
                "description": (given.__doc__ or "").splitlines()[0],
                "content": {"application/json": {"schema": schema}},
            },
            **answers,
        }

    def _query(self, operation: Operation) -> Iterator[dict[str, Any]]:
        if operation.takes is None:
            return
        schema = self.schemas[self._references[operation.takes]["$ref"].rpartition("/")[2]]
        for name, inner in schema.get("properties", {}).items():
            yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": inner}


def _models(operation: Operation) -> Iterator[type[BaseModel]]:
    if operation.takes is not None:
        yield operation.takes
    yield from _results(operation)


def _results(operation: Operation) -> Iterator[type[BaseModel]]:
    if operation.result is not None:
        yield operation.result
        return
    for each in get_args(operation.gives) or (operation.gives,):
        if isinstance(each, type) and issubclass(each, BaseModel):
            yield each


def _is_input(model: type[BaseModel], operations: Iterable[Operation]) -> bool:
    return any(operation.takes is model for operation in operations)


def _without_nul(schema: Any) -> None:
    """Says of each text what `Input` demands; one that has a form of its own does so already."""
    if isinstance(schema, list):
        for each in schema:
            _without_nul(each)
    elif isinstance(schema, dict):
        if schema.get("type") == "string" and not schema.keys() & {"pattern", "format", "enum", "const"}:
            schema["pattern"] = r"^[^\x00]*$"
        for each in list(schema.values()):
            _without_nul(each)


def _named(path: str) -> list[dict[str, Any]]:
    pattern = r"^(?!\.{1,2}$)[^/\x00-\x1f\x7f]+$"
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}
        for name in re.findall(r"{(\w+)}", path)
    ]
