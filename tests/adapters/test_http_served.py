"""`pipe doctor` at what the gateway serves itself: the listener, its certificate, the files that know the callers."""

from __future__ import annotations

import asyncio
import datetime
import socket
from pathlib import Path
from typing import Any

import pytest

from adapters.http_keys import issue
from adapters.http_server import HttpServer, HttpServerConfig
from pipe.contract import Examinable, Listening, Rung
from pipe.testing import FakeClock, FakeServices
from tests.adapters.pki import Pki


async def examined(services: FakeServices, **keys: Any) -> list[Rung]:
    """The rungs, as the doctor asks for them."""
    made = HttpServer("partners", HttpServerConfig.model_validate({"type": "http_server", **keys}), services)
    assert isinstance(made, Examinable)
    found = [rung async for rung in made.examine(())]
    await made.close()
    assert [rung for rung in found if rung.state != "ok" and not rung.hint] == []
    return found


def services(port: int, *, bound: bool, certificate: Path | None = None, secured: bool = True) -> FakeServices:
    """A gateway whose listener is there."""
    made = FakeServices(FakeClock(datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC).timestamp()), secured=secured)

    made.listens = Listening("127.0.0.1", port, bound, certificate)
    return made


def keys(folder: Path, *lines: str) -> dict[str, Any]:
    """`auth:` with a key file of these lines."""
    (folder / "keys").write_text("\n".join(lines), encoding="utf-8")
    return {"api_keys": f"${{file:{folder / 'keys'}}}"}


async def test_a_listener_that_stands_is_reached() -> None:
    """And one that is said to stand but does not answer is a failure."""
    async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        found = await examined(services(port, bound=True), auth="none")
    assert found[0] == Rung("listener", "ok", f"127.0.0.1:{port} takes connections")
    gone = await examined(services(port, bound=True), auth="none")
    assert (gone[0].name, gone[0].state) == ("listener", "fail")


async def test_where_no_gateway_runs_the_address_must_be_free() -> None:
    """Something else on the port is found before the gateway is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = await examined(services(port, bound=False), auth="none")
    assert (found[0].state, "already in use" in found[0].text) == ("fail", True)
    assert (await examined(services(port, bound=False), auth="none"))[0].state == "ok"
    elsewhere = services(port, bound=False)
    elsewhere.listens = elsewhere.listens._replace(host="192.0.2.1")
    assert "no such address" in (await examined(elsewhere, auth="none"))[0].hint


@pytest.mark.parametrize(("days", "state"), [(200, "ok"), (10, "warn"), (-2, "warn")])
async def test_the_listeners_certificate_has_days(tmp_path: Path, days: int, state: str) -> None:
    """Those who call will see it end before we do."""
    pki, now = Pki(tmp_path), datetime.datetime.now(datetime.UTC)
    ends = now + datetime.timedelta(days=days, hours=1)
    files = pki.files("gw.example", not_after=ends, not_before=now - datetime.timedelta(days=30))
    found = await examined(services(0, bound=False, certificate=Path(files["cert"])), auth="none")
    assert (found[1].name, found[1].state) == ("our certificate", state)
    assert found[1].text.startswith("for gw.example, issued by trustme")
    Path(files["cert"]).write_text("no certificate", encoding="utf-8")
    broken = await examined(services(0, bound=False, certificate=Path(files["cert"])), auth="none")
    assert (broken[1].name, broken[1].state) == ("our certificate", "fail")


async def test_the_key_file_is_read(tmp_path: Path) -> None:
    """How many callers it knows, and who of them is past the last day; never a key."""
    _, olena = issue("olena")
    _, petro = issue("petro", datetime.date(2026, 1, 1))
    found = await examined(services(0, bound=False), auth=keys(tmp_path, olena, olena, petro))
    assert found[-1] == Rung(
        "api keys", "warn", "1 caller: olena; past their last day: petro",
        "take those lines out, or `pipe keys issue` new ones",
    )  # fmt: skip
    nobody = await examined(services(0, bound=False), auth=keys(tmp_path, "# none yet"))
    assert (nobody[-1].state, "nobody can call" in nobody[-1].text) == ("warn", True)


async def test_every_way_to_call_is_looked_at(tmp_path: Path) -> None:
    """One broken file does not hide another."""
    (tmp_path / "users").write_text("olena:not-a-hash", encoding="utf-8")
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", encoding="utf-8")
    (tmp_path / "jwks").write_text('{"keys": [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}]}', encoding="utf-8")
    ways = [
        {"api_keys": f"${{file:{tmp_path / 'gone'}}}"},
        {"basic": {"users": f"${{file:{tmp_path / 'users'}}}"}},
        {"jwt": {"issuer": "https://id.example", "audience": "pipe", "keys": f"${{file:{tmp_path / 'jwks'}}}"}},
        {"hmac": {"secret": f"${{file:{tmp_path / 'secret'}}}"}},
        {"mtls": {"names": ["partner.example"]}},
    ]
    found = (await examined(services(0, bound=False), auth=ways))[1:]
    assert [(rung.name, rung.state) for rung in found] == [
        ("api keys", "fail"), ("users", "fail"), ("tokens", "ok"), ("signatures", "ok"), ("certificates", "ok"),
    ]  # fmt: skip
    assert "line 1 of the users" in found[1].text


async def test_what_would_stand_open_is_a_failure() -> None:
    """As it is when the gateway starts."""
    found = await examined(services(0, bound=False, secured=False))
    assert (found[-1].name, found[-1].state) == ("callers", "fail")
