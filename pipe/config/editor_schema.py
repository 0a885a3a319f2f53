"""JSON Schema of `connections.yaml` for editors: completion, descriptions and red lines while one types.

It is made of the same models that the loader uses, those of adapters and steps included, so that it cannot go stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from pipe.config import hooks
from pipe.config.loader import TestKeys, TopKeys
from pipe.config.models import Confirm
from pipe.config.route_reader import GatherKeys, ReplyKeys, RouteKeys
from pipe.config.source_reader import (
    AlertKeys,
    ChannelKeys,
    ConnectionKeys,
    EventKeys,
    EveryKeys,
    OutcomeKeys,
    ScheduleKeys,
)
from pipe.config.step_reader import Branch, EnrichKeys, SplitKeys, TapKeys
from pipe.config.target_reader import TargetKeys
from pipe.contract import Adapter, FlowStep, Transformer

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SOURCES = (ScheduleKeys, EveryKeys, OutcomeKeys, AlertKeys, EventKeys, ChannelKeys)
_OWN = (
    *(TopKeys, RouteKeys, ReplyKeys, GatherKeys, TargetKeys, TestKeys),
    *(Branch, SplitKeys, EnrichKeys, TapKeys, Confirm, ConnectionKeys, *_SOURCES),
)
# Limits that pydantic writes beside a quantity are about its number, while the YAML holds its text.
_NUMERIC = ("gt", "ge", "lt", "le", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")

Schema = dict[str, Any]


def editor_schema(
    *,
    adapters: Mapping[str, type[Adapter]],
    transformers: Mapping[str, type[Transformer]],
    flows: Mapping[str, FlowStep],
) -> Schema:
    """The schema of a whole file, draft 2020-12."""
    return _Writer(adapters, transformers, flows).schema()


class _Writer:
    """Puts the schemas of all models together."""

    def __init__(
        self,
        adapters: Mapping[str, type[Adapter]],
        transformers: Mapping[str, type[Transformer]],
        flows: Mapping[str, FlowStep],
    ) -> None:
        self.adapters, self.transformers, self.flows = adapters, transformers, flows
        models: list[type[BaseModel]] = [*_OWN, *(step.Config for step in transformers.values())]
        for adapter in adapters.values():
            own = (adapter.Config, hooks.subscription(adapter), hooks.target(adapter))
            models += [model for model in own if model is not None]
        wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
            (model, "validation") for model in dict.fromkeys(models)
        ]
        refs, written = models_json_schema(wanted, schema_generator=_Lenient, ref_template="#/$defs/{model}")
        self.refs = {model: ref["$ref"] for (model, _), ref in refs.items()}
        self.defs: dict[str, Schema] = {name: _tidied(schema) for name, schema in written["$defs"].items()}

    def schema(self) -> Schema:
        """The whole."""
        self._fill_routes()
        top = self._copy(TopKeys)
        top["properties"]["connections"]["additionalProperties"] = self._connection()
        top["properties"]["routes"]["additionalProperties"] = self._ref(RouteKeys)
        top["properties"]["tests"]["items"] = self._ref(TestKeys)
        for block in ("connections", "routes", "tests"):
            top["properties"][block]["type"] = [top["properties"][block]["type"], "null"]
        # A file that is included needs no `version:`.
        top.pop("required", None)
        return {"$schema": DIALECT, "title": "connections.yaml", **top, "$defs": self.defs}

    def _ref(self, model: type[BaseModel]) -> Schema:
        return {"$ref": self.refs[model]}

    def _copy(self, model: type[BaseModel]) -> Schema:
        found = self.defs[self.refs[model].rpartition("/")[2]]
        return {**found, "properties": {name: dict(value) for name, value in found.get("properties", {}).items()}}

    def _connection(self) -> Schema:
        branches = [
            {"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": self._ref(adapter.Config)}
            for name, adapter in sorted(self.adapters.items())
        ]
        kind = {"enum": sorted(self.adapters), "description": "Which adapter."}
        return {"type": "object", "required": ["type"], "properties": {"type": kind}, "allOf": branches}

    def _fill_routes(self) -> None:
        self.defs["Steps"] = {"type": "array", "items": self._step()}
        self.defs["Source"] = self._source()
        self.defs["Target"] = self._merged(TargetKeys, (hooks.target(adapter) for adapter in self.adapters.values()))
        self.defs["Target"]["properties"]["on_uncertain"] = self._on_uncertain()
        targets = {"anyOf": [{"$ref": "#/$defs/Target"}, {"type": "array", "items": {"$ref": "#/$defs/Target"}}]}
        places: dict[type[BaseModel], dict[str, Schema]] = {
            RouteKeys: {
                "from": {"$ref": "#/$defs/Source"},
                "reply": {"anyOf": [{"enum": ["async", "sync"]}, self._ref(ReplyKeys)]},
                "to": targets,
                "gather": self._ref(GatherKeys),
            },
            GatherKeys: {"to": targets},
        }
        for model, inside in places.items():
            for key, schema in inside.items():
                described = self.defs[self.refs[model].rpartition("/")[2]]["properties"]
                described[key] = {"description": described[key].get("description", ""), **schema}
        for model in (RouteKeys, ReplyKeys, GatherKeys, SplitKeys, Branch, TargetKeys):
            self._steps_of(self.defs[self.refs[model].rpartition("/")[2]])
        self._steps_of(self.defs["Target"])
        self.defs[self.refs[RouteKeys].rpartition("/")[2]]["required"] = ["from"]

    def _steps_of(self, schema: Schema) -> None:
        told = schema["properties"]["steps"].get("description", "")
        schema["properties"]["steps"] = {"description": told, "$ref": "#/$defs/Steps"}

    def _step(self) -> Schema:
        steps: dict[str, Schema] = {
            name: {"description": _first_line(step), **self._ref(step.Config)}
            for name, step in self.transformers.items()
        }
        otherwise = {"type": "object", "required": ["otherwise"], "additionalProperties": False}
        otherwise["properties"] = {"otherwise": {"$ref": "#/$defs/Steps"}}
        branches = {"type": "array", "items": {"anyOf": [self._ref(Branch), otherwise]}, "minItems": 1}
        steps["choose"] = {"description": "The first branch that fits; else `otherwise`, else nothing.", **branches}
        steps["split"] = self._ref(SplitKeys)
        steps["enrich"] = self._merged(EnrichKeys, self._callers())
        steps["tap"] = self._ref(TapKeys)
        steps["flow"] = {"description": "A registered function; a commit point.", "enum": sorted(self.flows)}
        return {
            "type": "object",
            "properties": dict(sorted(steps.items())),
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }

    def _callers(self) -> Iterable[type[BaseModel] | None]:
        return (hooks.target(adapter) for adapter in self.adapters.values() if hooks.is_caller(adapter))

    def _source(self) -> Schema:
        subscriptions = (hooks.subscription(adapter) for adapter in self.adapters.values())
        forms = [self._ref(model) for model in _SOURCES]
        return {"anyOf": [{"const": "internal"}, self._merged(ConnectionKeys, subscriptions), *forms]}

    def _on_uncertain(self) -> Schema:
        confirm = self._merged(Confirm, self._callers())
        confirm["properties"].pop("options")
        return {
            "type": "object",
            "description": TargetKeys.model_fields["on_uncertain"].description,
            "properties": {"confirm": confirm},
            "required": ["confirm"],
            "additionalProperties": False,
        }

    def _merged(self, engine: type[BaseModel], models: Iterable[type[BaseModel] | None]) -> Schema:
        """The engine's keys, and each adapter's: which of them fit depends on the connection, and lint tells that."""
        merged = self._copy(engine)
        offered: dict[str, list[Schema]] = {}
        for model in dict.fromkeys(models):
            for key, schema in (self._copy(model)["properties"] if model is not None else {}).items():
                forms = offered.setdefault(key, [])
                forms += [schema] if schema not in forms else []
        for key, forms in sorted(offered.items()):
            if key not in merged["properties"]:
                told = " Or: ".join(dict.fromkeys(form.get("description", "") for form in forms))
                merged["properties"][key] = forms[0] if len(forms) == 1 else {"description": told, "anyOf": forms}
        return {**merged, "additionalProperties": False}


class _Lenient(GenerateJsonSchema):
    """What has no schema of its own may be anything: the loader is the judge."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Schema:
        """Takes anything."""
        return {}

    def emit_warning(self, kind: Any, detail: str) -> None:
        """A default that JSON cannot say is left out; nobody needs to know."""


def _tidied(value: Any) -> Any:
    """Without titles, which only repeat the names, and with limits only where the value is a number."""
    if isinstance(value, list):
        return [_tidied(each) for each in value]
    if not isinstance(value, dict):
        return value
    is_text = value.get("type") == "string"
    kept = {}
    for key, inner in value.items():
        if key == "title" and isinstance(inner, str):
            continue
        if is_text and key in _NUMERIC:
            continue
        named = key in ("properties", "$defs") and isinstance(inner, dict)
        kept[key] = {name: _tidied(each) for name, each in inner.items()} if named else _tidied(inner)
    return kept


def _first_line(thing: Any) -> str:
    return (thing.__doc__ or "").strip().split("\n")[0]
