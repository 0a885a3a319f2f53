"""`python -m benchmarks.soap_calls zeep | adapter ADDRESS SECONDS`: one call after the other, told as a line of JSON.

Both record the same act with the same partner. zeep calls as its documentation shows; `adapter` is `soap_client`
without route, store or retry, and holds every request and every answer against the schema, which zeep does not.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import uvloop

WSDL = Path(__file__).resolve().parent.parent / "partners" / "civil.wsdl"
ACT = {"id": "m-1", "kind": "birth", "name": ["Олена", "Коваленко"], "day": "2026-01-15"}
WARM = 20


def by_zeep(address: str, seconds: float) -> tuple[int, float, float]:
    """Calls, seconds, and seconds of processor."""
    from zeep import Client

    made: Any = Client
    client = made(str(WSDL))
    service = client.create_service("{urn:example:civil}CivilBinding", address)
    for _ in range(WARM):
        assert service.RecordAct(act=ACT) == 7
    calls, began, spent = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        service.RecordAct(act=ACT)
        calls += 1
    return calls, time.perf_counter() - began, time.process_time() - spent


async def by_adapter(address: str, seconds: float) -> tuple[int, float, float]:
    """Calls, seconds, and seconds of processor."""
    from adapters.soap.client import SoapClient, SoapConfig, SoapTarget
    from pipe.contract import Message, Outgoing, Timeout
    from pipe.testing import FakeServices

    config = SoapConfig.model_validate({"type": "soap_client", "wsdl": str(WSDL), "url": address})
    client = SoapClient("civil", config, FakeServices())
    await client.open()
    target = SoapTarget.model_validate({"call": "RecordAct"})
    outgoing = Outgoing(Message("m-1", "acts", {"act": ACT}), target, "d-1", 1, Timeout())
    try:
        return await _counted(lambda: client.send(outgoing), seconds)
    finally:
        await client.close()


async def _counted(call: Callable[[], Awaitable[object]], seconds: float) -> tuple[int, float, float]:
    for _ in range(WARM):
        await call()
    calls, began, spent = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        await call()
        calls += 1
    return calls, time.perf_counter() - began, time.process_time() - spent


def main(way: str, address: str, seconds: str) -> None:
    """Prints what was counted."""
    if way == "zeep":
        calls, took, spent = by_zeep(address, float(seconds))
    else:
        calls, took, spent = uvloop.run(by_adapter(address, float(seconds)))
    sys.stdout.buffer.write(orjson.dumps({"calls": calls, "seconds": took, "processor": spent}) + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
