"""What the keys of `decode` and `encode` do, and some of the adapters' keys that no other test shows."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from adapters.file_folder import FileFolder
from adapters.file_folder.folder import FolderConfig
from adapters.files.keys import FileSubscription
from pipe.errors import TlsFailed, TooDeep, Undecodable
from pipe.testing import FakeClock, FakeDoor, FakeDoors, FakeServices
from tests.adapters.http_bench import client
from tests.adapters.http_server_gateway import FakeDoor as HttpDoor
from tests.adapters.http_server_gateway import gateway
from tests.adapters.raw_server import RawServer
from tests.adapters.test_http_server_auth import file_of, post, signed
from tests.transformers.messages import run


@pytest.mark.key("steps.decode.csv.header", "steps.decode.csv.columns", "steps.decode.csv.quote")
def test_a_file_without_header_is_read_by_its_columns() -> None:
    """`columns` name what `header: false` leaves unnamed; `quote` is the sign around fields."""
    config = {"csv": {"header": False, "columns": ["ref", "name"], "quote": "'"}}
    assert run("decode", config, b"1,'a,b'\n") == [{"ref": "1", "name": "a,b"}]
    with pytest.raises(Undecodable, match="sum"):
        run("decode", {"csv": {"columns": ["sum"]}}, b"ref\n1\n")


@pytest.mark.key("steps.decode.xml.depth")
def test_a_document_deeper_than_depth_is_refused() -> None:
    """Two levels are taken where `depth: 2`, three are not."""
    assert run("decode", {"xml": {"depth": 2}}, b"<a><b>1</b></a>") == {"a": {"b": "1"}}
    with pytest.raises(TooDeep):
        run("decode", {"xml": {"depth": 2}}, b"<a><b><c/></b></a>")


@pytest.mark.key("steps.decode.xml.namespaces")
def test_names_get_the_prefixes_of_the_configuration() -> None:
    """Whichever the sender chose."""
    config = {"xml": {"namespaces": {"urn:x": "r"}}}
    assert run("decode", config, b'<z:a xmlns:z="urn:x"><z:b>1</z:b></z:a>') == {"r:a": {"r:b": "1"}}


@pytest.mark.key("steps.encode", "steps.encode.json", "steps.encode.text", "steps.encode.text.charset")
def test_a_body_is_written_in_the_format_that_is_named() -> None:
    """Each with its own settings."""
    assert run("encode", {"json": {}}, {"а": 1}) == '{"а":1}'.encode()
    assert run("encode", {"text": {"charset": "koi8-u"}}, "їжак") == "їжак".encode("koi8-u")


@pytest.mark.key("steps.encode.csv.charset", "steps.encode.csv.header", "steps.encode.csv.quote")
def test_a_csv_is_written_as_its_reader_wants_it() -> None:
    """Charset, no header, and another sign around fields that need one."""
    config = {"csv": {"charset": "windows-1251", "header": False, "quote": "'"}}
    assert run("encode", config, [{"a": "їж", "b": "x,y"}]) == "їж,'x,y'\r\n".encode("windows-1251")


@pytest.mark.key("steps.encode.xml.charset")
def test_a_document_is_written_in_its_charset() -> None:
    """And says so in its declaration."""
    written = run("encode", {"xml": {"charset": "windows-1251"}}, {"a": "їж"})
    assert b"windows-1251" in written.lower()
    assert "їж".encode("windows-1251") in written


# --- adapters


@pytest.mark.key("http_server.auth.hmac.caller")
async def test_a_signing_caller_has_the_name_of_the_configuration(tmp_path: Path) -> None:
    """Not that of the connection."""
    door = HttpDoor("/a")
    config = {"auth": {"hmac": {"secret": file_of(tmp_path, "s" * 32), "caller": "bank"}}}
    async with gateway(door, config=config, clock=FakeClock(1614265330)) as here:
        assert (await post(here, body=b"x", **signed(b"s" * 32, b"x")))[0] == 202
    assert door.arrival.caller == "bank"


@pytest.mark.key("http_server.auth.jwt.algorithms", "http_server.auth.jwt.caller")
@pytest.mark.parametrize(("algorithms", "status"), [(["ES384"], 202), (["ES256"], 401)])
async def test_a_token_names_its_caller_and_is_signed_as_allowed(
    tmp_path: Path, algorithms: list[str], status: int
) -> None:
    """`caller: client` takes the name from that claim; what `algorithms` leave out lets nobody in."""
    key = ECKey.generate_key("P-384", {"kid": "k"})
    claims: Mapping[str, Any] = {"iss": "i", "aud": "pipe", "exp": 1060, "iat": 1000, "client": "kyiv"}
    token = jwt.encode({"alg": "ES384", "kid": "k"}, dict(claims), key, algorithms=["ES384"])
    keys = file_of(tmp_path, json.dumps(KeySet([key]).as_dict(private=False)))
    settings = {"issuer": "i", "audience": "pipe", "keys": keys, "algorithms": algorithms, "caller": "client"}
    door = HttpDoor("/a")
    async with gateway(door, config={"auth": {"jwt": settings}}, clock=FakeClock(1000)) as here:
        assert (await post(here, Authorization=f"Bearer {token}"))[0] == status
    assert [arrival.caller for arrival in door.arrivals] == (["kyiv"] if status == 202 else [])


@pytest.mark.key("from.file_folder.every")
async def test_a_folder_is_looked_at_as_often_as_every_says(tmp_path: Path) -> None:
    """Ready at the second look: nothing after 29 s, the file after 30 s."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(b"x")
    clock = FakeClock()
    door = FakeDoor(FileSubscription.model_validate({"get": "in/*.csv", "every": "30s"}))
    config = FolderConfig.model_validate({"type": "file_folder", "path": str(tmp_path)})
    source = FileFolder("box", config, FakeServices(clock))
    await source.open()
    running = asyncio.create_task(source.run(FakeDoors(door)))
    taken = []
    for seconds in (0, 29, 1):
        await clock.advance(seconds)
        await clock.sleeping()
        taken.append(len(door.arrivals))
    running.cancel()
    await asyncio.wait([running])
    await source.close()
    assert taken == [0, 0, 1]


@pytest.mark.key("http_client.auth.mtls.password")
@pytest.mark.parametrize(("passphrase", "good"), [("s3cret", True), ("other", False)])
async def test_the_passphrase_opens_the_key_of_our_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: RawServer, passphrase: str, good: bool
) -> None:
    """Without the right one the connection cannot be opened."""
    issued = trustme.CA().issue_cert("us.example")
    private = load_pem_private_key(issued.private_key_pem.bytes(), None)
    sealed = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"s3cret"))
    (tmp_path / "k.pem").write_bytes(sealed)
    (tmp_path / "c.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    monkeypatch.setenv("PASSPHRASE", passphrase)
    files = {"cert": str(tmp_path / "c.pem"), "key": str(tmp_path / "k.pem"), "password": "${env:PASSPHRASE}"}
    outcome = contextlib.nullcontext() if good else pytest.raises(TlsFailed)
    with outcome:
        async with client(server, scheme="https", auth={"mtls": files}):
            pass
