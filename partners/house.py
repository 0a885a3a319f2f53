"""All stand-ins together: their ports, their folder, and who tells them what to do."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import orjson

from partners.civil import civil
from partners.control import listening
from partners.derived import KINDS, demo_secrets, leads_to, needed
from partners.manners import manner
from partners.partner import Partner
from partners.payments import payments
from partners.registry import registry
from partners.sms import sms
from partners.stand_in import Service, StandIn
from pipe.config.models import Configuration
from pipe.errors import BadRequest

SERVICES: Mapping[str, Service] = {"registry": registry, "sms": sms, "payments": payments, "civil": civil}
PORTS: Mapping[str, int] = {name: 8091 + place for place, name in enumerate(SERVICES)}
"""where they listen unless told otherwise; the shipped connections.yaml knows these"""
Read = Callable[[], Configuration | None]


class Partners:
    """The stand-ins of one data folder. Made by `start`, ended by `close`."""

    def __init__(self, data: Path, stay: Callable[[], bool] = lambda: True) -> None:
        self.stay = stay
        self.stand_ins: dict[str, Partner] = {}
        self.redirects: dict[str, dict[str, Any]] = {}
        """what connections must say to reach their stand-ins, by dotted key"""
        self.covered: set[str] = set()
        """connections that lead to a stand-in"""
        self._secrets: dict[str, str] = {}
        self._data = data
        self._stack = AsyncExitStack()

    @property
    def archive(self) -> Path:
        """The folder that stands for the one which partners share with us."""
        return self._data / "archive"

    async def open(self, ports: Mapping[str, int], *, fsync: bool, read: Read | None = None, base: int = 0) -> None:
        """Brings them up. Raises OSError where a port is taken, ConfigInvalid.

        With `read` those that its configuration needs, the derived ones from port `base` on.
        """
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.archive / "in").mkdir(parents=True, exist_ok=True)
        for name, service in SERVICES.items():
            folder = self._data / "partners" / name
            await self._add(StandIn(name, service, folder, port=ports.get(name, 0), fsync=fsync))
        if read is not None:
            os.environ.update(self.environment)
            if (configuration := read()) is not None:
                await self._fit(configuration, fsync=fsync, base=base)
        await self._stack.enter_async_context(listening(self._data, self.obey))
        self._stack.enter_context(self._announced(self._data / "partners.json"))

    async def _add(self, stand_in: Partner) -> None:
        self._stack.push_async_callback(stand_in.close)
        await stand_in.start()
        self.stand_ins[stand_in.name] = stand_in

    async def _fit(self, configuration: Configuration, *, fsync: bool, base: int) -> None:
        """Those written by hand stay where a connection leads to them; every other partner gets one made for it."""
        own = {("127.0.0.1", each.port): name for name, each in self.stand_ins.items()}
        led = {spec.name: own.get(place) for spec in needed(configuration) if (place := leads_to(spec)) is not None}
        used = {name for name in led.values() if name is not None}
        self.covered = {connection for connection, name in led.items() if name is not None}
        for name in set(self.stand_ins) - used:
            await self.stand_ins.pop(name).close()
        rest = [spec for spec in needed(configuration) if spec.name not in self.covered]
        self._secrets = demo_secrets(configuration, (spec.name for spec in rest))
        os.environ.update(self._secrets)
        for number, spec in enumerate(rest):
            if spec.name in self.stand_ins:
                raise BadRequest(f"a stand-in written by hand is called `{spec.name}`: call the connection otherwise")
            folder = self._data / "partners" / spec.name
            made = KINDS[spec.type](spec, configuration, folder, base and base + number, fsync)
            await self._add(made)
            self.redirects[spec.name] = dict(made.settings())
            self.covered.add(spec.name)

    async def close(self) -> None:
        """Ends all of them; safe twice."""
        await self._stack.aclose()

    @property
    def addresses(self) -> dict[str, str]:
        """Name to `http://127.0.0.1:PORT`, or whatever it speaks."""
        return {name: stand_in.address for name, stand_in in self.stand_ins.items()}

    @property
    def environment(self) -> dict[str, str]:
        """What the gateway must find in its environment: `PIPE_PARTNER_REGISTRY` and so on, and `PIPE_ARCHIVE`.

        Besides, values for secrets of the environment that nobody has set.
        """
        by_hand = {
            name: each for name, each in self.stand_ins.items() if name in SERVICES and name not in self.redirects
        }
        servers = {f"PIPE_PARTNER_{name.upper()}": each.address for name, each in by_hand.items()}
        return {**servers, "PIPE_ARCHIVE": str(self.archive.resolve()), **self._secrets}

    async def obey(self, name: str, verb: str, arguments: list[str]) -> dict[str, Any]:
        """Does what `tell` says and returns how the stand-in is then. Raises BadRequest."""
        if (name, verb) == ("", "stay"):  # a gateway asks that is about to join
            return {"stay": self.stay()}
        stand_in = self.stand_ins.get(name)
        if stand_in is None:
            raise BadRequest(f"there is no stand-in `{name}`; there are {', '.join(self.stand_ins)}")
        match verb, arguments:
            case "status", []:
                pass
            case "stop", []:
                await stand_in.stop()
            case "start", []:
                await stand_in.start()
            case "bodies", ["on" | "off" as word]:
                stand_in.recorder.bodies = word == "on"
            case "offer", [place, body]:
                await stand_in.offer(place, _decoded(body))
            case _:
                stand_in.behave(manner(verb, arguments))
        return stand_in.status()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @contextmanager
    def _announced(self, file: Path) -> Iterator[None]:
        fresh = file.with_suffix(".new")
        told = {
            "addresses": self.addresses,
            "environment": self.environment,
            "redirects": self.redirects,
            "covered": sorted(self.covered),
        }
        fresh.write_bytes(orjson.dumps(told))
        fresh.replace(file)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise BadRequest("what is offered travels as Base64") from error


async def start(
    data: Path,
    ports: Mapping[str, int] | None = None,
    *,
    fsync: bool = False,
    read: Read | None = None,
    base: int = 0,
    stay: Callable[[], bool] = lambda: True,
) -> Partners:
    """Brings up the stand-ins on loopback; `ports` says where (default PORTS, 0 = any free one).

    With `read`, which reads a configuration, there is one for each partner of it: those written by hand where it leads
    to them, and others made of the connection, from port `base` on (0 = any free one). The environment of this process
    is set for it. Requests are recorded under `data/partners/NAME/seen.jsonl`, the addresses in `data/partners.json`.
    `stay` says whether they are there for a gateway to join, or about to end.
    Raises OSError where a port is taken, ConfigInvalid.
    """
    partners = Partners(data, stay)
    try:
        await partners.open(PORTS if ports is None else ports, fsync=fsync, read=read, base=base)
    except BaseException:
        await partners.close()
        raise
    return partners
