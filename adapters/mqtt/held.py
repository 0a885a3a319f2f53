"""The topics that a session at the broker may hold, known over restarts, so that old ones can be given back.

The protocol has no question for them, and what a session holds is sent for as long as it lives.
"""

from __future__ import annotations

from adapters.mqtt.config import MqttConfig
from pipe.contract import Services

NAME = "topics"


class Held:
    """Never less than the broker has: a topic is noted before it is asked for, and struck out once it is given back."""

    def __init__(self, connection: str, config: MqttConfig, services: Services) -> None:
        self._connection, self._services = connection, services
        host, port = config.place
        self._session = f"{config.client_id}@{host}:{port}"
        self._keeps = bool(config.session)
        self.topics: set[str] = set()

    async def recall(self, *, resumed: bool) -> None:
        """What was noted, where the broker goes on with that session. Raises StoreError."""
        self.topics = set()
        if self._keeps and resumed:
            noted = await self._services.noted(self._connection, NAME)
            if noted is not None and noted["session"] == self._session:
                self.topics = set(noted["topics"])

    async def keep(self, topics: set[str]) -> None:
        """Notes them, where they are others than before. Raises StoreError."""
        if self._keeps and topics != self.topics:
            value = {"session": self._session, "topics": sorted(topics)}
            await self._services.note(self._connection, NAME, value)
        self.topics = topics
