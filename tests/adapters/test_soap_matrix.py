"""Every WSDL × other stack × version × feature, against the stacks themselves, with the bytes on the wire."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapters.soap.message import check_schema, received, values_of
from adapters.soap.names import SOAP12
from pipe.contract import Receipt
from pipe.errors import PipeError, Refused
from tests.adapters.soap_bench import Door, called, service, serving
from tests.adapters.soap_matrix import table
from tests.adapters.soap_matrix.cases import CALLERS, PARTNERS, WSDLS, Call, Cell, Wsdl, cells
from tests.adapters.soap_matrix.relay import Relay, relaying
from tests.adapters.soap_matrix.stacks import Stacks, enveloped
from tests.adapters.soap_matrix.wires import held_against

pytestmark = pytest.mark.debian
ATTACHED = {"id": "table@pipe", "content_type": "text/csv", "data": base64.b64encode(b"a,b\r\n1,2\r\n").decode()}
THEIRS = {
    "id": "table@gsoap",
    "content_type": "text/csv",
    "data": base64.b64encode(b"a,b\r\n1,2\r\n\0\xff\xfe").decode(),
}
SECURED = {"password", "digest", "x509"}
DONE = [each for each in cells() if table.reason(each) is None]
_PHP = pytest.mark.skipif(shutil.which("php") is None, reason="PHP is not here (apt install php-cli php-soap)")
_GSOAP = pytest.mark.skipif(
    not (shutil.which("soapcpp2") and shutil.which("g++")),
    reason="gSOAP is not here (apt install gsoap libgsoap-dev g++ libssl-dev zlib1g-dev)",
)
old_python = pytest.mark.skipif(sys.version_info >= (3, 12), reason="spyne does not start on Python 3.12")
MARKS = {"php": _PHP, "php_server": _PHP, "gsoap": _GSOAP, "gsoap_server": _GSOAP, "spyne": old_python}


def needing(cell: Cell, value: Any = None) -> Any:
    """A parameter of a test that needs the cell's stack."""
    marks = [MARKS[cell.stack]] if cell.stack in MARKS else []
    return pytest.param(value or cell, id=cell.id, marks=marks)


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stacks]:
    """One process of each."""
    cache = request.config.cache
    assert cache is not None
    made = Stacks(tmp_path_factory.mktemp("stacks"), Path(cache.mkdir("soap")))
    yield made
    made.close()


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    """What notes the bytes."""
    async with relaying() as made:
        yield made


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of olena."""
    monkeypatch.setenv("SECRET", "s3cret")


def calls_of(cell: Cell) -> tuple[Call, ...]:
    """What the cell exchanges: of letters all but a one-way feature delivers."""
    known = WSDLS[cell.wsdl]
    if not cell.wsdl.startswith("letters"):
        return known.calls
    return known.calls[1:] if cell.feature == "one_way" else known.calls[:1]


def loose(value: Any) -> Any:
    """Plain values as any stack tells them: no order of attributes and text, numbers as numbers, types left out."""
    if isinstance(value, dict):
        return {
            {"#text": "_", "value": "_"}.get(name, name.lstrip("@_") or "_"): loose(part)
            for name, part in value.items()
            if name not in {"@xsi:type", "@header"} and part not in (None, [], "")
        }
    if isinstance(value, list) and value and isinstance(value[0], int):
        return " ".join(map(str, value))
    if isinstance(value, list):
        return alone([loose(each) for each in value])
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    with contextlib.suppress(InvalidOperation):
        return Decimal(str(value)).normalize()
    return re.sub(r"^(\d{4}-\d\d-\d\d) (.*)\+00:00$", r"\1T\2Z", value)


def alone(items: list[Any]) -> Any:
    """One item is not always told as a list."""
    return items[0] if len(items) == 1 else items


# --- they call us


@pytest.mark.parametrize("cell", [needing(each) for each in DONE if each.stack in CALLERS])
async def test_they_call_us(cell: Cell, stacks: Stacks, relay: Relay) -> None:
    """The values arrive whole, the answer is understood, the bytes are those that are written down."""
    exchanges = await they_call(cell, stacks, relay)
    held_against(cell.file, f"{table.TEST}::test_they_call_us[{cell.id}]", exchanges)


async def they_call(cell: Cell, stacks: Stacks, relay: Relay) -> list[tuple[bytes, bytes]]:
    """What went over the wire. Raises AssertionError where it is not understood."""
    known, exchanges = WSDLS[cell.wsdl], []
    for call in calls_of(cell):
        values, door = asked(call, cell), Door(call.operation, answer(call, cell))
        others = [
            Door(each.operation, {})
            for each in known.calls
            if each.operation != call.operation and each.reply is not None
        ]
        config = {"port": known.port(cell.version), **guarded(cell, stacks)}
        async with serving(door, *others, path=known.path, config=config) as served:
            host = served.client
            assert host is not None
            relay.target = ("127.0.0.1", int(re.findall(r":(\d+)/", served.address)[0]))
            url = f"{relay.address}/soap/legacy"
            told = await asyncio.to_thread(told_by, cell, known, call, values, stacks, url)
            check_told(cell, call, told)
            await until(door)  # PHP does not wait for the answer of a one-way call
        check_arrived(cell, door, values)
        exchanges += shaped(cell, await relay.all())
    return exchanges


def shaped(cell: Cell, exchanges: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The exchanges, which look as the feature says."""
    mark = {"mtom": b'type="application/xop+xml"', "swa": b"Content-Type: multipart/related"}.get(cell.feature, b"")
    for request, answer in exchanges:
        assert mark in request, f"what {cell.stack} sends is not {cell.feature}"
        assert mark in answer, f"the answer is not {cell.feature}"
    return exchanges


async def until(door: Door) -> None:
    """Waits until something has arrived."""
    async with asyncio.timeout(30):
        while not door.arrivals:  # noqa: ASYNC110  it happens in another process
            await asyncio.sleep(0.01)


def asked(call: Call, cell: Cell) -> Any:
    """What they ask for."""
    if cell.feature == "fault":
        letter = {"subject": "refuse me"}
        return {**call.values, "letter": letter} if "letter" in call.values else letter
    if cell.feature == "header":
        return {**call.values, "@header": {"session": "s-1"}}
    return call.values


def answer(call: Call, cell: Cell) -> Any:
    """What our route answers."""
    if cell.feature == "fault":
        return Receipt(
            404, body=orjson.dumps({"text": "the letter is refused", "detail": {"Refused": {"reason": "no stamp"}}})
        )
    return {**call.reply, "@attachments": [ATTACHED]} if cell.feature == "swa" else call.reply


def guarded(cell: Cell, stacks: Stacks) -> dict[str, Any]:
    """The `auth:` of our server."""
    if cell.feature == "x509":
        sign = {"cert": str(stacks.keys / "ours.pem"), "key": str(stacks.keys / "ours.key")}
        return {"auth": {"wsse": {"certificates": str(stacks.keys / "theirs.pem"), "sign": sign}}}
    return {"auth": {"wsse": {"users": f"${{file:{stacks.folder / 'users'}}}"}}} if cell.feature in SECURED else {}


def told_by(cell: Cell, known: Wsdl, call: Call, values: Any, stacks: Stacks, url: str) -> Any:
    """What the stack says came of the call."""
    header = values.get("@header", {}) if isinstance(values, dict) else {}
    if cell.stack == "gsoap":
        made = service(known.path)
        found = made.operation(call.operation)
        assert found is not None
        file = stacks.folder / "request.xml"
        file.write_bytes(enveloped(made, found[1].input, values))
        version = cell.version.removeprefix("1.")
        return stacks.ask("gsoap", f"{stacks.operation(known, call)} {url} {version} {cell.feature} {file}".encode())
    plain = call.php if call.php is not None else values
    if isinstance(plain, dict):
        plain = {name: part for name, part in plain.items() if name != "@header"}
    spaces = {"session": f"urn:example:letters:{known.name.rpartition('_')[2]}"}
    auth = {"user": "olena", "password": "s3cret", "digest": cell.feature == "digest"}
    told = {
        "url": f"{url}?wsdl", "version": cell.version, "port": known.port(cell.version) or "RegistryPort",
        "operation": call.operation, "args": plain, "types": call.types, "rpc": known.style == "rpc",
        "headers": [[name, spaces.get(name, "http://x-road.eu/xsd/xroad.xsd"), part] for name, part in header.items()],
        "inner": "http://x-road.eu/xsd/identifiers", "auth": auth if cell.feature in SECURED else None,
    }  # fmt: skip
    if known.path == "payments_rpc.wsdl":
        told["port"] = "PaymentsPort"
    return stacks.ask(cell.stack, orjson.dumps(told))


def check_told(cell: Cell, call: Call, told: Any) -> None:
    """The stack understood the answer."""
    if cell.feature == "fault":
        fault = told.get("fault", told)
        code = re.sub(r".*:", "", fault["code"])
        assert (code, fault["text"], fault["reason"]) == (
            "Client" if cell.version == "1.1" else "Sender", "the letter is refused", "no stamp",
        ), told  # fmt: skip
        return
    assert "error" not in told, str(told)
    assert "fault" not in told, told
    if cell.stack == "gsoap":
        if call.reply is not None:
            assert gsoap_read(cell, call, told["body"], output=True) == call.reply
        parts = [(part["id"].strip("<>"), part["type"]) for part in told["parts"][1:]]
        assert parts == [("table@pipe", "text/csv")] if cell.feature == "swa" else True
        return
    assert only(loose(told["reply"])) == only(loose(call.reply or {}))


def only(value: Any) -> Any:
    """Stacks unwrap an answer that is one thing, and say nothing of one that is empty."""
    while isinstance(value, dict) and len(value) == 1 and not isinstance(next(iter(value.values())), Decimal):
        value = next(iter(value.values()))
    if isinstance(value, dict) and len(value) == 1:
        return next(iter(value.values()))
    if value in ({}, "none", "", [], None):
        return None
    return value


def gsoap_read(cell: Cell, call: Call, raw: str, *, output: bool) -> Any:
    """What gSOAP understood, in our values."""
    made = service(WSDLS[cell.wsdl].path)
    found = made.operation(call.operation)
    assert found is not None
    shape = found[1].output if output else found[1].input
    assert shape is not None
    message = received(raw.encode(), "text/xml")
    check_schema(message, made.small)
    return values_of(message, shape, made)


def check_arrived(cell: Cell, door: Door, values: Any) -> None:
    """Our route got the very values."""
    assert len(door.values) == 1
    got = door.values[0]
    if cell.feature == "swa":
        assert got.pop("@attachments") == [THEIRS]
    expected = values
    if cell.feature == "mtom" or isinstance(values, str):
        assert got == expected
        return
    assert got == expected or loose(got) == loose(expected)
    if isinstance(values, dict) and "@header" in values:
        assert got["@header"] == values["@header"]
    if cell.feature in SECURED:
        assert door.arrivals[0].caller is not None


# --- we call them


@pytest.mark.parametrize("cell", [needing(each) for each in DONE if each.stack in PARTNERS])
async def test_we_call_them(cell: Cell, stacks: Stacks, relay: Relay) -> None:
    """They understand every value, we their answer; the bytes are those that are written down."""
    exchanges = await we_call(cell, stacks, relay)
    held_against(cell.file, f"{table.TEST}::test_we_call_them[{cell.id}]", exchanges)


async def we_call(cell: Cell, stacks: Stacks, relay: Relay) -> list[tuple[bytes, bytes]]:
    """What went over the wire. Raises AssertionError or PipeError where it is not understood."""
    known, exchanges = WSDLS[cell.wsdl], []
    relay.target = ("127.0.0.1", await asyncio.to_thread(stacks.port, cell.stack))
    for call in calls_of(cell):
        values = asked(call, cell)
        if cell.feature == "swa":
            values = {**values, "@attachments": [ATTACHED]}
        planned(cell, known, call, stacks)
        address = f"{relay.address}{path_of(cell, known)}"
        keys = {"port": known.port(cell.version), "mtom": cell.feature == "mtom", **credentials(cell, stacks)}
        if cell.feature == "fault":
            with pytest.raises(Refused) as caught:
                await called(address, call.operation, values, known.path, **keys)
            assert isinstance(caught.value.reply, Receipt)
            fault = caught.value.reply.fault
            assert (fault["code"], fault["text"], fault["detail"]) == (
                "Client", "the letter is refused", {"Refused": {"reason": "no stamp"}},
            )  # fmt: skip
        else:
            receipt = await called(address, call.operation, values, known.path, **keys)
            check_answer(cell, call, receipt)
        check_seen(cell, known, call, values, stacks)
        exchanges += shaped(cell, await relay.all())
    return exchanges


def path_of(cell: Cell, known: Wsdl) -> str:
    """Where the partner serves it."""
    if cell.stack == "php_server":
        return f"/{known.path}/{cell.feature}"
    if cell.stack == "gsoap_server":
        return f"/{cell.feature}"
    return f"/{known.name.rpartition('_')[2]}-{cell.version}"


def credentials(cell: Cell, stacks: Stacks) -> dict[str, Any]:
    """The `auth:` of our client."""
    if cell.feature == "x509":
        sign = {"cert": str(stacks.keys / "ours.pem"), "key": str(stacks.keys / "ours.key")}
        return {"auth": {"wsse": {"sign": sign, "timestamp": "5m", "verify": str(stacks.keys / "theirs.pem")}}}
    wsse = {"username": "olena", "password": "${env:SECRET}", "digest": cell.feature == "digest"}
    return {"auth": {"wsse": wsse}} if cell.feature in SECURED else {}


def planned(cell: Cell, known: Wsdl, call: Call, stacks: Stacks) -> None:
    """Tells the partner what to answer."""
    for old in stacks.plan.iterdir():
        old.unlink()
    if cell.stack == "php_server":
        reply, parts = call.reply, len(call.reply) if isinstance(call.reply, dict) else 1
        if known.style == "rpc" and isinstance(reply, dict) and len(reply) == 1:
            (reply,) = reply.values()
        headers = dict.fromkeys(("session", "client", "userId", "id"), True)
        plan = {"reply": reply, "types": call.types, "rpc": known.style == "rpc", "parts": parts, "headers": headers}
        (stacks.plan / "plan.json").write_bytes(orjson.dumps(plan))
    if cell.stack == "gsoap_server" and call.reply is not None:
        made = service(known.path)
        found = made.operation(call.operation)
        assert found is not None
        assert found[1].output is not None
        file = stacks.plan / f"{stacks.operation(known, call)}.xml"
        file.write_bytes(enveloped(made, found[1].output, call.reply))


def check_answer(cell: Cell, call: Call, receipt: Receipt) -> None:
    """What we made of their answer."""
    body = receipt.body
    if cell.feature == "swa":
        assert body.pop("@attachments") == [THEIRS]
    expected = call.reply
    if isinstance(body, dict) and isinstance(expected, dict):
        assert loose(body) == loose(expected)
    else:
        assert (body or None) == (expected or None)


def check_seen(cell: Cell, known: Wsdl, call: Call, values: Any, stacks: Stacks) -> None:
    """What they made of our request."""
    if cell.stack == "spyne":
        return  # it answers with the very scan that it was sent
    meant = (
        {name: part for name, part in values.items() if name != "@attachments"} if isinstance(values, dict) else values
    )
    header = meant.get("@header") if isinstance(meant, dict) else None
    if cell.stack == "gsoap_server":
        seen = orjson.loads((stacks.plan / f"{stacks.operation(known, call)}.seen").read_bytes())
        got = gsoap_read(cell, call, seen["body"], output=False)
        assert loose(got) == loose(meant)
        assert seen["session"] == ((header or {}).get("session"))
        if cell.feature == "swa":
            assert [(part["id"].strip("<>"), part["type"], part["size"]) for part in seen["parts"][1:]] == [
                ("table@pipe", "text/csv", 10)
            ]
        return
    seen = orjson.loads((stacks.plan / "seen.json").read_bytes())
    if known.style == "rpc":
        assert [loose(each) for each in seen["args"]] == [
            loose(part) for name, part in meant.items() if name != "@header"
        ]
    else:
        wanted = call.php if call.php is not None else meant
        if call.php is not None:  # what no schema knows comes as text, with a prefix of its own
            seen["args"] = orjson.loads(
                re.sub(rb"\bns\d:", b"e:", orjson.dumps(seen["args"])).replace(b"xmlns:ns1", b"xmlns:e")
            )
        assert only(loose(seen["args"])) == only(loose(wanted))
    if header and "session" in header:
        assert seen["header"] == header["session"]
    if cell.feature in SECURED:
        assert seen["checked"] is True


def test_the_versions_are_what_the_rows_say() -> None:
    """A row of 1.2 is not told apart by name alone."""
    for each in WSDLS.values():
        made = service(each.path)
        spoken = {"1.2" if port.version is SOAP12 else "1.1" for port in made.ports}
        assert spoken == set(each.versions)


# --- what is not there


@pytest.mark.parametrize("reason", [needing(each.example, each) for each in table.REASONS if each.seen is not None])
async def test_what_a_stack_cannot_do(reason: table.Reason, stacks: Stacks, relay: Relay) -> None:
    """It is tried, and fails as the reason says: once it does not, the combination belongs into the table."""
    cell = reason.example
    exchange = they_call if cell.stack in CALLERS else we_call
    with pytest.raises((AssertionError, PipeError), match=reason.seen):
        await exchange(cell, stacks, relay)


@old_python
async def test_spyne_passes_over_header_blocks(stacks: Stacks, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password is as good to it as a right one."""
    monkeypatch.setenv("SECRET", "wrong")
    for feature in ("header", "password", "digest"):
        await we_call(Cell("letters_wrapped", "1.1", feature, "spyne"), stacks, relay)


def asked_of_spyne(program: str) -> str:
    """What a program prints that looks into spyne; not in this process, whose imports it would disturb."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]


@old_python
def test_spyne_takes_no_given_wsdl() -> None:
    """Its package of WSDLs has a writer, and nothing that reads."""
    program = (
        "import pkgutil, spyne.interface.wsdl as w; print(sorted(m.name for m in pkgutil.iter_modules(w.__path__)))"
    )
    assert asked_of_spyne(program) == "['defn', 'wsdl11']"


@old_python
def test_spyne_has_no_rpc_style() -> None:
    """It knows how a body can be made, and rpc is not among the ways."""
    program = (
        "import spyne\nclass S(spyne.ServiceBase):\n  @spyne.rpc(spyne.Unicode, _body_style='rpc')\n  def f(c, a): 0"
    )
    assert "body_style" in asked_of_spyne(program)


def test_the_table_is_whole_and_the_bytes_are_there() -> None:
    """No combination is open, no file is left over, and the page is made of what the code says."""
    assert table.wrong() == []
    assert len(WSDLS) >= 15
    assert {each.wsdl for each in DONE} == set(WSDLS)
