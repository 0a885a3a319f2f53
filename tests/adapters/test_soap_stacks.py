"""Other people's stacks on both ends: suds, zeep and PHP call our server; spyne and PHP are called by our client."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from adapters.soap.files import read_wsdl
from pipe.app import pin_wsdl
from pipe.contract import Arrival, Receipt
from pipe.errors import PeerFailed, Refused, Unencodable
from tests.adapters.soap_bench import FOLDER, Door, called, reader, serving

STACKS = Path(__file__).parent / "stacks"
PHP = shutil.which("php")
php = pytest.mark.skipif(PHP is None, reason="PHP with its SOAP extension is not here (apt install php-cli php-soap)")
old_python = pytest.mark.skipif(sys.version_info >= (3, 12), reason="spyne does not start on Python 3.12")
OFFICIAL = {"@xsi:type": "Official", "name": {"#text": "Олена", "@lang": "uk"}, "office": "register"}
APPEAL = {
    "id": "1", "applicant": OFFICIAL, "phone": "+380671234567", "due": None, "tag": ["a", "b"], "scan": "AAE=",
}  # fmt: skip
TOLD = {"number": 7, "state": "ok", "fault": "no such person", "id": "2"}


async def run(*command: str) -> Any:
    """What a script prints as JSON."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, words = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, words.decode() + output.decode()
    return orjson.loads(output)


def answer(arrival: Arrival) -> Any:
    """The first appeal is registered, the second is unknown."""
    assert isinstance(arrival.body, bytes)
    values = orjson.loads(arrival.body)
    if values["id"] == "1":
        return {"number": 7, "state": "ok"}
    told = {"text": "no such person", "detail": {"NotFound": {"id": values["id"]}}}
    return Receipt(404, body=orjson.dumps(told))


def arrived(door: Door) -> dict[str, Any]:
    """What of the first appeal every stack can say."""
    values = door.values[0]
    return {key: values.get(key) for key in ("@urgent", "id", "applicant", "phone", "due", "tag")}


EXPECTED = {"@urgent": True, "id": "1", "applicant": OFFICIAL, "phone": "+380671234567", "due": None, "tag": ["a", "b"]}


# --- they call us


async def test_suds_calls_us() -> None:
    """Document style: derived type, choice, list, typed fault."""
    door = Door("Register", answer)
    async with serving(door, Door("Remind"), config={"port": "Port11"}) as served:
        told = await run(sys.executable, str(STACKS / "suds_caller.py"), f"{served.address}?wsdl", "appeals")
    assert (told, arrived(door)) == (TOLD, {**EXPECTED, "@urgent": None})


async def test_suds_calls_us_in_rpc_style() -> None:
    """rpc/literal."""
    door = Door("Pay", {"number": 3, "account": {"iban": "UA1"}})
    async with serving(door, path="payments_rpc.wsdl") as served:
        told = await run(sys.executable, str(STACKS / "suds_caller.py"), f"{served.address}?wsdl", "payments")
    assert (told, door.values) == (
        {"number": 3, "iban": "UA1"}, [{"ref": "r-1", "sum": 10.5, "account": {"iban": "UA1"}}],
    )  # fmt: skip


@pytest.mark.parametrize("port", ["Port11", "Port12"])
async def test_zeep_calls_us(port: str) -> None:
    """Both versions, a header block, nil, a binary, a one-way operation, a typed fault."""
    door, reminders = Door("Register", answer), Door("Remind")
    async with serving(door, reminders) as served:
        told = await run(sys.executable, str(STACKS / "zeep_caller.py"), f"{served.address}?wsdl", port)
    assert (told, arrived(door)) == (TOLD, EXPECTED)
    assert (door.values[0]["@header"], door.values[0]["scan"], reminders.values) == (
        {"session": "s-1"}, "AAE=", [{"id": "1"}],
    )  # fmt: skip


@php
@pytest.mark.debian
@pytest.mark.parametrize("version", ["1", "2"])
async def test_php_calls_us(version: str) -> None:
    """SoapClient, both versions: a header block that must be understood, a derived type, nil, a typed fault."""
    door, reminders = Door("Register", answer), Door("Remind")
    config = {"port": "Port11" if version == "1" else "Port12"}
    async with serving(door, reminders, config=config) as served:
        told = await run(str(PHP), str(STACKS / "caller.php"), f"{served.address}?wsdl", version, "appeals")
    assert (told, arrived(door)) == (TOLD, EXPECTED)
    assert (door.values[0]["@header"], door.values[0]["scan"], reminders.values) == (
        {"session": "s-1"}, "AAE=", [{"id": "1"}],
    )  # fmt: skip


@php
@pytest.mark.debian
async def test_php_calls_us_in_rpc_style() -> None:
    """rpc/literal."""
    door = Door("Pay", {"number": 3, "account": {"iban": "UA1"}})
    async with serving(door, path="payments_rpc.wsdl") as served:
        told = await run(str(PHP), str(STACKS / "caller.php"), f"{served.address}?wsdl", "1", "payments")
    assert (told, door.values[0]["account"]) == ({"number": 3, "iban": "UA1"}, {"iban": "UA1"})


# --- we call them


@contextlib.asynccontextmanager
async def started(*command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A server as a process, ended afterwards."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env={**os.environ, **environment}
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def php_server(path: str) -> AsyncIterator[str]:
    """PHP's SoapServer behind PHP's own web server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    async with started(str(PHP), "-S", address, str(STACKS / "server.php"), WSDL=str(FOLDER / path)):
        async with asyncio.timeout(20), aiohttp.ClientSession() as client:
            while True:
                try:
                    async with client.get(f"http://{address}/"):
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
        yield f"http://{address}/"


@php
@pytest.mark.debian
@pytest.mark.parametrize("port", ["Port11", "Port12"])
async def test_we_call_php(port: str) -> None:
    """SoapServer, both versions: every field arrives, its faults are outcomes with verdicts."""
    async with php_server("appeals.wsdl") as address:
        receipt = await called(address, "Register", {**APPEAL, "@header": {"session": "s"}}, port=port)
        one_way = await called(address, "Remind", {"id": "1"}, port=port)
        with pytest.raises(Refused) as gone:
            await called(address, "Register", {**APPEAL, "id": "gone"}, port=port)
        with pytest.raises(PeerFailed):
            await called(address, "Register", {**APPEAL, "id": "down"}, port=port)
    assert (receipt.body, one_way.body) == ({"number": 2, "state": "ok"}, None)
    assert isinstance(gone.value.reply, Receipt)
    assert (gone.value.reply.fault["code"], gone.value.reply.fault["detail"]) == (
        "Client",
        {"NotFound": {"id": "gone"}},
    )


@php
@pytest.mark.debian
async def test_we_call_php_in_rpc_style() -> None:
    """rpc/literal."""
    values = {"ref": "1", "sum": "10.50", "account": {"iban": "UA1"}}
    async with php_server("payments_rpc.wsdl") as address:
        receipt = await called(address, "Pay", values, "payments_rpc.wsdl")
    assert receipt.body == {"number": 7, "account": {"iban": "UA1"}}


@old_python
@pytest.mark.parametrize("version", ["1.1", "1.2"])
async def test_we_call_spyne_after_pinning_its_wsdl(tmp_path: Path, version: str) -> None:
    """Its own WSDL, fetched and pinned by our command; it validates what we send, we what it answers."""
    line = {"article": "a", "count": 3, "price": "10.50"}
    order = {"customer": "c", "day": "2026-01-15", "lines": {"Line": [line, {**line, "count": 1}]}}
    async with started(sys.executable, str(STACKS / "spyne_server.py"), version) as process:
        assert process.stdout is not None
        address = f"http://127.0.0.1:{int(await process.stdout.readline())}/"
        file = tmp_path / "orders.wsdl"
        await pin_wsdl(tmp_path / "none.yaml", f"{address}?wsdl", file, connection=None, allow=(), networks=())
        keys: dict[str, Any] = {"wsdl": read_wsdl("orders.wsdl", reader(tmp_path))}
        receipt = await called(address, "Sum", order, **keys)
        with pytest.raises(Refused) as nobody:
            await called(address, "Sum", {**order, "customer": "nobody"}, **keys)
        with pytest.raises(PeerFailed):
            await called(address, "Sum", {**order, "customer": "down"}, **keys)
        with pytest.raises(Unencodable):
            await called(address, "Sum", {**order, "day": "yesterday"}, **keys)
    assert str(receipt.body["SumResult"]) == "42.00"
    assert isinstance(nobody.value.reply, Receipt)
    assert (nobody.value.reply.fault["code"], nobody.value.reply.fault["subcode"]) == ("Client", "NoCustomer")
