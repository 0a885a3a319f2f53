"""Reads one entry of `routes:`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pipe.config import hooks
from pipe.config.findings import nearest
from pipe.config.models import (
    Fault,
    FromConfig,
    GatherConfig,
    Idempotency,
    OnStuck,
    Queue,
    ReplyConfig,
    Retention,
    Retry,
    RouteConfig,
    StepConfig,
)
from pipe.config.reading import Reading
from pipe.config.source_reader import read_source
from pipe.config.step_reader import read_steps
from pipe.config.target_reader import merged, read_targets
from pipe.config.yaml_source import Node
from pipe.contract import Duration, Expression, Strict


class RouteKeys(Strict):
    """One route: from a connection, through steps, to other connections."""

    source: Any = Field(default=None, alias="from", description="Where its messages come from.")
    reply: Any = Field(
        default=None,
        description="`async` (accepted, then delivered), `sync` (the first target answers) or `{mode, steps, faults}`.",
    )
    idempotency: Idempotency | None = Field(default=None, description="How a repeated message is recognised.")
    order_by: Expression | None = Field(
        default=None, description="Messages with the same value are delivered one after the other."
    )
    on_stuck: OnStuck = Field(
        default=OnStuck(), description="What becomes of a key's order when its first message cannot be delivered."
    )
    deadline: Duration | None = Field(default=None, gt=0, description="What is not delivered by then expires.")
    replay: Literal["allowed", "never"] = Field(
        default="allowed", description="`never`: what is dead or expired is worth nothing later, and is not sent again."
    )
    queue: Queue = Field(default=Queue(), description="How much may wait.")
    sensitive: list[Expression] = Field(
        default=[], description="Paths of values that nobody may see in logs and pages."
    )
    subject: Expression | None = Field(default=None, description="Whose data this is: for search and erasure.")
    steps: Any = Field(default=None, description="What is done with each message, in this order.")
    to: Any = Field(default=None, description="A target or a list of them.")
    gather: Any = Field(default=None, description="What is made of the results of a `split`.")
    promise: Literal["at-most-once", "at-least-once"] | None = Field(
        default=None, description="Checked against what the parts can keep."
    )
    retry: Retry | None = Field(default=None, description="Instead of `defaults: retry`, key by key.")
    concurrency: int = Field(default=64, ge=1, le=10000, description="Messages worked on at the same time.")
    retention: Retention | None = Field(default=None, description="Instead of the general one, key by key.")


class ReplyKeys(Strict):
    """How a caller is answered."""

    mode: Literal["async", "sync"] | None = Field(default=None, description="`sync` awaits the first target's answer.")
    steps: list[Any] = Field(default=[], description="Steps on the answer before it goes back.")
    faults: list[Fault] = Field(default=[], description="How failures are answered; the first that fits.")


class GatherKeys(Strict):
    """One message out of all results of a split."""

    within: Duration = Field(gt=0, description="Longest wait for the last result.")
    steps: list[Any] = Field(default=[], description="Steps on the list of results.")
    to: Any = Field(default=None, description="A target or a list of them.")


_READ_APART = ("from", "reply", "steps", "to", "gather")


def read_route(reading: Reading, name: str, node: Node) -> RouteConfig | None:
    """The route, or None where it could not be read; all its mistakes are noted."""
    if not isinstance(node.value, dict):
        reading.note(node, "bad-value", f"`{name}`: a route is a map; it is {node.kind()}")
        return None
    keys = reading.validated(RouteKeys, node.without(*_READ_APART), name)
    retry = reading.defaults.retry
    if keys is not None and keys.retry is not None:
        retry = merged(retry, keys.retry)
    path = f"routes.{name}"
    source = _source(reading, name, node)
    steps = read_steps(reading, node.items.get("steps"), f"{path}.steps", stage=True)
    if source is not None and _hands_values(reading, source):
        if steps and steps[0].name == "decode":
            text = f"`decode` has nothing to read: `{source.connection}` hands over values already"
            reading.note(node.items["steps"].entries[0], "misplaced-step", text, "decode")
        steps = (_decoded(reading, source, f"{path}.from"), *steps)
    targets = read_targets(reading, node.items.get("to"), f"{path}.to", retry)
    gather = _gather(reading, node.items.get("gather"), f"{path}.gather", retry)
    reply = _reply(reading, node.items.get("reply"), path, source)
    _check_end(reading, name, node)
    if keys is None or source is None:
        return None
    return RouteConfig(
        name=name,
        place=node.place,
        source=source,
        reply=reply,
        idempotency=keys.idempotency,
        order_by=keys.order_by,
        on_stuck=keys.on_stuck,
        deadline=None if keys.deadline is None else float(keys.deadline),
        replay=keys.replay,
        queue=keys.queue,
        sensitive=tuple(keys.sensitive),
        subject=keys.subject,
        steps=steps,
        to=targets,
        gather=gather,
        promise=keys.promise,
        retry=retry,
        concurrency=keys.concurrency,
        retention=None if keys.retention is None else merged(reading.retention, keys.retention),
    )


def _source(reading: Reading, name: str, node: Node) -> FromConfig | None:
    if "from" not in node.items:
        reading.note(node, "missing-key", f"`{name}`: `from:` is missing")
        return None
    return read_source(reading, node.items["from"])


def _reply(reading: Reading, node: Node | None, path: str, source: FromConfig | None) -> ReplyConfig:
    mode: Literal["async", "sync"] = "sync" if source is not None and _is_synchronous(reading, source) else "async"
    if node is None:
        return ReplyConfig(mode)
    if node.value in ("async", "sync"):
        return ReplyConfig("sync" if node.value == "sync" else "async")
    if not isinstance(node.value, dict):
        meant = nearest(str(node.value), ["async", "sync"])
        reading.note(
            node, "bad-value", f"`reply:` is `async`, `sync` or a map with `mode:`, `steps:`, `faults:`{meant}"
        )
        return ReplyConfig(mode)
    keys = reading.validated(ReplyKeys, node.without("steps"), "reply")
    steps = read_steps(reading, node.items.get("steps"), f"{path}.reply.steps")
    return ReplyConfig(mode, steps) if keys is None else ReplyConfig(keys.mode or mode, steps, tuple(keys.faults))


def _is_synchronous(reading: Reading, source: FromConfig) -> bool:
    spec = reading.connections.get(source.connection or "")
    return spec is not None and hooks.is_synchronous(reading.adapters[spec.type], spec.config, source.options)


def _hands_values(reading: Reading, source: FromConfig) -> bool:
    spec = reading.connections.get(source.connection or "")
    return spec is not None and hooks.hands_values(reading.adapters[spec.type])


def _decoded(reading: Reading, source: FromConfig, path: str) -> StepConfig:
    """The step that nobody writes: such a source's bodies are values, kept as JSON."""
    return StepConfig("decode", reading.transformers["decode"].Config.model_validate("json"), source.place, path)


def _gather(reading: Reading, node: Node | None, path: str, retry: Retry) -> GatherConfig | None:
    if node is None:
        return None
    keys = reading.validated(GatherKeys, node.without("steps", "to"), "gather")
    steps = read_steps(reading, node.items.get("steps"), f"{path}.steps")
    targets = read_targets(reading, node.items.get("to"), f"{path}.to", retry)
    if "to" not in node.items:
        reading.note(node, "no-target", "`gather:` needs `to:`")
    return None if keys is None else GatherConfig(float(keys.within), steps, targets, node.place)


def _check_end(reading: Reading, name: str, node: Node) -> None:
    """A route ends in a target, or in a flow that consumes or emits elsewhere."""
    steps, targets = node.items.get("steps"), node.items.get("to")
    ends_in_flow = bool(steps and steps.entries and "flow" in steps.entries[-1].items)
    if (targets is None or not targets.value) and not ends_in_flow:
        reading.note(node, "no-target", f"`{name}` leads nowhere: give it `to:`, or end its steps with `flow:`")
