"""One connection at work: its turn-taking, rates, breaker and state. Adapters know nothing of all this."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from loguru import logger
from pydantic import BaseModel

from pipe.contract import (
    Breaker,
    Certificate,
    Certified,
    Clock,
    ConnectionConfig,
    Health,
    KeyedRate,
    Message,
    Outgoing,
    Rate,
    Receipt,
    Secret,
    State,
    Troubled,
)
from pipe.errors import Busy, ConnectionWaits, NoAnswer, PipeError, SecretMissing, Unreachable, Verdict, sayable
from pipe.events import Events, Turned
from pipe.expression import Expression
from pipe.overdue import Overdue
from pipe.rate import Bucket, KeyedBuckets

DOWN_AFTER = 3
LONGEST_PAUSE_S = 3600.0
GRACE_S = 1.0
LOOK_S = 120.0
"""adapters keep shorter limits themselves; this one is for those that do not"""


class Connection:
    """Decides when a send may begin and learns from how it ended.

    Closed (down, breaker open, paused, asked to wait) it admits nobody: messages wait and spend nothing. When its time
    is up it admits one trial; a good one opens it, a bad one closes it for longer.
    """

    def __init__(self, name: str, adapter: Any, config: ConnectionConfig, clock: Clock, events: Events) -> None:
        self.name, self.adapter, self.config = name, adapter, config
        self._clock, self._events = clock, events
        self.slots = asyncio.Semaphore(config.concurrency)
        self._overdue = Overdue()
        self._secrets = tuple(_secrets_in(config))
        self._rates, self._keyed = _buckets(config.rate)
        breaker = config.breaker
        self._breaker: Breaker | None = breaker if isinstance(breaker, Breaker) else None
        self._window: deque[bool] = deque(maxlen=self._breaker.of if self._breaker else 1)
        self._unreachable = 0
        self._closed_until = float("-inf")
        self._half_open = False
        self._trial = False
        self._backoff = 0.0
        self._ask_first = False
        self.paused = False
        self.opened = False
        self._retired = False
        self.state: State = "unknown"
        self.reason = ""
        self.code: str | None = None
        """of the error that it is so for, or a word of `[ops.cause]`"""
        self.since = clock.now()
        self.last_ok: float | None = None
        self.last_error: tuple[float, str] | None = None
        self._waiters: dict[Callable[[], None], None] = {}
        self._reopening: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Opens the adapter. Where it cannot be opened now it is tried again in the background, and messages wait."""
        try:
            await self.adapter.open()
        except PipeError as error:
            self._ask_first = True
            self._close(self._next_backoff(), "down", error.text, error.code)
        else:
            self.opened = True
        probe = getattr(self.config, "probe", None)
        if probe is not None:
            self._probing = asyncio.create_task(self._probe(probe.every), name=f"probe {self.name}")

    # --- may a send begin? ---

    def admits(self) -> bool:
        """Whether a send may begin now."""
        if not self.opened or self.paused or self._retired or self._clock.monotonic() < self._closed_until:
            return False
        return not (self._half_open and self._trial)

    @property
    def opens_at(self) -> float | None:
        """When it admits the next trial, seconds since 1970; None where it is open, or waits for a person."""
        left = self._closed_until - self._clock.monotonic()
        return None if self.paused or left <= 0 else self._clock.now() + left

    def secrets(self) -> tuple[str, ...]:
        """Today's values of the secrets that its configuration names, so that a partner's echo can be masked."""
        found: list[str] = []
        for secret in self._secrets:
            with suppress(SecretMissing):
                found.append(secret.reveal())
        return tuple(found)

    def certificates(self) -> tuple[Certificate, ...]:
        """Those that it rests on, as far as its adapter knows them; the one that ends first comes first."""
        found = self.adapter.certificates() if isinstance(self.adapter, Certified) else ()
        return tuple(sorted(found, key=lambda certificate: certificate.ends))

    @property
    def health(self) -> Health:
        """Its state; troubles that its adapter knows of, or a certificate that ends soon, make an `up` degraded."""
        first = next(iter(self.certificates()), None)
        if self.state == "up" and first is not None and first.ends < time.time() + self.config.warn_before:
            whose = "the partner's" if first.whose == "partner" else "our"
            return Health("degraded", f"{whose} certificate for {first.name}: {first.left}", "certificate")
        if self.state == "up" and isinstance(self.adapter, Troubled) and (troubles := self.adapter.troubles()):
            return Health("degraded", sayable("; ".join(troubles)), "troubles")
        return Health(self.state, self.reason, self.code or "")

    def breaker(self) -> tuple[int, int, int] | None:
        """Failures among the last attempts, how many of these there are, and the most it looks at; None without one."""
        if self._breaker is None:
            return None
        return self._window.count(False), len(self._window), self._breaker.of

    def on_open(self, callback: Callable[[], None]) -> None:
        """Calls back each time the connection opens again."""
        self._waiters[callback] = None

    def forget(self, callback: Callable[[], None]) -> None:
        """Undoes on_open."""
        self._waiters.pop(callback, None)

    def delay(self, message: Message) -> float:
        """Seconds that the connection's rates make this message wait; the place is taken."""
        now = self._clock.monotonic()
        delay = max((bucket.reserve(now) for bucket in self._rates), default=0.0)
        for per, buckets in self._keyed:
            if (key := per(message)) is not None:  # what has no key is of no one's: only the plain rates hold it
                delay = max(delay, buckets.reserve(str(key), now))
        return delay

    async def send(
        self, begin: Callable[[], Outgoing], judge: Callable[[Receipt | PipeError], Receipt]
    ) -> tuple[Receipt, bool]:
        """One attempt, classified by `judge`; with whether it was a trial. Raises ConnectionWaits where it is closed.

        `begin` is called when its turn has come: the wait for it is not part of the attempt's time.
        """
        async with self.slots:
            if not self.admits():
                raise ConnectionWaits(f"{self.name} is {self.state}: {self.reason}", connection=self.name)
            outgoing = begin()
            trial = self._half_open
            self._trial = self._trial or trial
            try:
                receipt = judge(await self._answer(outgoing))
            except PipeError as error:
                error.facts.setdefault("connection", self.name)
                error.facts["trial"] = trial
                self._learn(error, trial=trial)
                raise
            finally:
                if trial:
                    self._trial = False
                    self._wake()  # one that broke or was cancelled says nothing of the partner: somebody else may try
            self._learn(None, trial=trial)
            return receipt, trial

    async def _answer(self, outgoing: Outgoing) -> Receipt | PipeError:
        limit = outgoing.timeout.total
        try:
            # Adapters keep the limit themselves; the grace is for one that does not.
            return await self._overdue.within(limit + GRACE_S, self.adapter.send(outgoing))
        except PipeError as error:
            return error
        except TimeoutError as error:
            raise NoAnswer(f"{self.name} did not end within {limit:g} s", connection=self.name) from error

    # --- learning ---

    def _learn(self, error: PipeError | None, *, trial: bool) -> None:
        if error is None or not _is_connections_fault(error):
            self._good(trial=trial)
            return
        self.last_error = (self._clock.now(), str(error.text))
        self._window.append(False)
        self._unreachable = self._unreachable + 1 if isinstance(error, Unreachable) else 0
        if isinstance(error, Busy):
            self._close(
                error.retry_after if error.retry_after is not None else self.config.reconnect.first,
                "degraded",
                error.text,
                error.code,
            )
        elif error.verdict is Verdict.STOP or self._unreachable >= DOWN_AFTER:
            self._ask_first = True
            self._close(self._next_backoff(), "down", error.text, error.code)
        elif trial:
            pause = max(self._next_backoff(), self._breaker.open if self._breaker else 0.0)
            self._close(pause, "down", error.text, error.code)
        elif self._breaker is not None and self._tripped(self._breaker):
            self._close(self._breaker.open, "down", f"breaker open: {error.text}", error.code)

    def _good(self, *, trial: bool) -> None:
        self.last_ok = self._clock.now()
        self._unreachable = 0
        self._window.append(True)
        if trial or self.state != "up":
            self._half_open, self._backoff = False, 0.0
            if trial:
                self._window.clear()
            self._turn("up", "")
            self._wake()

    def _tripped(self, breaker: Breaker) -> bool:
        enough = len(self._window) >= max(2, breaker.of // 2)
        return enough and self._window.count(False) >= breaker.failures * len(self._window)

    def _next_backoff(self) -> float:
        reconnect = self.config.reconnect
        self._backoff = min(reconnect.max, self._backoff * 2 or reconnect.first)
        return self._backoff

    # --- closing and opening ---

    def _close(self, seconds: float, state: State, reason: str, code: str) -> None:
        until = self._clock.monotonic() + min(seconds, LONGEST_PAUSE_S)
        self._closed_until = max(self._closed_until, until)
        self._half_open = True
        self._turn(state, reason, code)
        if self._reopening is None or self._reopening.done():
            self._reopening = asyncio.create_task(self._reopen(), name=f"reopen {self.name}")

    async def _reopen(self) -> None:
        while True:
            while (left := self._closed_until - self._clock.monotonic()) > 0:
                await self._clock.sleep(left)
            if not self._ask_first:
                break
            health = await self._look()
            if health.state != "down":
                self._ask_first = False  # not yet open where it was closed for longer meanwhile
                continue
            self._closed_until = self._clock.monotonic() + self._next_backoff()
            self._turn("down", health.reason or self.reason, health.code or self.code or "")
        self._wake()

    async def _look(self) -> Health:
        try:
            async with asyncio.timeout(LOOK_S):
                if not self.opened:
                    await self.adapter.open()
                    self.opened = True
                health: Health = await self.adapter.check()
        except PipeError as error:
            return Health("down", error.text, error.code)
        except TimeoutError:
            return Health("down", f"its check did not end within {LOOK_S:g} s", "check_late")
        except Exception as error:  # boundary of the adapter: whom nobody asks any more stays closed
            logger.bind(action="check_broke", connection=self.name).opt(exception=error).error(
                "the connection's check has a defect; it is asked again"
            )
            return Health("down", f"its check broke: {type(error).__name__}", "check_broke")
        return health

    async def _probe(self, every: float) -> None:
        """Asks now and then how the partner is. It tells people; only real sends open and close the connection."""
        while True:
            if self.opened and not self.paused and not self._half_open:
                health = await self._look()
                served = self.last_ok is not None and self.last_ok > self._clock.now() - every
                self.note(replace(health, state="degraded") if health.state == "down" and served else health)
            await self._clock.sleep(every)

    def pause(self) -> None:
        """Closes it by a person's hand."""
        self.paused = True
        self._turn("paused", "paused by a person", "paused")

    def resume(self) -> None:
        """Opens it by a person's hand."""
        self.paused = False
        self._turn("unknown", "")
        self._wake()

    def note(self, health: Health) -> None:
        """Takes up what a probe saw, where no traffic says otherwise."""
        if self.paused or self._half_open:
            return
        self._turn(health.state, health.reason, health.code)

    async def retire(self, patience_s: float) -> None:
        """Lets what is being sent end, then closes. Whoever still waits for a turn hears that none will come."""
        held = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                for _ in range(self.config.concurrency):
                    await self.slots.acquire()
                    held += 1
        self._retired, self.reason = True, "another one has taken its place"
        for _ in range(held):
            self.slots.release()
        await self.close()

    async def close(self) -> None:
        """Stops its task and closes the adapter."""
        tasks = [task for task in (self._reopening, self._probing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.adapter.close()

    def _wake(self) -> None:
        for callback in list(self._waiters):
            callback()

    def _turn(self, state: State, reason: str, code: str = "") -> None:
        if self.paused and state != "paused":
            return  # what was on its way when a person paused it ends, and says nothing against the pause
        # It goes into alerts, events and the history, all of which a sign that no database takes would stop.
        changed, reason = state != self.state, sayable(reason)
        before, self.state, self.reason = self.state, state, reason
        self.code = code or None
        if changed:
            self.since = self._clock.now()
            log = logger.bind(
                action="connection_state", connection=self.name, state=state, before=before, reason=reason
            )
            log.log("WARNING" if state in ("down", "degraded") else "INFO", "the connection changed its state")
            self._events.tell(Turned(self.name, state, reason, before, code))


_OF_THE_MESSAGE = {"PIPE-2006", "PIPE-2010", "PIPE-2012", "PIPE-2013", "PIPE-2015"}
"""errors of partners that say nothing against the connection itself"""


def _is_connections_fault(error: PipeError) -> bool:
    if error.verdict is Verdict.STOP:
        return True
    return error.code.startswith("PIPE-20") and error.code not in _OF_THE_MESSAGE


def _buckets(rate: Rate | list[Rate | KeyedRate] | None) -> tuple[list[Bucket], list[tuple[Expression, KeyedBuckets]]]:
    entries = rate if isinstance(rate, list) else [rate] if rate is not None else []
    plain = [Bucket(entry) for entry in entries if isinstance(entry, Rate)]
    keyed = [(entry.per, KeyedBuckets(entry.rate)) for entry in entries if isinstance(entry, KeyedRate)]
    return plain, keyed


def _secrets_in(config: BaseModel) -> Iterator[Secret]:
    for value in dict(config).values():
        if isinstance(value, Secret):
            yield value
        elif isinstance(value, BaseModel):
            yield from _secrets_in(value)
