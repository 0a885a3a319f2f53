"""Hosts for tests: the running gateway of a house, or its folder alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipe.app import as_bytes
from pipe.config.loader import load
from pipe.config.models import Configuration
from pipe.engine import Catalogue
from pipe.operations import Host, perform
from pipe.store import revisions
from pipe.store.secret_store import SecretStore
from tests.pipe import house as heart
from tests.pipe.house import House


class World:
    """What the composition root would say."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.secrets_taken_up, self.secrets = 0, SecretStore()

    def catalogue(self) -> Catalogue:
        """The catalogue of the house."""
        return Catalogue(heart._adapters(), heart._transformers(), self._house._flows(), as_bytes)

    def configuration(self) -> Configuration:
        """What lies on disk."""
        return self._load(None)

    def revision(self, files: Mapping[str, str]) -> Configuration:
        """What was stored."""
        return self._load(files)

    def _load(self, files: Mapping[str, str] | None) -> Configuration:
        known = self.catalogue()
        path = self._house.folder / "connections.yaml"
        return load(path, adapters=known.adapters, transformers=known.transformers, flows=known.flows, files=files)

    def subjects(self) -> list[tuple[str, str]]:
        """What the flows of the house keep of people."""
        return self._house.subjects

    def migrations(self) -> list[tuple[str, Any]]:
        """The tables of the house's flows."""
        return [("test", self._house.migrations)] if self._house.migrations else []

    def operations(self) -> Mapping[str, Any]:
        """The flows of the house can be asked nothing."""
        return {}

    async def secrets_changed(self) -> None:
        """Counts."""
        self.secrets_taken_up += 1

    def issue_key(self, name: str) -> tuple[str, str]:
        """A key that shows its name."""
        return f"key-of-{name}", f"{name}:{'0' * 64}"

    def revoke_key(self, text: str, name: str) -> tuple[str, int]:
        """Takes the lines of that name out."""
        kept = [line for line in text.splitlines() if not line.startswith(f"{name}:")]
        return "".join(f"{line}\n" for line in kept), len(text.splitlines()) - len(kept)

    def lent(self, configuration: Configuration, store: Any) -> Any:
        """What the house lends."""
        return heart.Services(self._house.clock, self._house.partners)

    async def apply(self, configuration: Configuration, actor: str) -> None:
        """Nobody asks for it here."""


def host_of(house: House, actor: str = "olena") -> Host:
    """A host on the house as it is now."""
    world: Any = World(house)
    facts = {"pid": 1, "started_at": house.clock.now(), "addresses": {"default": "http://127.0.0.1:1"}}
    engine = house.engine if house.running else None
    return Host(house.store, house.clock, actor, world, engine, facts=facts if house.running else {})


async def do(house: House, operation: str, **arguments: Any) -> Any:
    """Runs an operation as a command would."""
    return await perform(host_of(house), operation, arguments)


async def begin(house: House, text: str) -> None:
    """Starts the house and keeps its revision, as a gateway does."""
    engine = await house.start(text)
    await house.store.write(lambda tx: revisions.keep(tx, engine.configuration, "gateway"))


async def change(house: House, text: str) -> None:
    """Another configuration for the running house, its revision kept."""
    await house.reload(text)
    await house.store.write(lambda tx: revisions.keep(tx, house.engine.configuration, "gateway"))


async def audited(house: House, event: str) -> list[Any]:
    """The audit's rows of an event."""
    from pipe.store import schema

    return [
        row for row in await house.rows(schema.audit.select().order_by(schema.audit.c.seq)) if row["event"] == event
    ]
