"""Reads `to:`: the engine's keys of a target, and those of its adapter."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from pydantic import Field

from pipe.config import hooks
from pipe.config.models import Confirm, OnUncertain, Retry, ToConfig
from pipe.config.reading import Reading, keys_of
from pipe.config.step_reader import known_connection, known_route, read_call, read_options, read_steps
from pipe.config.yaml_source import Node
from pipe.contract import Expression, Options, Strict

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class TargetKeys(Strict):
    """Keys that every target has."""

    connection: str | None = Field(default=None, description="The connection that it goes to.")
    route: str | None = Field(default=None, description="A route of `from: internal` that it goes on through.")
    channel: Expression | None = Field(default=None, description="Names the channel, chosen among the configured ones.")
    name: str | None = Field(
        default=None, description="Names the target in pages and over changes of the configuration."
    )
    when: Expression | None = Field(default=None, description="Only messages for which this is true.")
    steps: list[Any] = Field(default=[], description="Steps for this target alone.")
    success: Expression | None = Field(
        default=None, description="On the reply: delivered where true, refused where false."
    )
    retry_when: Expression | None = Field(default=None, description="On the reply: try again where true.")
    dead_when: Expression | None = Field(default=None, description="On the reply: refused for good where true.")
    retry: Retry | None = Field(default=None, description="Instead of the route's, key by key.")
    idempotent: bool | None = Field(default=None, description="Repeating it is harmless.")
    idempotent_by: Expression | None = Field(default=None, description="The partner de-duplicates by this value.")
    on_uncertain: Any = Field(default=None, description="How to ask whether it took effect: `{confirm: {…}}`.")


_KEYS = keys_of(TargetKeys)
_CONFIRM_KEYS = keys_of(Confirm) - {"options"}


def read_targets(reading: Reading, node: Node | None, path: str, retry: Retry) -> tuple[ToConfig, ...]:
    """The targets of `to:`, one map or a list of them; `retry` is the route's."""
    if node is None:
        return ()
    entries = node.entries if isinstance(node.value, list) else [node]
    many = isinstance(node.value, list)
    names: Counter[str] = Counter()
    targets = []
    for number, entry in enumerate(entries):
        target = _target(reading, entry, f"{path}[{number}]" if many else path, names, retry)
        if target is not None:
            targets.append(target)
    return tuple(targets)


def _target(reading: Reading, node: Node, path: str, names: Counter[str], retry: Retry) -> ToConfig | None:
    if not isinstance(node.value, dict):
        reading.note(node, "bad-value", f"a target is a map, as in `{{connection: NAME, …}}`; it is {node.kind()}")
        return None
    kinds = [kind for kind in ("connection", "route", "channel") if kind in node.items]
    if len(kinds) != 1:
        reading.note(node, "bad-value", "a target names one of `connection:`, `route:` and `channel:`")
        return None
    options = _options(reading, node)
    keys = reading.validated(TargetKeys, node.only(*(_KEYS - {"steps", "on_uncertain"})), "to")
    steps = read_steps(reading, node.items.get("steps"), f"{path}.steps")
    uncertain = _on_uncertain(reading, node.items.get("on_uncertain"))
    if keys is None:
        return None
    if keys.route is not None:
        known_route(reading, node.items["route"], keys.route)
    return ToConfig(
        key=_key(reading, node, keys, names),
        kind="connection" if keys.connection else "route" if keys.route else "channel",
        place=node.place,
        connection=keys.connection,
        options=options,
        route=keys.route,
        channel=keys.channel,
        when=keys.when,
        steps=steps,
        success=keys.success,
        retry_when=keys.retry_when,
        dead_when=keys.dead_when,
        retry=None if keys.retry is None else merged(retry, keys.retry),
        idempotent=keys.idempotent,
        idempotent_by=keys.idempotent_by,
        on_uncertain=uncertain,
    )


def _options(reading: Reading, node: Node) -> Options | None:
    if "connection" not in node.items:
        return read_options(reading, node, _KEYS, None)
    adapter_type = known_connection(reading, node)
    if adapter_type is None:
        return None
    model = hooks.target(reading.adapters[adapter_type])
    if model is None:
        name = node.items["connection"].value
        reading.note(node, "not-a-sink", f"`{name}` ({adapter_type}) cannot send messages", "connection")
        return None
    return read_options(reading, node, _KEYS, model)


def _key(reading: Reading, node: Node, keys: TargetKeys, names: Counter[str]) -> str:
    name = keys.name or keys.connection or keys.route or "channel"
    names[name] += 1
    if keys.name is None:
        return name if names[name] == 1 else f"{name}#{names[name]}"
    if names[name] > 1:
        reading.note(node, "duplicate-name", f"another target of this route has the key `{name}`", "name")
    elif not NAME.fullmatch(name):
        reading.note(node, "bad-name", f"`{name}` should have letters, digits, `_`, `-` and `.` only", "name")
    return name


def _on_uncertain(reading: Reading, node: Node | None) -> OnUncertain | None:
    if node is None:
        return None
    confirm = node.items.get("confirm")
    if confirm is None or len(node.items) != 1:
        reading.note(node, "bad-value", "`on_uncertain:` has one key, `confirm: {connection: …, success: …}`")
        return None
    options = read_call(reading, confirm, _CONFIRM_KEYS)
    keys = reading.validated(Confirm, confirm.only(*_CONFIRM_KEYS), "confirm")
    return None if keys is None else OnUncertain(confirm=keys.model_copy(update={"options": options}))


def merged(base: Any, given: Any) -> Any:
    """A block whose written keys come from `given` and whose others come from `base`; blocks inside likewise."""
    changes: dict[str, Any] = {}
    for name in given.model_fields_set:
        old, new = getattr(base, name), getattr(given, name)
        changes[name] = merged(old, new) if isinstance(new, Strict) and type(old) is type(new) else new
    return base.model_copy(update=changes)
