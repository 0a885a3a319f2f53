"""The pages for staff as a part of the gateway: where they are served, what they need, and the very first password."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from loguru import logger

from flows.access.engine import Access
from flows.signin import first
from flows.signin.passwords import Passwords
from pipe.clock import Clock
from pipe.config.models import Listener
from pipe.config.sign_in import SignIn
from pipe.errors import PipeError
from pipe.events import Event, Events, Turned
from pipe.store.store import Store
from web.catalogue import AREAS, STARTS, TOPICS
from web.listener import Listeners, is_loopback, refuse_open_staff
from web.pages.bots import FEED, Act, Bot
from web.pages.site import MakeHost, Site
from web.signin.factors import TotpFactor
from web.signin.otp import OtpFactor

STAFF = "staff"
"""a listener of this name serves the pages, where there is one"""
FILE = "first-password"


class Staff:
    """Makes the site and keeps the first password."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        data: Path,
        settings: Callable[[], SignIn] = SignIn,
        passwords: Passwords | None = None,
        *,
        act: Act,
        bots: Callable[[], Sequence[Bot]] = tuple,
        host: MakeHost,
        events: Events,
    ) -> None:
        """Nothing is read or made before `start`. `bots` are those that the configuration has now.

        `host` makes what operations of the gateway work on.
        """
        self._bots, self._turned = bots, asyncio.Event()
        events.subscribe(self._saw)
        self._store, self._clock, self._file = store, clock, data / FILE
        self.access = Access(store, clock)
        self.site = Site(
            store, clock, AREAS, TOPICS, STARTS, access=self.access, passwords=passwords or Passwords(),
            factors=(TotpFactor(store), OtpFactor(store, clock, act)), act=act, bots=bots, host=host,
            settings=settings, on_first_password_used=self._gone,
        )  # fmt: skip
        self.first_password: str | None = None
        """where nobody can sign in yet, until somebody does; shown on the terminal, written nowhere"""
        self._tasks: list[asyncio.Task[None]] = []

    def serve(self, listeners: Listeners, configs: dict[str, Listener], default: str) -> bool:
        """Mounts the pages on the listener `staff`, else on the default one; not where passwords would go in clear.

        Returns whether they are served. Raises ConfigError where a listener `staff` is open.
        """
        if STAFF in configs:
            refuse_open_staff(STAFF, configs[STAFF])
            name: str | None = STAFF
        else:
            name = None
            config = next(iter(configs.values()), None)
            if not (config is None and is_loopback(default)) and (config is None or not _closed(config)):
                logger.bind(action="pages").warning(
                    "the pages are not served: the listener is neither loopback nor TLS. Give it `tls:`, say "
                    "`behind_proxy: true` where a proxy in front ends TLS, or add a listener named `staff`"
                )
                return False
        for prefix, handler in self.site.mounts().items():
            listeners.mount(name, prefix, handler)
        return True

    async def start(self, *, served: bool) -> None:
        """Reads rights, by which people hear of alerts, too.

        Where pages are served, makes the first password where nobody administers; forgets it where somebody does.
        """
        await self.access.open()
        self._tasks.append(asyncio.create_task(self.access.run(), name="access"))
        if not served:
            return
        self._tasks.append(asyncio.create_task(self._tell_of_bots(), name="bots"))
        missing = await self._store.read(first.nobody_yet)
        if not missing:
            await self._store.write(first.forget)
            self._gone()
            return
        self.first_password = await self._store.write(first.make)
        self._tasks.append(asyncio.create_task(self._end(), name="first password"))

    def keep_password(self) -> None:
        """Writes the first password into the data folder, for where there is no terminal; only its owner reads it."""
        if self.first_password is None:
            return
        self._file.unlink(missing_ok=True)
        handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{self.first_password}\n")

    async def stop(self) -> None:
        """Ends open streams and what is waited for. Safe twice."""
        self.site.streams.stop()
        self.site.refreshing.stop()
        await self.site.works.stop()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _saw(self, event: Event) -> None:
        if isinstance(event, Turned) and any(bot.name == event.connection for bot in self._bots()):
            self._turned.set()

    async def _tell_of_bots(self) -> None:
        """Open pages hear that a bot does otherwise than before."""
        while True:
            await self._turned.wait()
            self._turned.clear()
            with suppress(PipeError):  # a page that is asked for shows it all the same
                await self._store.write(lambda tx: tx.publish(FEED, {}) and None)

    def _gone(self) -> None:
        self.first_password = None
        self._file.unlink(missing_ok=True)

    async def _end(self) -> None:
        await self._clock.sleep(first.LASTS_S)
        await self._store.write(first.forget)
        self._gone()


def _closed(config: Listener) -> bool:
    return is_loopback(config.address) or config.tls is not None or config.behind_proxy
