"""What steps may ask of the outside where no gateway runs: nothing."""

from __future__ import annotations

from pipe.config.models import EnrichConfig
from pipe.contract import Message
from pipe.errors import ConnectionWaits


class Offline:
    """Refuses calls: no connection is open."""

    async def enrich(self, config: EnrichConfig, message: Message, place: str) -> Message:
        """Raises ConnectionWaits."""
        raise ConnectionWaits(
            f"`enrich` at {place} needs {config.connection}, and no gateway runs", connection=config.connection
        )
