"""Reads `steps:`: the engine's own steps, and those that transformers add."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field

from pipe.config import hooks
from pipe.config.findings import nearest
from pipe.config.models import (
    ChooseConfig,
    EnrichConfig,
    FlowConfig,
    SplitConfig,
    StepConfig,
    TapConfig,
)
from pipe.config.reading import Reading, keys_of
from pipe.config.yaml_source import Node
from pipe.contract import Expression, Options, Strict

ENGINE_STEPS = ("choose", "enrich", "flow", "split", "tap")
_INTO = re.compile(r"body(\.[A-Za-z_][A-Za-z0-9_]*)+")


class Branch(Strict):
    """One branch of `choose`: `when` and `steps`."""

    when: Expression = Field(description="The branch is taken where this is true.")
    steps: list[Any] = Field(default=[], description="What it does.")


class SplitKeys(Strict):
    """Takes a message apart, one child an item."""

    items: Expression = Field(description="A list; each item becomes a message.")
    steps: list[Any] = Field(default=[], description="Steps of each child; `item` and `parent` are in scope.")


class EnrichKeys(Strict):
    """Calls a connection and merges its reply."""

    connection: str = Field(description="Whom to ask.")
    into: str = Field(description="Where the reply's body goes.", examples=["body.person"])
    success: Expression | None = Field(default=None, description="On the reply: whether it is good.")


class TapKeys(Strict):
    """A copy to another route."""

    route: str = Field(description="A route of `from: internal`.")


def read_steps(reading: Reading, node: Node | None, path: str, *, stage: bool = False) -> tuple[StepConfig, ...]:
    """The steps of a list. `stage`: these are the route's own steps, where `flow` and `split` may commit."""
    if node is None:
        return ()
    if not isinstance(node.value, list):
        reading.note(node, "bad-value", f"`steps:` should be a list, each `- name: …`; it is {node.kind()}")
        return ()
    read = [_step(reading, entry, f"{path}[{number}]", stage) for number, entry in enumerate(node.value)]
    return tuple(step for step in read if step is not None)


def _step(reading: Reading, entry: Node, path: str, stage: bool) -> StepConfig | None:
    if len(entry.items) != 1:
        found = f"it has {', '.join(entry.items)}" if entry.items else f"it is {entry.kind()}"
        reading.note(entry, "bad-value", f"a step is one key and its value, as in `- decode: json`; {found}")
        return None
    ((name, node),) = entry.items.items()
    if name in ("flow", "split") and not stage:
        text = f"`{name}` commits, so it may only stand in the route's own `steps:`, not inside of another block"
        reading.note(entry, "misplaced-step", text, name)
        return None
    config = _config(reading, entry, name, node, path)
    return None if config is None else StepConfig(name, config, entry.place, path)


def _config(reading: Reading, entry: Node, name: str, node: Node, path: str) -> Any:
    if name == "choose":
        return _choose(reading, node, path)
    if name == "split":
        return _split(reading, node, path)
    if name == "enrich":
        return _enrich(reading, node)
    if name == "tap":
        return _tap(reading, node)
    if name == "flow":
        return _flow(reading, node)
    transformer = reading.transformers.get(name)
    if transformer is None:
        known = (*reading.transformers, *ENGINE_STEPS)
        reading.note(entry, "unknown-step", f"unknown step `{name}`{nearest(name, known)}", name)
        return None
    return reading.validated(transformer.Config, node, name)


def _choose(reading: Reading, node: Node, path: str) -> ChooseConfig | None:
    if not node.entries:
        reading.note(node, "bad-value", "`choose:` should be a list of `- when: …` and at last `- otherwise: …`")
        return None
    branches: list[tuple[Expression | None, tuple[StepConfig, ...]]] = []
    for number, entry in enumerate(node.entries):
        inside = f"{path}.choose[{number}]"
        if "otherwise" in entry.items:
            if len(entry.items) > 1 or number < len(node.entries) - 1:
                reading.note(entry, "bad-value", "`otherwise:` stands alone, and last", "otherwise")
            branches.append((None, read_steps(reading, entry.items["otherwise"], f"{inside}.otherwise")))
            continue
        branch = reading.validated(Branch, _emptied(entry), "choose")
        steps = read_steps(reading, entry.items.get("steps"), f"{inside}.steps")
        if branch is not None:
            branches.append((branch.when, steps))
    return ChooseConfig(tuple(branches))


def _split(reading: Reading, node: Node, path: str) -> SplitConfig | None:
    keys = reading.validated(SplitKeys, _emptied(node), "split")
    steps = read_steps(reading, node.items.get("steps"), f"{path}.split.steps")
    return None if keys is None else SplitConfig(keys.items, steps)


def _enrich(reading: Reading, node: Node) -> EnrichConfig | None:
    options = read_call(reading, node, keys_of(EnrichKeys))
    keys = reading.validated(EnrichKeys, node.only(*keys_of(EnrichKeys)), "enrich")
    if keys is not None and not _INTO.fullmatch(keys.into):
        reading.note(node.items["into"], "bad-value", "`into:` is a path as in `body.person`")
        return None
    if keys is None or options is None:
        return None
    return EnrichConfig(keys.connection, options, keys.into, keys.success)


def _tap(reading: Reading, node: Node) -> TapConfig | None:
    keys = reading.validated(TapKeys, node, "tap")
    if keys is None:
        return None
    known_route(reading, node.items["route"], keys.route)
    return TapConfig(keys.route)


def _flow(reading: Reading, node: Node) -> FlowConfig | None:
    name = node.value
    if not isinstance(name, str):
        reading.note(node, "bad-value", f"`flow:` is the name of a registered function; it is {node.kind()}")
        return None
    if name not in reading.flows:
        reading.note(node, "unknown-step", f"no flow is called `{name}`{nearest(name, reading.flows)}")
        return None
    return FlowConfig(name)


def read_call(reading: Reading, node: Node, engine_keys: set[str]) -> Options | None:
    """The adapter's own keys of a call that needs a reply: `enrich:` and `confirm:`."""
    adapter_type = known_connection(reading, node)
    if adapter_type is None:
        return None
    adapter = reading.adapters[adapter_type]
    if not hooks.is_caller(adapter):
        name = node.items["connection"].value
        reading.note(node, "not-a-caller", f"`{name}` ({adapter_type}) gives no reply", "connection")
        return None
    return read_options(reading, node, engine_keys, hooks.target(adapter))


def read_options(reading: Reading, node: Node, engine_keys: set[str], model: type[Options] | None) -> Options | None:
    """The adapter's own keys of a block; keys that neither it nor the engine knows are noted."""
    own = keys_of(model) if model is not None else set()
    unknown = [key for key in node.items if key not in own | engine_keys]
    for key in unknown:
        reading.note(node, "unknown-key", f"unknown key `{key}`{nearest(key, own | engine_keys)}", key)
    if model is None:
        return None
    options = node.only(*(own - engine_keys))
    name = str(node.items["connection"].value)
    # A key that is misspelt is missing too; telling that twice helps nobody.
    return reading.validated(model, options, name, references=True, complete=not unknown)


def known_connection(reading: Reading, node: Node) -> str | None:
    """The type of the connection that `connection:` names; None where that is noted, here or where it is defined."""
    named = node.items.get("connection")
    if named is None:
        reading.note(node, "missing-key", "`connection:` is missing")
        return None
    if not isinstance(named.value, str) or named.value not in reading.connection_types:
        word = str(named.value)
        reading.note(
            named, "unknown-connection", f"unknown connection `{word}`{nearest(word, reading.connection_types)}"
        )
        return None
    return reading.connection_types[named.value]


def known_route(reading: Reading, node: Node, name: str) -> None:
    """Notes where no route has this name."""
    if name not in reading.routes:
        reading.note(node, "unknown-route", f"unknown route `{name}`{nearest(name, reading.routes)}")


def _emptied(node: Node) -> Node:
    """The block without what stands in its `steps:`, which is read apart."""
    return node.without("steps")
