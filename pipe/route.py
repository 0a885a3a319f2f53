"""One route made ready to run: its stages, stations and targets, and what the door evaluates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipe.config.models import FlowConfig, GatherConfig, RouteConfig, SplitConfig, StepConfig, ToConfig
from pipe.contract import FlowStep, Message, Transformer
from pipe.errors import KeyMissing
from pipe.retry import RetryPolicy
from pipe.steps.pipeline import Outside, Pipeline
from pipe.store.journal import Entry
from pipe.store.vault import Vault

GATHER = "gather:"


@dataclass(slots=True)
class Target:
    """One target of a route."""

    config: ToConfig
    pipeline: Pipeline
    retry: RetryPolicy


@dataclass(slots=True)
class Stage:
    """The way from one commit to the next: steps, then a flow, a split, or targets."""

    index: int
    pipeline: Pipeline
    stations: tuple[str, ...]
    flow: FlowStep | None = None
    split: SplitConfig | None = None
    end: StepConfig | None = None
    """the step that ends it, where that is no target"""
    emits: bool = True
    """whether what a flow yields has somewhere to go on to"""


class Route:
    """Built once for each revision; holds no state."""

    def __init__(
        self,
        config: RouteConfig,
        revision: str,
        transformers: Mapping[str, type[Transformer]],
        flows: Mapping[str, FlowStep],
        outside: Outside,
        vault: Vault,
    ) -> None:
        self.config, self.name, self.revision = config, config.name, revision
        self._vault = vault
        self._transformers, self._flows, self._outside = transformers, flows, outside
        self.door_steps, rest = _door_steps(config)
        self.door = Pipeline(self.door_steps, transformers, outside)
        self.targets: dict[str, Target] = {}
        self.stages = self._stages(rest)
        self.gather_stage = self._gather(config.gather) if config.gather else None
        self.by_station = {station: stage for stage in self.stages for station in stage.stations}
        self.synchronous = config.reply.mode == "sync"
        self.reply = Pipeline(config.reply.steps, transformers, outside)

    # --- stages ---

    def _stages(self, steps: tuple[StepConfig, ...]) -> list[Stage]:
        stages: list[Stage] = []
        current: list[StepConfig] = []
        for config in steps:
            if isinstance(config.config, FlowConfig):
                station = _unused(f"flow:{config.config.name}", stages)
                stages.append(
                    Stage(
                        len(stages),
                        self._pipeline(current),
                        (station,),
                        flow=self._flows[config.config.name],
                        end=config,
                    )
                )
                current = []
            elif isinstance(config.config, SplitConfig):
                stages.append(
                    Stage(
                        len(stages),
                        self._pipeline(current),
                        (_unused("split", stages),),
                        split=config.config,
                        end=config,
                    )
                )
                current = list(config.config.steps)
            else:
                current.append(config)
        if self.config.to or current:
            stages.append(self._last(len(stages), current, self.config.to, ""))
        elif stages:
            stages[-1].emits = False
        return stages

    def _gather(self, config: GatherConfig) -> Stage:
        stage = self._last(len(self.stages), list(config.steps), config.to, GATHER)
        self.stages.append(stage)
        return stage

    def _last(self, index: int, steps: list[StepConfig], to: tuple[ToConfig, ...], prefix: str) -> Stage:
        for target in to:
            self.targets[prefix + target.key] = Target(
                target, self._pipeline(target.steps), RetryPolicy(target.retry or self.config.retry)
            )
        return Stage(index, self._pipeline(steps), tuple(prefix + target.key for target in to) or (prefix + "end",))

    def _pipeline(self, steps: list[StepConfig] | tuple[StepConfig, ...]) -> Pipeline:
        return Pipeline(steps, self._transformers, self._outside)

    # --- what becomes of a message that enters ---

    def entry(self, message: Message, stage: int = 0, decoded: Message | None = None, **facts: Any) -> Entry:
        """The message as the journal stores it: order, subject and sensitive values are evaluated on `decoded`.

        Raises PipeError where an expression fails; then nothing may be stored as accepted.
        """
        seen = decoded or message
        config = self.config
        key = config.order_by(seen) if config.order_by is not None else None
        subject = config.subject(seen) if config.subject is not None else None
        return Entry(
            message,
            self.stages[stage].stations,
            stage,
            self.revision,
            order_key=None if key is None else self._vault.hash("order", self.name, str(key)),
            subject=None if subject is None else self._vault.hash("subject", str(subject)),
            sensitive=self.sensitive(seen),
            secret=bool(config.sensitive),
            **facts,
        )

    def sensitive(self, message: Message) -> tuple[str, ...]:
        """The values to mask, as text; longest first, so that a part of a value does not unmask the rest."""
        values: set[str] = set()
        for expression in self.config.sensitive:
            leaves(expression(message), values)
        return tuple(sorted(values, key=len, reverse=True))

    def idempotency_scope(self, message: Message) -> str | None:
        """The keyed hash of route, caller and key; None where the message has no key. Raises KeyMissing."""
        config = self.config.idempotency
        if config is None:
            return None
        key = config.key(message)
        if key in (None, ""):
            if config.required:
                raise KeyMissing(f"the route {self.name} demands `{config.key}`")
            return None
        return self._vault.hash("idempotency", self.name, message.caller or "", str(key))


def _door_steps(config: RouteConfig) -> tuple[tuple[StepConfig, ...], tuple[StepConfig, ...]]:
    """The leading `decode` and `check` run before the commit, so that what is not well made is refused."""
    steps = config.steps
    n = 0
    while n < len(steps) and steps[n].name in ("decode", "check"):
        n += 1
    return steps[:n], steps[n:]


def _unused(station: str, stages: list[Stage]) -> str:
    taken = {name for stage in stages for name in stage.stations}
    n = 2
    name = station
    while name in taken:
        name, n = f"{station}#{n}", n + 1
    return name


def leaves(value: Any, into: set[str]) -> None:
    """Adds every single value within to `into`, as text."""
    if isinstance(value, dict):
        for inner in value.values():
            leaves(inner, into)
    elif isinstance(value, list):
        for inner in value:
            leaves(inner, into)
    elif value not in (None, "", True, False):
        into.add(str(value))
