"""Every key that a configuration may have, read off the models: a new key is found without being named here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, RootModel

from adapters import ADAPTERS
from adapters.smtp.addresses import Person
from pipe.config import hooks
from pipe.config.alerts import Alerts
from pipe.config.blocks import Drift, Samples
from pipe.config.events import EventLog
from pipe.config.loader import IncludedKeys, TestKeys, TopKeys
from pipe.config.models import Confirm, Exchanges, Limits, Listener, OnUncertain, Retention, Retry
from pipe.config.route_reader import GatherKeys, ReplyKeys, RouteKeys
from pipe.config.sign_in import SignIn
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
from pipe.config.traces import Traces
from pipe.contract import Breaker, ConnectionConfig, KeyedRate, Probe, Reconnect, Timeout
from pipe.trials.model import Reply, Send
from transformers import TRANSFORMERS

Model = type[BaseModel]

SHARED: dict[str, Model] = {
    "timeout": Timeout, "retry": Retry, "reconnect": Reconnect, "breaker": Breaker, "probe": Probe, "rate": KeyedRate,
    "retention": Retention, "limits": Limits, "listeners": Listener, "on_uncertain": OnUncertain,
    "on_uncertain.confirm": Confirm, "mailbox": Person, "sign_in": SignIn, "alerts": Alerts,
    "exchanges": Exchanges, "events": EventLog, "traces": Traces, "drift": Drift, "drift.samples": Samples,
}  # fmt: skip
"""blocks that stand in several places, or whose place no model names; their keys are claimed once"""
PLACES: dict[str, Model] = {
    "top": TopKeys, "include": IncludedKeys, "connections": ConnectionConfig, "routes": RouteKeys,
    "from": ConnectionKeys, "from schedule": ScheduleKeys, "from every": EveryKeys, "from outcome": OutcomeKeys,
    "from alerts": AlertKeys, "from events": EventKeys,
       "from channel": ChannelKeys, "reply": ReplyKeys, "to": TargetKeys, "gather": GatherKeys, "choose": Branch,
    "split": SplitKeys, "enrich": EnrichKeys, "tap": TapKeys, "tests": TestKeys, "tests.send": Send,
    "tests.replies": Reply,
}  # fmt: skip
UNWRITTEN = {"on_uncertain.confirm.options"}
"""fields that nobody can write: the loader fills them"""
REFUSED = {"from channel.channel", "from channel.max_body", "to.channel"}
"""keys of the language that nothing in this gateway serves yet: lint refuses them, so that they do not fail silently"""
STEPS_OF_THE_ENGINE = ("choose", "split", "enrich", "tap", "flow")


def every_key() -> set[str]:
    """All keys by their names: `routes.order_by`, `to.http_client.query`, `steps.decode.csv.delimiter`."""
    named = {model: name for name, model in SHARED.items()}
    keys = {key for name, model in (SHARED | PLACES).items() for key in _keys(name, model, named)}
    for adapter in ADAPTERS:
        keys |= _of_adapter(adapter, named)
        # A block that an earlier adapter has is the same block: its keys are claimed there.
        named |= dict.fromkeys(_nested(adapter.Config), "")
    for transformer in TRANSFORMERS:
        keys |= {f"steps.{transformer.name}", *_inside(f"steps.{transformer.name}", transformer.Config, named)}
    return (keys | {f"steps.{name}" for name in STEPS_OF_THE_ENGINE}) - UNWRITTEN


def _of_adapter(adapter: Any, named: dict[Model, str]) -> set[str]:
    type_name = adapter.Config.model_fields["type"].default
    common = {f"{type_name}.{name}" for name in _inherited(adapter.Config)}
    keys = set(_keys(type_name, adapter.Config, named)) - common
    for place, model in (("from", hooks.subscription(adapter)), ("to", hooks.target(adapter))):
        if model is not None:
            keys |= set(_keys(f"{place}.{type_name}", model, named))
    return keys


def _nested(config: Model) -> Iterator[Model]:
    """The blocks within a model, at any depth."""
    for info in config.model_fields.values():
        for inner in _models(info.annotation):
            yield inner
            yield from _nested(inner)


def _inherited(config: Model) -> Iterator[str]:
    """Keys that every connection has, unless the adapter gives them a meaning of its own."""
    for name, info in ConnectionConfig.model_fields.items():
        if config.model_fields[name].description == info.description or name == "type":
            yield name


def _keys(name: str, model: Model, named: dict[Model, str]) -> Iterator[str]:
    for field, info in model.model_fields.items():
        key = f"{name}.{info.alias or field}"
        yield key
        for inner in _models(info.annotation):
            if inner not in named:
                yield from _keys(key, inner, named)


def _inside(name: str, model: Model, named: dict[Model, str]) -> Iterator[str]:
    """The keys of a model; those within its forms where it is a RootModel."""
    if not issubclass(model, RootModel):
        yield from _keys(name, model, named)
        return
    for inner in _models(model.model_fields["root"].annotation):
        yield from _keys(name, inner, named)


def _models(annotation: Any) -> Iterator[Model]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for inner in get_args(annotation):
        yield from _models(inner)
