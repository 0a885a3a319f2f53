"""The broker itself: who is connected, what is retained, who gets what."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from partners.broker.client import Client
from partners.broker.packets import FIVE, Connect
from partners.broker.sessions import Message, Session, Subscription, copy_for, fits, meant

Taken = Callable[[Client, Message], Awaitable[int | None]]
"""called for each message that a client publishes, before it is acknowledged: None goes on, a reason code refuses it"""


class Broker:
    """Serves on one socket; sessions and retained messages outlive `stop`."""

    def __init__(self, allowed: Callable[[Connect], bool], taken: Taken) -> None:
        self.allowed, self.taken = allowed, taken
        self.sessions: dict[str, Session] = {}
        self.clients: dict[str, Client] = {}
        self.retained: dict[str, Message] = {}
        self.copies = 1
        """how often each message is handed out"""
        self.deaf = False
        """whether nothing is answered and nothing handed out"""
        self._turns: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, sock: socket.socket) -> None:
        """Takes connections on this bound socket."""
        self._server = await asyncio.start_server(self._serve, sock=sock)

    async def stop(self) -> None:
        """Refuses connections and ends those that stand. Safe twice."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await Client(self, reader, writer).run()
        except asyncio.CancelledError:
            if self._server is not None:
                raise
        finally:
            self._tasks.discard(task)

    # --- clients

    def sign_in(self, client: Client, said: Connect) -> tuple[Session, bool]:
        """The session of this client, and whether it was there before."""
        known = self.sessions.get(said.client_id)
        if known is not None and known.gone_at is not None and time.monotonic() > known.gone_at + known.expiry:
            known = None
        present = known is not None and not said.clean
        session = known if present and known is not None else Session(said.client_id)
        session.gone_at = None
        if said.version == FIVE:
            session.expiry = float(getattr(said.properties, "SessionExpiryInterval", 0))
        else:
            session.expiry = 0.0 if said.clean else float("inf")
        session.window = int(getattr(said.properties, "ReceiveMaximum", 65_535))
        if (other := self.clients.get(said.client_id)) is not None:
            other.push_out()
        self.sessions[said.client_id], self.clients[said.client_id] = session, client
        return session, present

    def sign_out(self, client: Client, session: Session) -> None:
        """The connection has ended."""
        if self.clients.get(session.client_id) is client:
            del self.clients[session.client_id]
            session.gone_at = time.monotonic()
            if session.expiry == 0:
                self.sessions.pop(session.client_id, None)

    # --- messages

    def publish(self, message: Message, by: str = "") -> None:
        """Hands a message to all who listen, and keeps it where it says so."""
        if message.retain:
            self.retained.pop(message.topic, None)
            if message.body:
                self.retained[message.topic] = message
        groups: dict[str, list[tuple[Session, Subscription]]] = {}
        for session, subscription in meant(iter(self.sessions.values()), message.topic):
            if subscription.group is not None:
                groups.setdefault(subscription.filter, []).append((session, subscription))
            elif not (subscription.no_local and session.client_id == by):
                self._hand(session, copy_for(message, subscription))
        for name, members in groups.items():
            present = [member for member in members if member[0].client_id in self.clients] or members
            session, subscription = present[self._turns[name] % len(present)]
            self._turns[name] += 1
            self._hand(session, copy_for(message, subscription))

    def listened(self, topic: str) -> bool:
        """Whether anybody listens to it, connected or not."""
        return next(meant(iter(self.sessions.values()), topic), None) is not None

    def greet(self, session: Session, subscription: Subscription) -> None:
        """What was kept for those who come later."""
        if subscription.group is None:
            for message in [kept for topic, kept in self.retained.items() if fits(subscription.topic, topic)]:
                made = copy_for(message, subscription)
                self._hand(session, Message(made.topic, made.body, made.qos, True, made.properties, made.subscriptions))

    def _hand(self, session: Session, message: Message) -> None:
        client = self.clients.get(session.client_id)
        for _ in range(self.copies):
            session.keep(message, connected=client is not None)
        if client is not None:
            client.pump()

    def status(self) -> dict[str, Any]:
        """Who is there."""
        return {"clients": sorted(self.clients), "sessions": len(self.sessions), "retained": len(self.retained)}
