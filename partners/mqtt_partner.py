"""The stand-in of a broker, derived from the connection that leads to it."""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from partners.broker import Broker, Message
from partners.broker.client import Client
from partners.broker.packets import Connect
from partners.manners import Manner, Verb
from partners.partner import Partner
from pipe.errors import BadRequest, SecretMissing

LISTENERS_S = 10.0
"""how long an offer waits for somebody who listens"""
_REFUSED, _BUSY = 0x87, 0x97
"""not authorised; quota exceeded"""


class MqttPartner(Partner):
    """Lets in whoever has the connection's user name and password; records what clients publish."""

    scheme: ClassVar[str] = "mqtt"
    senseless: ClassVar[Mapping[Verb, str]] = {
        "error200": "a broker says how it went by a reason code and has no body to hide an error in; use `refuse`",
    }

    def __init__(self, name: str, config: Any, folder: Path, *, port: int = 0, fsync: bool = False) -> None:
        """`config` is the connection's."""
        super().__init__(name, folder, port=port, fsync=fsync)
        self._config = config
        self.broker = Broker(self._allowed, self._taken)

    def settings(self) -> Mapping[str, Any]:
        """See Partner."""
        return {"url": self.address, "tls": None, "mtls": None, "allow": None}

    def behave(self, manner: Manner) -> None:
        """See Partner."""
        super().behave(manner)
        self.broker.deaf = manner.verb == "hang"

    def _allowed(self, said: Connect) -> bool:
        if self._config.username is None:
            return True
        try:
            wanted = self._config.password.reveal() if self._config.password is not None else ""
        except SecretMissing:
            return False
        right = hmac.compare_digest((said.password or b""), wanted.encode())
        return said.username == self._config.username and right

    async def _taken(self, client: Client, message: Message) -> int | None:
        manner = self.take_turn()
        self.broker.copies = 2 if manner.verb == "duplicate" else 1
        code = {"refuse": _REFUSED, "fail": _BUSY}.get(manner.verb)
        ours = dict(message.properties.get("UserProperty", ()))
        self._record(message, ours, manner, code)
        if manner.works:
            self._worked(message, ours)
        if manner.verb == "slow":
            await asyncio.sleep(manner.seconds)
        elif manner.verb in {"reset", "truncate", "garbage"}:
            await self._broken(client, message, manner)
        return code

    async def _broken(self, client: Client, message: Message, manner: Manner) -> None:
        if manner.works:
            self.broker.publish(message, client.client_id)
        if manner.verb == "garbage":
            client.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        elif manner.verb == "truncate":
            await client.truncate()
        else:
            client.reset()
        raise ConnectionResetError

    def _record(self, message: Message, ours: Mapping[str, str], manner: Manner, code: int | None) -> None:
        headers = {"X-Pipe-Message-Id": ours.get("pipe_message_id", ""), "Idempotency-Key": ours.get("idempotency_key")}
        bad = code is not None or manner.verb in {"reset", "truncate", "garbage", "hang"}
        answer: Any = ("fail" if code is not None else "none") if bad else "ok"
        self.recorder.saw(headers, "PUBLISH", message.topic, message.body, answer, code or 0)  # type: ignore[arg-type]

    def _worked(self, message: Message, ours: Mapping[str, str]) -> None:
        self.rows.add(ours.get("idempotency_key"), message.body, topic=message.topic)

    async def _open(self, sock: socket.socket) -> None:
        await self.broker.start(sock)

    async def _shut(self) -> None:
        await self.broker.stop()

    async def offer(self, place: str, body: bytes) -> None:
        """Publishes to the topic `place`, once somebody listens to it. Raises BadRequest where nobody does."""
        if not place or set("+#\0") & set(place):
            raise BadRequest(f"{place!r} is no topic to publish to")
        try:
            async with asyncio.timeout(LISTENERS_S):
                while not self.broker.listened(place):  # noqa: ASYNC110 — sessions come and go in many ways
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise BadRequest(f"nobody listens to {place}") from None
        manner = self.take_turn()
        if manner.verb == "slow":
            await asyncio.sleep(manner.seconds)
        self.broker.copies = 2 if manner.verb == "duplicate" else 1
        self.broker.publish(Message(place, body, 1))

    def status(self) -> dict[str, Any]:
        """Who is connected, besides."""
        return {**super().status(), **self.broker.status()}
