"""The promise of a route, computed from its parts, with the reasons in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipe.config import hooks
from pipe.config.models import Configuration, FlowConfig, RouteConfig, ToConfig
from pipe.config.walk import has_step
from pipe.contract import Adapter

Level = Literal["at-most-once", "at-least-once"]


@dataclass(frozen=True, slots=True)
class Promise:
    """What a route can keep."""

    level: Level
    """at-least-once: what is accepted is delivered, or is a dead letter that a person sees"""
    duplicates: bool
    """whether a partner may see one message twice with no means to tell"""
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.level}{', duplicates possible' if self.duplicates else ''}"

    def keeps(self, claim: Level | None) -> bool:
        """Whether the parts can keep what `promise:` says."""
        if claim == "at-least-once":
            return self.level == "at-least-once"
        return claim is None or not self.duplicates

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"level": self.level, "duplicates": self.duplicates, "reasons": list(self.reasons)}


def promise_of(route: RouteConfig, configuration: Configuration, adapters: Mapping[str, type[Adapter]]) -> Promise:
    """The promise of a route, with a reason for each part that weakens or keeps it."""
    parts = [_source(route, configuration, adapters)]
    first = route.to[0] if route.to else None
    for target in route.to:
        answers = route.reply.mode == "sync" and target is first
        parts.append(_answering(target) if answers else _target(target, route, configuration, adapters))
    if has_step(route, FlowConfig):
        parts.append(Promise("at-least-once", False, ("a flow step happens exactly once for each message",)))
    return Promise(
        "at-most-once" if any(part.level == "at-most-once" for part in parts) else "at-least-once",
        any(part.duplicates for part in parts),
        tuple(reason for part in parts for reason in part.reasons),
    )


def _source(route: RouteConfig, configuration: Configuration, adapters: Mapping[str, type[Adapter]]) -> Promise:
    source = route.source
    if source.connection is None:
        return Promise("at-least-once", False, ())
    adapter = adapters[configuration.connections[source.connection].type]
    level, reason = hooks.guarantee(adapter, source.options)
    return Promise(
        "at-most-once" if level == "at-most-once" else "at-least-once", False, (f"{source.connection}: {reason}",)
    )


def _answering(target: ToConfig) -> Promise:
    return Promise("at-most-once", False, (f"{target.key}: its caller waits, so it is never sent again after a crash",))


def _target(
    target: ToConfig, route: RouteConfig, configuration: Configuration, adapters: Mapping[str, type[Adapter]]
) -> Promise:
    retry = target.retry or route.retry
    if target.kind == "route":
        return Promise("at-least-once", False, (f"{target.key}: handed over within the gateway, exactly once",))
    if target.idempotent_by is not None:
        return Promise(
            "at-least-once", False, (f"{target.key}: the partner de-duplicates by `{target.idempotent_by}`",)
        )
    if target.idempotent:
        return Promise("at-least-once", False, (f"{target.key}: repeating it is declared harmless",))
    if target.idempotent is None and target.connection is not None:
        adapter = adapters[configuration.connections[target.connection].type]
        if hooks.is_natural(adapter, target.options):
            return Promise("at-least-once", False, (f"{target.key}: repeating it is harmless by its protocol",))
    if retry.attempts == 1:
        return Promise("at-most-once", False, (f"{target.key}: tried once; what fails is a dead letter",))
    text = f"{target.key}: tried up to {retry.attempts} times and not idempotent, so the partner may see it twice"
    return Promise("at-least-once", True, (text,))
