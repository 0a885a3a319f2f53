"""Every number that bounds something, with the place where it is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from pipe.config import hooks
from pipe.config.loader import TopKeys
from pipe.config.models import Configuration, Listener
from pipe.config.route_reader import RouteKeys
from pipe.config.source_reader import ConnectionKeys
from pipe.contract import Adapter, ConnectionConfig, Duration, Percent, Rate, Size, Transformer
from pipe.reference.constants import constants_in
from pipe.reference.page import code, page, table
from pipe.reference.shapes import plain

PACKAGES = ("pipe", "adapters", "transformers", "flows", "monitoring", "web")
_QUANTITIES = (Duration, Size, Percent, Rate)


@dataclass(frozen=True, slots=True)
class Limit:
    """One number."""

    where: str
    """the key to write, or the file that holds it"""
    value: str
    meaning: str
    fixed: bool
    """changed in the code only"""

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"where": self.where, "value": self.value, "meaning": self.meaning, "fixed": self.fixed}


def all_limits(
    adapters: Mapping[str, type[Adapter]], transformers: Mapping[str, type[Transformer]], root: Path
) -> list[Limit]:
    """The numbers of the configuration with their defaults, then those of the code below `root`."""
    found = [
        *_of(TopKeys, ""),
        *_of(Listener, "listeners.NAME"),
        *_of(RouteKeys, "routes.NAME"),
        *_of(ConnectionKeys, "routes.NAME.from"),
    ]
    found += _of(ConnectionConfig, "connections.NAME")
    common = set(ConnectionConfig.model_fields)
    for name, adapter in sorted(adapters.items()):
        found += _of(adapter.Config, f"connections.NAME ({name})", without=common)
        for key, model in (("from", hooks.subscription(adapter)), ("to", hooks.target(adapter))):
            found += _of(model, f"routes.NAME.{key} ({name})") if model is not None else []
    for name, step in sorted(transformers.items()):
        found += _of(step.Config, f"steps: {name}")
    for package in PACKAGES:
        for constant in constants_in(root / package, root):
            value = plain(constant.value)
            found.append(
                Limit(
                    f"{constant.place}: {constant.name}", value, constant.meaning or _words(constant.name), fixed=True
                )
            )
    return found


def in_force(configuration: Configuration) -> list[Limit]:
    """The numbers that this configuration sets or leaves at their defaults."""
    found: list[Limit] = []
    for key in ("defaults", "limits", "retention"):
        found += _values(getattr(configuration, key), key)
    for name, listener in configuration.listeners.items():
        found += _values(listener, f"listeners.{name}")
    for name, spec in configuration.connections.items():
        found += _values(spec.config, f"connections.{name}")
    for name, route in configuration.routes.items():
        found += [
            Limit(
                f"routes.{name}.from.max_body",
                plain(Size(route.source.max_body)),
                "Largest body, counted unpacked.",
                fixed=False,
            )
        ]
        found += [*_values(route.queue, f"routes.{name}.queue"), *_values(route.retry, f"routes.{name}.retry")]
        found += [*_values(route.on_stuck, f"routes.{name}.on_stuck")]
        found += [
            Limit(
                f"routes.{name}.concurrency",
                str(route.concurrency),
                "Messages worked on at the same time.",
                fixed=False,
            )
        ]
        if route.deadline is not None:
            found += [
                Limit(
                    f"routes.{name}.deadline",
                    plain(Duration(route.deadline)),
                    "What is not delivered by then expires.",
                    fixed=False,
                )
            ]
    return found


def limits_page(limits: Iterable[Limit]) -> str:
    """The reference page."""
    limits = list(limits)
    heads = ("Where", "Default", "Meaning")
    written = [(code(limit.where), limit.value, limit.meaning) for limit in limits if not limit.fixed]
    fixed = [(code(limit.where), limit.value, limit.meaning) for limit in limits if limit.fixed]
    return page(
        "Limits",
        "Every number that bounds something. `pipe limits` prints those that are in force with a configuration.",
        "## Set in the configuration",
        table(heads, written),
        "## Fixed in the code",
        "Each stands in one place only, in the file that is named.",
        table(("Where", "Value", "Meaning"), fixed),
    )


def _of(model: type[BaseModel], path: str, *, without: Iterable[str] = ()) -> Iterator[Limit]:
    hidden = set(without)
    for name, info in model.model_fields.items():
        if name in hidden or name == "version":
            continue
        where = f"{path}.{info.alias or name}".lstrip(".")
        default = info.get_default(call_default_factory=True, validated_data={})
        inner = _block_of(info.annotation)
        if inner is not None:
            yield from _of(inner, where)
        elif _is_number(default) or (default in (None, PydanticUndefined) and _takes_quantity(info.annotation)):
            shown = plain(default) if _is_number(default) else "none" if default is None else "required"
            yield Limit(where, shown, info.description or "", fixed=False)


def _values(model: BaseModel, path: str) -> Iterator[Limit]:
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        where = f"{path}.{info.alias or name}"
        if isinstance(value, BaseModel):
            yield from _values(value, where)
        elif _is_number(value):
            yield Limit(where, plain(value), info.description or "", fixed=False)


def _block_of(annotation: Any) -> type[BaseModel] | None:
    """The one block that a key holds, where it holds one."""
    parts = [part for part in (*get_args(annotation), annotation) if isinstance(part, type)]
    return next((part for part in parts if issubclass(part, BaseModel)), None)


def _takes_quantity(annotation: Any) -> bool:
    return any(part in _QUANTITIES for part in (*get_args(annotation), annotation))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Rate)) and not isinstance(value, bool)


def _words(name: str) -> str:
    return name.lower().replace("_", " ").capitalize() + "."
