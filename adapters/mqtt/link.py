"""One MQTT connection from CONNECT to its end. Its network loop is a thread of its own, so a broker stalls only it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from adapters.mqtt.codes import no_sign_in, said
from adapters.mqtt.config import MqttConfig
from adapters.mqtt.wire import Wire
from pipe import blocking
from pipe.errors import NoAnswer, Unreachable

PATIENCE = 1.0
"""seconds that an orderly end may take"""
Filters = Sequence[tuple[str, SubscribeOptions]] | Sequence[tuple[str, int]]


class Link:
    """Use it until `lost` says why it is over; then make another one. Its methods belong to the event loop."""

    def __init__(
        self,
        config: MqttConfig,
        client_id: str,
        sock: socket.socket,
        where: str,
        *,
        keep: float = 0.0,
        will: bool = True,
        heard: Callable[[MQTTMessage], None] | None = None,
    ) -> None:
        """`sock` stands, TLS included; `keep` is how long the broker keeps the session, in seconds.

        `heard` is called in the thread of the network: a broker begins to send before we have asked. Raises
        SecretMissing.
        """
        self.where, self._sock, self._name = where, sock, client_id
        self._wire = Wire(config, client_id, sock, keep=keep, will=will)
        self._loop = asyncio.get_running_loop()
        self.lost: str | None = None
        self.resumed = False
        """whether the broker knew our session"""
        self.most = 0x0FFFFFFF
        """bytes that a message may have for this broker"""
        self.best, self.retains = 2, True
        """highest quality of service, and whether it keeps messages"""
        self.on_lost: Callable[[], None] = _nothing
        self._reason = ""
        self._signed: asyncio.Future[tuple[ConnectFlags, ReasonCode, Properties | None]] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._wire.on_connect = self._connected
        self._wire.on_disconnect = self._disconnected
        self._wire.on_publish = lambda client, data, mid, code, props: self._tell(self._settle, mid, code)
        self._wire.on_subscribe = lambda client, data, mid, codes, props: self._tell(self._settle, mid, codes)
        self._wire.on_unsubscribe = lambda client, data, mid, codes, props: self._tell(self._settle, mid, codes)
        if heard is not None:
            self._wire.on_message = lambda client, data, message: heard(message)
        self._wire.gone = lambda problem: self._tell(self._gone, problem)

    # --- from the thread

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the event loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(function, *arguments)

    def _connected(
        self, client: Any, data: Any, flags: ConnectFlags, code: ReasonCode, props: Properties | None
    ) -> None:
        self._tell(self._sign, flags, code, props)

    def _disconnected(
        self, client: Any, data: Any, flags: DisconnectFlags, code: ReasonCode, props: Properties | None
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._reason = f"it sent us away: {said(code)}"
        elif code.value and "keep alive" in code.getName().lower():
            self._reason = "it was silent for too long"

    # --- in the event loop

    def _sign(self, flags: ConnectFlags, code: ReasonCode, props: Properties | None) -> None:
        if not self._signed.done():
            self._signed.set_result((flags, code, props))

    def _settle(self, mid: int, outcome: Any) -> None:
        waiting = self._waiting.pop(mid, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)

    def _gone(self, problem: str) -> None:
        silent = f"without a word, as it does when another client uses the name {self._name}"
        self.lost = self.lost or f"{self.where} ended the connection: {problem or self._reason or silent}"
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(NoAnswer(f"{self.lost}; it had not confirmed the message"))
        self._waiting.clear()
        if not self._signed.done():
            self._signed.set_exception(Unreachable(f"{self.lost}, before it signed us in"))
            self._signed.exception()  # whoever waited has been told; nobody else need be
        self._ended.set()
        self.on_lost()

    async def sign_in(self, seconds: float) -> None:
        """Says who we are. Raises NotAuthorised, Busy, Unreachable."""
        try:
            self._wire.reconnect()
        except OSError as error:
            raise Unreachable(f"{self.where} ended the connection: {error}") from error
        self._wire.loop_start()
        try:
            async with asyncio.timeout(seconds):
                flags, code, props = await self._signed
        except TimeoutError:
            raise Unreachable(f"{self.where} did not answer our CONNECT within {seconds:g} s") from None
        if code.is_failure:
            raise no_sign_in(code, self.where)
        self.resumed = flags.session_present
        if props is not None:
            self.most = getattr(props, "MaximumPacketSize", self.most)
            self.best = getattr(props, "MaximumQoS", self.best)
            self.retains = bool(getattr(props, "RetainAvailable", 1))

    async def publish(
        self, topic: str, body: bytes, *, qos: int, retain: bool, properties: Properties | None, seconds: float
    ) -> ReasonCode:
        """The broker's answer: PUBACK, PUBREC that refuses, PUBCOMP; with qos 0 that it was written.

        Raises Unreachable where nothing can have left, NoAnswer where the connection broke or nothing came in time:
        the link is lost then.
        """
        self._standing()
        info = self._wire.publish(topic, body, qos, retain, properties)
        if info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN:
            self.drop(f"the connection to {self.where} is gone")
            self._standing()
        code: ReasonCode = await self._answer(info.mid, seconds, "the message")
        return code

    async def subscribe(self, filters: Filters, seconds: float) -> list[ReasonCode]:
        """The broker's answers, one for each filter."""
        self._standing()
        _, mid = self._wire.subscribe(list(filters))  # type: ignore[arg-type]
        codes: list[ReasonCode] = await self._answer(mid or 0, seconds, "SUBSCRIBE")
        return codes

    async def unsubscribe(self, filters: Sequence[str], seconds: float) -> None:
        """Listens no more to these."""
        self._standing()
        _, mid = self._wire.unsubscribe(list(filters))
        await self._answer(mid or 0, seconds, "UNSUBSCRIBE")

    def confirm(self, messages: Iterable[MQTTMessage]) -> bool:
        """Tells the broker that the messages are safe; False where it can no longer be told here."""
        if self.lost is None:
            self._wire.confirm(messages)
        return self.lost is None

    def _standing(self) -> None:
        if self.lost is not None:
            raise Unreachable(self.lost)

    async def _answer(self, mid: int, seconds: float, what: str) -> Any:
        waiting = self._waiting[mid] = self._loop.create_future()
        try:
            async with asyncio.timeout(seconds):
                return await waiting
        except TimeoutError:
            reason = f"{self.where} did not confirm {what} within {seconds:g} s"
            self.drop(reason)
            raise NoAnswer(reason) from None
        finally:
            self._waiting.pop(mid, None)

    def drop(self, reason: str) -> None:
        """Ends it without a word: whoever is silent is not asked to agree."""
        self.lost = self.lost or reason
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    async def close(self, pool: str) -> None:
        """Says goodbye, so that no will is published, and ends the thread. Safe twice."""
        if self.lost is None:
            self.lost = f"the connection to {self.where} was closed"
            self._wire.disconnect()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._ended.wait()
        self.drop(self.lost)
        await blocking.run(pool, self._wire.loop_stop)
        self._sock.close()
        self._wire.release()


def _nothing() -> None:
    """Before somebody listens."""
