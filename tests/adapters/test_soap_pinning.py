"""`pipe wsdl pin`: fetches within the allow-list, writes whole or not at all, and pins what it wrote."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapters.soap.files import read_wsdl
from adapters.soap.reading import service_of
from pipe.app import pin_wsdl
from pipe.errors import AddressForbidden, ConfigError, PipeError, Refused, ReplyInvalid
from tests.adapters.soap_bench import FOLDER, reader

FILES = {f"/{path.relative_to(FOLDER)}": path.read_bytes() for path in FOLDER.rglob("*.*")}


@contextlib.asynccontextmanager
async def publisher(**changes: bytes) -> AsyncIterator[tuple[str, list[str]]]:
    """Serves the WSDLs of the tests, some of them changed; the address and what was asked for."""
    asked: list[str] = []
    files = FILES | {f"/{name.replace('__', '.')}": raw for name, raw in changes.items()}

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": "/appeals.wsdl"})
        return web.Response(body=files[request.path]) if request.path in files else web.Response(status=404)

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def pinned(url: str, folder: Path, **more: Any) -> Any:
    """Pins to `x.wsdl` of a folder."""
    keys: dict[str, Any] = {"connection": None, "allow": (), "networks": (), **more}
    return await pin_wsdl(folder / "connections.yaml", url, folder / "x.wsdl", **keys)


async def test_a_wsdl_is_written_with_all_that_it_imports(tmp_path: Path) -> None:
    """Documents as they were sent, a pins file with their hashes; read again, they are a service."""
    async with publisher() as (address, asked):
        done = await pinned(f"{address}/appeals.wsdl", tmp_path)
    assert [each.file for each in done] == ["x.wsdl", "x.1.xsd", "x.2.xsd"]
    assert (tmp_path / "x.wsdl").read_bytes() == FILES["/appeals.wsdl"]
    assert asked == ["/appeals.wsdl", "/common.xsd", "/names.xsd"]
    service = service_of(read_wsdl("x.wsdl", reader(tmp_path)), None, None)
    assert service.operation("Register") is not None


async def test_a_ministry_is_pinned_too(tmp_path: Path) -> None:
    """WSDLs that import WSDLs, circles, links to namespaces that everybody knows: none of those is fetched."""
    async with publisher() as (address, asked):
        done = await pinned(f"{address}/ministry/service.wsdl", tmp_path)
    assert (len(done), len(asked)) == (6, 6)
    assert service_of(read_wsdl("x.wsdl", reader(tmp_path)), None, None).operation("getPerson") is not None


async def test_pinning_again_tells_what_has_changed(tmp_path: Path) -> None:
    """And takes it up."""
    async with publisher() as (address, _):
        await pinned(f"{address}/appeals.wsdl", tmp_path)
        same = await pinned(f"{address}/appeals.wsdl", tmp_path)
        assert [each.changed for each in same] == [False] * 3
    raw = FILES["/names.xsd"].replace(b"xs:language", b"xs:string")
    async with publisher(names__xsd=raw) as (address, _):
        done = await pinned(f"{address}/appeals.wsdl", tmp_path)
    assert [each.changed for each in done] == [False, False, True]


async def test_a_document_in_an_old_encoding_is_written_as_utf_8(tmp_path: Path) -> None:
    """windows-1251 and a byte order mark."""
    old = FILES["/names.xsd"].replace(b'encoding="UTF-8"?>', 'encoding="windows-1251"?><!--ї-->'.encode("cp1251"))
    marked = b"\xef\xbb\xbf" + FILES["/common.xsd"]
    async with publisher(names__xsd=old, common__xsd=marked) as (address, _):
        await pinned(f"{address}/appeals.wsdl", tmp_path)
    assert service_of(read_wsdl("x.wsdl", reader(tmp_path)), None, None).operation("Register") is not None


IMPORT = b'schemaLocation="common.xsd"'


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        (b'schemaLocation="http://169.254.169.254/latest"', AddressForbidden),
        (b'schemaLocation="http://localhost:1/x"', AddressForbidden),
        (b'schemaLocation="file:///etc/passwd"', AddressForbidden),
        (b'schemaLocation="gone.xsd"', Refused),
        (b'schemaLocation="/moved"', Refused),
        (b'schemaLocation="broken"', ReplyInvalid),
        (b'schemaLocation="doctype"', ReplyInvalid),
        (b'schemaLocation="names.xsd"', PipeError),
    ],
)
async def test_what_stands_in_the_way_leaves_nothing_behind(tmp_path: Path, location: bytes, kind: type) -> None:
    """Imports cannot lead where the command was not allowed to go, and nothing is half written."""
    raw = FILES["/appeals.wsdl"].replace(IMPORT, location)
    more = {"broken": b"<a", "doctype": b'<!DOCTYPE a SYSTEM "x"><a/>'}
    async with publisher(appeals__wsdl=raw, **more) as (address, _):
        with pytest.raises(kind):
            await pinned(f"{address}/appeals.wsdl", tmp_path)
    assert list(tmp_path.iterdir()) == []


CONNECTIONS = """
version: 1
connections:
  in: {{type: http_server, auth: none}}
  box: {{type: file_folder, path: box}}
  partner: {{type: http_client, url: "{address}", auth: {{api_key: {{value: "${{env:SECRET}}"}}}}}}
routes:
  r: {{from: {{connection: in, path: /x}}, to: {{connection: partner, post: /x}}}}
"""


async def test_a_connection_says_where_it_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address is its permission; another host is not."""
    monkeypatch.setenv("SECRET", "k")
    async with publisher() as (address, _):
        (tmp_path / "connections.yaml").write_text(CONNECTIONS.format(address=address), encoding="utf-8")
        done = await pinned(f"{address}/appeals.wsdl", tmp_path, connection="partner")
        with pytest.raises(AddressForbidden):
            await pinned("http://localhost:1/appeals.wsdl", tmp_path, connection="partner")
        with pytest.raises(ConfigError, match="no connection to an HTTP or SOAP partner"):
            await pinned(f"{address}/appeals.wsdl", tmp_path, connection="box")
    assert len(done) == 3
    with pytest.raises(ConfigError, match="--network"):
        await pinned("http://127.0.0.1:1/x", tmp_path, networks=("nonsense",))
