"""Beginnings for `pipe new connection` and `pipe new route`: short files that lint without a finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from pipe.config import hooks
from pipe.config.models import Configuration
from pipe.config.units import Duration, Percent, Rate, Size
from pipe.contract import Adapter, ConnectionConfig, Secret
from pipe.errors import ConfigError

PATHS = ("post", "put", "get", "path")
"""keys that hold an address; where its example begins with a slash, the name of what is begun serves as well"""


def connection_text(name: str, kind: str, adapters: Mapping[str, type[Adapter]]) -> str:
    """A file with one connection: its necessary keys filled in, the others named in comments."""
    adapter = adapters[kind]
    values = {"type": kind, **_filled(adapter.Config, name, ("type",), {"type": kind})}
    common = set(ConnectionConfig.model_fields)
    further = [
        (key, info) for key, info in adapter.Config.model_fields.items() if key not in values and key not in common
    ]
    comments = [f"    # {key}: {info.description}" for key, info in further if info.description]
    return "\n".join(["version: 1", "connections:", *_block(name, values), *comments, ""])


def route_text(
    name: str, *, source: str, target: str, configuration: Configuration, adapters: Mapping[str, type[Adapter]]
) -> str:
    """A file with one route from one connection of the configuration to another.

    Raises ConfigError where one of them is unknown, or cannot receive or send.
    """
    receiving = _part(source, configuration, adapters, "receive")
    sending = _part(target, configuration, adapters, "send")
    values: dict[str, Any] = {
        "from": {"connection": source, **_filled(receiving, name, (), {})},
        "to": {"connection": target, **_filled(sending, name, (), {})},
    }
    return "\n".join(["version: 1", "routes:", *_block(name, values), ""])


def _part(
    name: str, configuration: Configuration, adapters: Mapping[str, type[Adapter]], what: Literal["receive", "send"]
) -> type[BaseModel]:
    spec = configuration.connections.get(name)
    if spec is None:
        raise ConfigError(f"no connection is called `{name}`; known: {', '.join(sorted(configuration.connections))}")
    adapter = adapters[spec.type]
    model = hooks.subscription(adapter) if what == "receive" else hooks.target(adapter)
    if model is None:
        raise ConfigError(f"`{name}` ({spec.type}) cannot {what} messages")
    return model


def _block(name: str, values: dict[str, Any]) -> list[str]:
    text = yaml.safe_dump({name: values}, sort_keys=False, allow_unicode=True, width=110)
    return [f"  {line}" for line in text.splitlines()]


def _filled(model: type[BaseModel], name: str, given: Iterable[str], base: dict[str, Any]) -> dict[str, Any]:
    """Values for the necessary keys; one more key where a rule of the model asks for it."""
    fields = {info.alias or key: info for key, info in model.model_fields.items() if key not in given}
    needed = {key: _sample(info, name, key) for key, info in fields.items() if info.is_required()}
    own = [key for key in fields if key not in needed and key not in ConnectionConfig.model_fields]
    own.sort(key=lambda key: key != "post")  # of the ways to send, the commonest
    for extra in ({}, *({key: _sample(fields[key], name, key)} for key in own)):
        try:
            model.model_validate({**base, **needed, **extra})
        except ValidationError:
            continue
        return {**needed, **extra}
    return needed


def _sample(info: FieldInfo, name: str, key: str) -> Any:
    address = str(info.examples[0]) if info.examples else "/"
    if key in PATHS and address.startswith("/"):
        return f"/{name}"
    if info.examples:
        return info.examples[0]
    return _of_type(info.annotation, name, key)


def _of_type(kind: Any, name: str, key: str) -> Any:
    if get_origin(kind) in (Union, UnionType):
        return _of_type(next(each for each in get_args(kind) if each is not NoneType), name, key)
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if get_origin(kind) in (list, tuple):
        return [_of_type(get_args(kind)[0], name, key)]
    if not isinstance(kind, type):
        return "example"
    if issubclass(kind, Secret):
        return f"${{env:{name}_{key}}}".upper().replace("ENV:", "env:").replace("-", "_").replace(".", "_")
    for quantity in (Duration, Size, Percent, Rate):
        if issubclass(kind, quantity):
            return quantity.examples[0]
    if issubclass(kind, BaseModel):
        return _filled(kind, name, (), {})
    return {bool: True, int: 1, float: 1.0, dict: {}}.get(kind, "example")
