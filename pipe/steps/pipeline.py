"""Runs a list of steps over one message."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipe import blocking
from pipe.config.models import ChooseConfig, EnrichConfig, StepConfig, TapConfig
from pipe.contract import Message, Transformer
from pipe.errors import OutOfMemory, PipeError, StepFailed

LARGE = 64 << 10
"""bytes"""


class StepStopped(Exception):
    """A step failed: which one, with what body before it."""

    def __init__(self, error: PipeError, step: StepConfig, body: Any, trace: str | None = None) -> None:
        super().__init__(str(error))
        self.error, self.step, self.body, self.trace = error, step, body, trace


@dataclass(slots=True)
class Run:
    """What one run of the steps leaves beside the message."""

    message: Message | None
    """None: a filter dropped it"""
    taps: list[tuple[str, Message]] = field(default_factory=list)
    """copies for other routes; they are stored with the delivery's outcome"""
    trail: list[tuple[str, Any]] | None = None
    """path and body after each step, where someone wants to see them"""
    large: bool = False
    """a body that may take long: its steps run in a thread, so that the loop does not stand still meanwhile"""


class Outside(Protocol):
    """What steps may ask of the engine."""

    async def enrich(self, config: EnrichConfig, message: Message, place: str) -> Message:
        """Calls a connection and merges its reply."""


class Pipeline:
    """Steps made ready to run. Pure steps run without a pause; heavy ones run in a thread."""

    def __init__(
        self, steps: Sequence[StepConfig], transformers: Mapping[str, type[Transformer]], outside: Outside
    ) -> None:
        self._outside = outside
        self._steps = [(config, self._compiled(config, transformers)) for config in steps]
        self.empty = not steps

    async def run(self, message: Message, *, trail: bool = False, size: int = 0) -> Run:
        """The message after all steps; `size` is what its body had in bytes. Raises StepStopped."""
        run = Run(message, trail=[] if trail else None, large=size > LARGE)
        await self.continue_(run)
        return run

    async def continue_(self, run: Run) -> None:
        """Runs the steps on what a run holds now."""
        for config, step in self._steps:
            message = run.message
            if message is None:
                return
            try:
                result = step(message, run)
                if type(result) is not Message and isinstance(result, Awaitable):
                    result = await result
                run.message = result
            except StepStopped:
                raise
            except PipeError as error:
                error.facts.setdefault("step", config.path)
                error.facts.setdefault("place", str(config.place))
                raise StepStopped(error, config, message.body) from error
            except MemoryError as error:
                short = OutOfMemory(f"no memory for `{config.name}`", step=config.path, place=str(config.place))
                raise StepStopped(short, config, message.body) from error
            except Exception as error:  # boundary: a defect of a step must not stop its route
                failed = StepFailed(
                    f"`{config.name}` broke: {type(error).__name__}: {error}", step=config.path, place=str(config.place)
                )
                raise StepStopped(failed, config, message.body, traceback.format_exc()) from error
            if run.trail is not None:
                run.trail.append((config.path, None if run.message is None else run.message.body))

    def _compiled(
        self, config: StepConfig, transformers: Mapping[str, type[Transformer]]
    ) -> Callable[[Message, Run], Any]:
        if isinstance(config.config, ChooseConfig):
            return self._choose(config.config, transformers)
        if isinstance(config.config, EnrichConfig):
            enrich, place = config.config, str(config.place)
            return lambda message, run: self._outside.enrich(enrich, message, place)
        if isinstance(config.config, TapConfig):
            return _tap(config.config.route)
        transformer = transformers[config.name](config.config)
        if transformer.heavy:
            return lambda message, run: blocking.run("steps", transformer.apply, message)

        def apply(message: Message, run: Run) -> Any:
            if run.large:
                return blocking.run("steps", transformer.apply, message)
            return transformer.apply(message)

        return apply

    def _choose(
        self, config: ChooseConfig, transformers: Mapping[str, type[Transformer]]
    ) -> Callable[[Message, Run], Any]:
        branches = [(when, Pipeline(steps, transformers, self._outside)) for when, steps in config.branches]

        def choose(message: Message, run: Run) -> Message | None | Awaitable[Message | None]:
            for when, pipeline in branches:
                if when is None or when.is_true(message):
                    return _inner(pipeline, run)
            return message

        return choose


async def _inner(pipeline: Pipeline, run: Run) -> Message | None:
    await pipeline.continue_(run)
    return run.message


def _tap(route: str) -> Callable[[Message, Run], Message]:
    def tap(message: Message, run: Run) -> Message:
        run.taps.append((route, message))
        return message

    return tap
