"""Spans of OpenTelemetry: what came in and each attempt at a station, sent to the collector of `traces:` by OTLP/HTTP.

A span is made of what the engine tells anyway, after the fact; its ids are computed (`pipe.tracing`), so nothing has to
be remembered over a restart. Nothing waits for the collector: what it does not take is dropped, counted and said once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import aiohttp
from loguru import logger

from pipe.errors import SecretMissing
from pipe.events import Arrived, Attempted, Event
from pipe.lasting import ended, lasting

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from pipe.config.traces import Traces as Config
    from pipe.engine import Engine

EVERY_S = 1.0
AT_ONCE = 500
MOST = 20_000
"""spans that wait; of more the oldest are dropped"""


class Traces:
    """Collects spans while the configuration has `traces:`, and sends them every second."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: deque[Span] = deque(maxlen=MOST)
        self.dropped = 0
        """spans that no collector took, since the start"""
        self._silent = False
        """whether the collector did not take the last ones"""
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        engine.events.subscribe(self.saw)

    async def start(self) -> None:
        """Sends from now on."""
        self._task = asyncio.create_task(lasting("traces", self._run, self._engine.clock), name="traces")

    async def stop(self) -> None:
        """Sends what is left, once. Safe twice."""
        if self._task is not None:
            await ended(self._task)
            self._task = None
            await self.flush()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def saw(self, event: Event) -> None:
        """Takes one event up, where it is part of a trace that is kept."""
        config = self._engine.configuration.traces
        if config is None:
            return
        from monitoring import spans  # protobuf takes room, and most gateways send no traces

        now = self._engine.clock.now()
        span = None
        if isinstance(event, Arrived):
            span = spans.arrived(event, float(config.sample), now)
        elif isinstance(event, Attempted):
            span = spans.attempted(event, now)
        if span is not None:
            self.dropped += len(self._waiting) == MOST
            self._waiting.append(span)

    async def flush(self) -> None:
        """Sends what waits; ends at the first refusal."""
        while self._waiting:
            config = self._engine.configuration.traces
            batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            if config is None:
                continue
            problem = await self._sent(config, batch)
            if problem is not None:
                self.dropped += len(batch)
            if (problem is not None) != self._silent:
                self._turn(config, problem)
            if problem is not None:
                return

    async def _run(self) -> None:
        while True:
            await self._engine.clock.sleep(EVERY_S)
            await self.flush()

    def _turn(self, config: Config, problem: str | None) -> None:
        self._silent = problem is not None
        log = logger.bind(action="traces", collector=config.otlp, dropped=self.dropped)
        if problem is None:
            log.info("the collector takes spans again")
        else:
            log.bind(problem=problem).warning(
                "the collector of `traces:` does not take spans: they are dropped, messages go on as always"
            )

    async def _sent(self, config: Config, batch: list[Span]) -> str | None:
        """Why the collector did not take them; None where it did."""
        from monitoring import spans

        try:
            headers = {name: secret.reveal() for name, secret in config.headers.items()}
            headers["Content-Type"] = "application/x-protobuf"
            if self._session is None:
                self._session = aiohttp.ClientSession(trust_env=False)
            async with self._session.post(
                config.otlp,
                data=spans.request(config.service, batch),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=float(config.timeout)),
                allow_redirects=False,
            ) as answer:
                return None if answer.status < 300 else f"it answered {answer.status}"
        except TimeoutError:
            return f"it did not answer within {float(config.timeout):g} s"
        except (aiohttp.ClientError, OSError, ValueError, SecretMissing) as error:
            return f"{type(error).__name__}: {error}"
