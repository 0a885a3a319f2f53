"""All stand-ins together: their ports, their folder, and who tells them what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import orjson

from partners.civil import civil
from partners.control import listening
from partners.manners import manner
from partners.payments import payments
from partners.registry import registry
from partners.sms import sms
from partners.stand_in import Service, StandIn
from pipe.errors import BadRequest

SERVICES: Mapping[str, Service] = {"registry": registry, "sms": sms, "payments": payments, "civil": civil}
PORTS: Mapping[str, int] = {name: 8091 + place for place, name in enumerate(SERVICES)}
"""where they listen unless told otherwise; the shipped connections.yaml knows these"""


class Partners:
    """The stand-ins of one data folder. Made by `start`, ended by `close`."""

    def __init__(self, data: Path) -> None:
        self.stand_ins: dict[str, StandIn] = {}
        self._data = data
        self._stack = AsyncExitStack()

    @property
    def archive(self) -> Path:
        """The folder that stands for the one which partners share with us."""
        return self._data / "archive"

    async def open(self, ports: Mapping[str, int], *, fsync: bool) -> None:
        """Brings them up. Raises OSError where a port is taken."""
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.archive / "in").mkdir(parents=True, exist_ok=True)
        for name, service in SERVICES.items():
            folder = self._data / "partners" / name
            stand_in = StandIn(name, service, folder, port=ports.get(name, 0), fsync=fsync)
            self._stack.push_async_callback(stand_in.close)
            await stand_in.start()
            self.stand_ins[name] = stand_in
        await self._stack.enter_async_context(listening(self._data, self.obey))
        self._stack.enter_context(self._announced(self._data / "partners.json"))

    async def close(self) -> None:
        """Ends all of them; safe twice."""
        await self._stack.aclose()

    @property
    def addresses(self) -> dict[str, str]:
        """Name to `http://127.0.0.1:PORT`."""
        return {name: stand_in.address for name, stand_in in self.stand_ins.items()}

    @property
    def environment(self) -> dict[str, str]:
        """What the gateway must find in its environment: `PIPE_PARTNER_REGISTRY` and so on, and `PIPE_ARCHIVE`."""
        servers = {f"PIPE_PARTNER_{name.upper()}": address for name, address in self.addresses.items()}
        return {**servers, "PIPE_ARCHIVE": str(self.archive.resolve())}

    async def obey(self, name: str, verb: str, arguments: list[str]) -> dict[str, Any]:
        """Does what `tell` says and returns how the stand-in is then. Raises BadRequest."""
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
            case _:
                stand_in.manner = manner(verb, arguments)
        return stand_in.status()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @contextmanager
    def _announced(self, file: Path) -> Iterator[None]:
        fresh = file.with_suffix(".new")
        fresh.write_bytes(orjson.dumps({"addresses": self.addresses, "environment": self.environment}))
        fresh.replace(file)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


async def start(data: Path, ports: Mapping[str, int] | None = None, *, fsync: bool = False) -> Partners:
    """Brings up all stand-ins on loopback; `ports` says where (default PORTS, 0 = any free one).

    Requests are recorded under `data/partners/NAME/seen.jsonl`, the addresses in `data/partners.json`.
    Raises OSError where a port is taken.
    """
    partners = Partners(data)
    try:
        await partners.open(PORTS if ports is None else ports, fsync=fsync)
    except BaseException:
        await partners.close()
        raise
    return partners
