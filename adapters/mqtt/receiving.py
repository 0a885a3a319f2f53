"""Listening: what came is handed in, in order, and acknowledged once it is safe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from loguru import logger
from paho.mqtt.client import MQTTMessage
from paho.mqtt.subscribeoptions import SubscribeOptions

from adapters.mqtt.arrivals import arrival
from adapters.mqtt.codes import said
from adapters.mqtt.config import MqttConfig, MqttSubscription
from adapters.mqtt.held import Held
from adapters.mqtt.inbox import Entry, Inbox
from adapters.mqtt.link import Link
from adapters.mqtt.topics import params_of, subscribed
from pipe.contract import Blob, Door, Doors, Services, Timeout
from pipe.errors import NotAuthorised, StoreError, Unreachable

SPILL = 256 << 10
"""bytes from which a body may become a file"""


class Linked(Protocol):
    """Makes a link."""

    def __call__(
        self, client_id: str, timeout: Timeout, *, keep: float, heard: Callable[[MQTTMessage], None]
    ) -> Awaitable[Link]:
        """Raises the PeerError of a broker that cannot be had."""


class Receiver:
    """The receiving side of one connection. A cancelled `run` keeps its link: the next one goes on where it stood."""

    def __init__(self, name: str, config: MqttConfig, services: Services, timeout: Timeout, linked: Linked) -> None:
        self._config, self._services, self._timeout, self._linked = config, services, timeout, linked
        self._held = Held(name, config, services)
        self._link: Link | None = None
        self._inbox: Inbox | None = None
        self._stirred = asyncio.Event()
        self._listening: dict[str, MqttSubscription] = {}
        self._strays = 0

    def troubles(self) -> list[str]:
        """What had to be let go."""
        found = []
        if dropped := self._inbox.dropped if self._inbox is not None else 0:
            found.append(f"{dropped} messages of qos 0 came faster than they could be stored and are lost")
        if self._strays:
            found.append(f"{self._strays} messages came for topics that no route listens to any more")
        return found

    async def close(self, pool: str) -> None:
        """Ends the link; the broker keeps what was not acknowledged. Safe twice."""
        link, self._link = self._link, None
        if link is not None:
            await link.close(pool)

    async def run(self, doors: Doors, pool: str) -> None:
        """Listens until cancelled. Raises Unreachable when the link is lost, NotAuthorised where we may not listen."""
        link, inbox = await self._standing(pool)
        watching = asyncio.create_task(self._watch(doors))
        version = -1
        try:
            while True:
                self._stirred.clear()
                if doors.version != version and link.lost is None:
                    version = doors.version
                    await self._listen(link, doors)
                if batch := inbox.waiting(self._config.receive):
                    await self._hand_in(link, inbox, batch, doors)
                elif link.lost is not None:
                    raise Unreachable(link.lost)
                else:
                    await self._stirred.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self, doors: Doors) -> None:
        while True:
            await doors.changed(doors.version)
            self._stirred.set()

    async def _standing(self, pool: str) -> tuple[Link, Inbox]:
        """Today's link, or a new one where the last has nothing left to hand in."""
        inbox = self._inbox = self._inbox or Inbox(self._stirred.set)
        if self._link is not None and self._link.lost is not None and not inbox.waiting(1):
            await self.close(pool)
        if self._link is None:
            link = await self._linked(self._config.client_id, self._timeout, keep=self._config.session, heard=inbox.put)
            inbox.turn_over(resumed=link.resumed)
            link.on_lost = self._stirred.set
            self._link, self._listening = link, {}
            await self._held.recall(resumed=link.resumed)
        return self._link, inbox

    async def _listen(self, link: Link, doors: Doors) -> None:
        """Asks for what is not asked for yet, and takes back what no door wants any more."""
        wanted = {subscribed(door.options.topic, door.options.share): door.options for door in doors}
        gone = [name for name in {*self._held.topics, *self._listening} if name not in wanted]
        await self._held.keep({*self._held.topics, *wanted})  # before the broker knows them
        if gone:
            await link.unsubscribe(gone, self._timeout.read)
        fresh = {name: options for name, options in wanted.items() if self._listening.get(name) != options}
        if fresh:
            filters = [(name, self._options(options)) for name, options in fresh.items()]
            codes = await link.subscribe(filters, self._timeout.read)  # type: ignore[arg-type]
            for name, code in zip(fresh, codes, strict=False):
                if code.is_failure:
                    raise NotAuthorised(f"{link.where} does not let us listen to {name!r}: {said(code)}")
        self._listening = wanted
        await self._held.keep(set(wanted))

    def _options(self, options: MqttSubscription) -> SubscribeOptions | int:
        if not self._config.five:
            return options.qos
        # Sent for a new subscription only: after each reconnection it would all come again.
        handling = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB if options.retained else SubscribeOptions.RETAIN_DO_NOT_SEND
        if options.share:
            handling = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE  # it has no meaning for these, and some brokers mind
        return SubscribeOptions(qos=options.qos, retainHandling=handling)

    async def _hand_in(self, link: Link, inbox: Inbox, batch: list[Entry], doors: Doors) -> None:
        """Hands in a batch at once, one commit for all if the store can; then acknowledges from the oldest on."""
        present = list(doors)
        outcomes = await asyncio.gather(*(self._taken(entry, present) for entry in batch), return_exceptions=True)
        done = inbox.done()
        if not link.confirm(entry.message for entry in done):
            inbox.untold(done)
        refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for outcome in refused:
            if not isinstance(outcome, StoreError):
                raise outcome
        if refused:
            # Not acknowledged, they stay with the broker, which sends no more than `receive` beyond them.
            pause = getattr(refused[0], "retry_after", None) or self._config.reconnect.first
            await self._services.clock.sleep(min(pause, self._config.reconnect.max))

    async def _taken(self, entry: Entry, doors: list[Door]) -> None:
        """Returns once the message is safe. Raises what the door raises."""
        message = entry.message
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._stray(entry, "its topic is not UTF-8")
            return
        for door in doors:
            params = params_of(door.options.topic, topic)
            if params is None:
                continue
            if message.retain and not door.options.retained:
                entry.safe = True
                return
            body = await self._body(bytes(message.payload))
            await door.accept(arrival(message, params, body, entry.identity))
            entry.safe = True
            return
        self._stray(entry, "no route listens to its topic any more")

    def _stray(self, entry: Entry, why: str) -> None:
        """The session at the broker outlived the route that asked for this; unacknowledged it would block the rest."""
        entry.safe = True
        self._strays += 1
        logger.bind(action="mqtt_stray", topic=repr(entry.message._topic[:200])).warning(  # noqa: SLF001  see `_mark`
            "a message was acknowledged and let go: {}", why
        )

    async def _body(self, payload: bytes) -> bytes | Blob:
        """A file where it is large. It is all here already, so the only limit is the route's own, at its door."""
        if len(payload) < SPILL:
            return payload
        spool = self._services.spool(len(payload))
        try:
            for at in range(0, len(payload), SPILL):
                await spool.write(payload[at : at + SPILL])
            return await spool.finish()
        except BaseException:
            with suppress(OSError):
                spool.discard()
            raise
