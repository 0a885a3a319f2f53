"""What an operation works on: a running gateway, or its folder while no gateway runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from pydantic_core import CoreSchema, core_schema
from sqlalchemy import select

from pipe.config.models import Configuration, RouteConfig
from pipe.errors import BadRequest, ConfigError
from pipe.outcomes import Outcomes, listeners_of
from pipe.refusing import refused
from pipe.route import Route
from pipe.store import schema

if TYPE_CHECKING:
    from pipe.applying import Orphans, Plan
    from pipe.clock import Clock
    from pipe.contract import Services
    from pipe.engine import Catalogue, Engine
    from pipe.stations.station import Station
    from pipe.store.migrations import Migration
    from pipe.store.secret_store import SecretStore
    from pipe.store.store import Store

Progress = Callable[[int, int | None, str], None]
"""called with what is done, how much there is (None: unknown), and a word about it"""


class World(Protocol):
    """What is built in and configured; the composition root has it, the engine's packages only ask."""

    def catalogue(self) -> Catalogue:
        """Adapters, transformers and flows."""

    def configuration(self) -> Configuration:
        """Today's configuration: the one in use, or the one on disk where no gateway runs. Raises ConfigError."""

    def revision(self, files: Mapping[str, str]) -> Configuration:
        """A configuration that was stored. Raises ConfigError."""

    def subjects(self) -> Sequence[tuple[str, str]]:
        """Tables and columns of flows that hold the ids of a subject's messages: see `Flow.subjects`."""

    def migrations(self) -> Iterable[tuple[str, Sequence[Migration]]]:
        """The tables of flows."""

    @property
    def secrets(self) -> SecretStore:
        """What `${secret:NAME}` names, as far as it was loaded."""

    def operations(self) -> Mapping[str, Callable[..., Awaitable[Any]]]:
        """What flows can be asked: see `pipe.contract.Flow.operations`."""

    def secrets_changed(self) -> Awaitable[None]:
        """Takes up what was written into the secret store."""

    def issue_key(self, name: str) -> tuple[str, str]:
        """A new key, and its line for the key file. Raises ValueError for a bad name."""

    def revoke_key(self, text: str, name: str) -> tuple[str, int]:
        """The key file's text without the keys of `name`, and how many went."""

    def lent(self, configuration: Configuration, store: Store | None) -> Services:
        """What the gateway lends to adapters; where none runs, as much of it as one needs that is only looked at."""

    async def apply(self, configuration: Configuration, actor: str, orphans: Orphans = "refuse") -> Plan:
        """Takes up a configuration, whole or not at all. Raises ConfigError where it may not be, or no gateway runs."""


@dataclass(slots=True)
class Host:
    """Handed to every operation as its first argument."""

    store: Store
    clock: Clock
    actor: str
    """who asks: the name of the peer's user"""
    world: World | None = None
    engine: Engine | None = None
    """None where no gateway runs on this folder"""
    progress: Progress = lambda done, total, text: None
    facts: dict[str, Any] = field(default_factory=dict)
    """of the running gateway: pid, started_at, addresses"""
    _routes: Mapping[str, RouteConfig] | None = field(default=None, init=False, repr=False)
    """as configured; where no gateway runs they are read once, for each look reads the files"""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        """Arguments of operations are checked; the host itself is none of them."""
        return core_schema.is_instance_schema(cls)

    @property
    def built(self) -> World:
        """The catalogue and the configuration. Raises ConfigError where there are none."""
        if self.world is None:
            raise ConfigError("this needs the configuration: name it with --config")
        return self.world

    def configuration(self) -> Configuration:
        """Today's configuration. Raises ConfigError."""
        return self.engine.configuration if self.engine is not None else self.built.configuration()

    def never_again(self, route: str) -> bool:
        """Whether what is dead of this route stays so; not known where no configuration can be read."""
        if self._routes is None or self.engine is not None:
            try:
                self._routes = self.configuration().routes
            except ConfigError:
                self._routes = {}
        config = self._routes.get(route)
        return config is not None and config.replay == "never"

    def routes(self) -> Mapping[str, Route]:
        """Today's routes, ready to run their steps."""
        if self.engine is not None:
            return self.engine.routes
        from pipe.operations.stubs import Offline

        configuration, known = self.built.configuration(), self.built.catalogue()
        return {
            name: Route(config, configuration.revision, known.transformers, known.flows, Offline(), self.store.vault)
            for name, config in configuration.routes.items()
        }

    def outcomes(self) -> Outcomes:
        """What ends deliveries with everything that follows: gathers, routes that wait for outcomes."""
        if self.engine is not None:
            return self.engine.outcomes
        configuration = self.configuration()
        outcomes = Outcomes(self.store, configuration.limits.hops)
        outcomes.routes = self.routes()
        outcomes.listeners = listeners_of(configuration)
        return outcomes

    def station(self, route: str, name: str) -> Station | None:
        """The running station of a delivery; None where there is none."""
        return self.engine.stations.get((route, name)) if self.engine is not None else None

    async def revision(self, id: str) -> Configuration | None:
        """The configuration of a stored revision; None where it is not kept or can no longer be read."""
        if self.engine is not None and self.engine.configuration.revision == id:
            return self.engine.configuration
        r = schema.revision.c
        row = await self.store.read(lambda c: c.execute(select(r.files).where(r.id == id)).first())
        if row is None or self.world is None:
            return None
        try:
            return self.world.revision(orjson.loads(bytes(row.files)))
        except ConfigError:
            return None


def reason_given(reason: str | None) -> str:
    """The reason of an action that must have one. Raises BadRequest."""
    if not reason or not reason.strip():
        raise refused(BadRequest, "no_reason", hint="add --reason 'WHY'")
    return reason.strip()
