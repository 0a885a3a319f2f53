"""`pipe doctor` at a partner over HTTP: the way, our credentials, its probe; and nothing that it would mind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.http_client import HttpClient
from pipe.contract import Examinable, Rung, Secret
from pipe.testing import FakeServices
from tests.adapters.http_bench import config
from tests.adapters.pki import Pki
from tests.adapters.raw_server import RawServer, hangs, reply, says, serving

BOTH_LOOPS = True
WAY = [("name", "ok"), ("tcp", "ok")]


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    """A partner that answers 200 to everything."""
    async with serving(RawServer()) as running:
        yield running


def secret(folder: Path, value: str) -> Secret:
    """A secret in a file."""
    (folder / "token").write_text(value, encoding="utf-8")
    return Secret(f"${{file:{folder / 'token'}}}")


async def examined(server: RawServer, **keys: Any) -> list[Rung]:
    """The rungs, as the doctor asks for them."""
    made = HttpClient("partner", config(server, **keys), FakeServices())
    assert isinstance(made, Examinable)
    found = [rung async for rung in made.examine(())]
    await made.close()
    assert [rung for rung in found if rung.state != "ok" and not rung.hint] == []
    assert "fail" not in [rung.state for rung in found[:-1]], found
    assert found[0].state == "ok", found
    return found


def states(found: list[Rung]) -> list[tuple[str, str]]:
    """Names and states."""
    return [(rung.name, rung.state) for rung in found]


async def test_without_a_probe_nothing_is_asked(server: RawServer, tmp_path: Path) -> None:
    """Only that the partner is there; where there are credentials, that they are untried."""
    assert states(await examined(server)) == [*WAY, ("probe", "ok")]
    found = await examined(server, auth={"bearer": secret(tmp_path, "t")})
    assert states(found) == [*WAY, ("probe", "warn")]
    assert "probe: {get: /ping}" in found[-1].hint
    assert server.requests == []


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        (200, "ok", "answers 200"), (204, "ok", "answers 204"), (404, "warn", "the path may be wrong"),
        (302, "warn", "the path may be wrong"), (401, "fail", "credentials"), (403, "fail", "credentials"),
        (503, "fail", "answers 503"),
    ],
)  # fmt: skip
async def test_the_probe_is_asked_with_our_credentials(
    server: RawServer, tmp_path: Path, status: int, state: str, words: str
) -> None:
    """Its status says whether they are accepted; it is the only request."""
    server.on("/ping", says(reply(status)))
    found = await examined(server, auth={"bearer": secret(tmp_path, "s3cret-token")}, probe={"get": "/ping"})
    assert states(found) == [*WAY, ("probe", state)]
    assert words in found[-1].text
    (asked,) = server.requests
    assert (asked.method, asked.headers["authorization"]) == ("GET", "Bearer s3cret-token")
    assert "s3cret-token" not in "".join(f"{rung.text}{rung.hint}" for rung in found)


async def test_a_secret_that_is_missing(server: RawServer, tmp_path: Path) -> None:
    """The rung names the reference; nothing was asked."""
    gone = Secret(f"${{file:{tmp_path / 'gone'}}}")
    found = await examined(server, auth={"bearer": gone}, probe={"get": "/ping"})
    assert states(found) == [*WAY, ("probe", "fail")]
    assert str(tmp_path / "gone") in found[-1].text
    assert server.requests == []


async def test_a_probe_that_is_never_answered(server: RawServer) -> None:
    """The time-out of the connection holds here too."""
    server.on("/ping", hangs)
    keys = {"timeout": {"connect": "1s", "read": "200ms", "total": "400ms"}, "probe": {"get": "/ping"}}
    found = await examined(server, **keys)
    assert states(found) == [*WAY, ("probe", "fail")]
    assert "raise `timeout:`" in found[-1].hint


@pytest.mark.parametrize(("status", "state"), [(200, "ok"), (401, "fail")])
async def test_a_token_is_fetched_where_there_is_oauth(
    server: RawServer, tmp_path: Path, status: int, state: str
) -> None:
    """The authorisation server is a rung of its own."""
    answer = json.dumps({"access_token": "a-token", "expires_in": 60}).encode()
    server.on("/token", says(reply(status, answer, Content_Type="application/json")))
    oauth = {
        "token_url": f"http://127.0.0.1:{server.port}/token", "client_id": "gw",
        "client_secret": secret(tmp_path, "client-secret"),
    }  # fmt: skip
    found = await examined(server, auth={"oauth2": oauth}, probe={"get": "/ping"})
    more = [("probe", "ok")] if state == "ok" else []
    assert states(found) == [*WAY, ("token", state), *more]
    assert [request.target for request in server.requests] == ["/token", "/ping"][: 1 + len(more)]


async def test_a_proxy_is_a_way_of_its_own(server: RawServer) -> None:
    """First the way to the proxy, then whether it leads on."""
    proxy = {"url": f"http://127.0.0.1:{server.port}"}
    server.on("/", says(reply(200)))
    found = await examined(
        server, url="http://partner.example", proxy=proxy, allow={"hosts": ["partner.example", "127.0.0.1"]}
    )
    assert states(found) == [("proxy name", "ok"), ("proxy tcp", "ok"), ("through the proxy", "ok"), ("probe", "ok")]
    server.port = 1
    found = await examined(
        server, url="http://partner.example", proxy={"url": "http://127.0.0.1:1"},
        allow={"hosts": ["partner.example", "127.0.0.1"]},
    )  # fmt: skip
    assert states(found) == [("proxy name", "ok"), ("proxy tcp", "fail")]


async def test_tls_is_looked_at_before_anything_is_sent(tmp_path: Path) -> None:
    """A partner whose certificate is not good never sees our credentials."""
    pki = Pki(tmp_path)
    bearer = {"bearer": secret(tmp_path, "t")}
    async with serving(RawServer(), pki.server("127.0.0.1")) as server:
        keys: dict[str, Any] = {"scheme": "https", "auth": bearer, "probe": {"get": "/ping"}}
        assert states(await examined(server, **keys)) == [*WAY, ("tls", "fail")]
        assert server.requests == []
        found = await examined(server, **keys, tls={"ca": Path(pki.ca_file)})
    assert states(found) == [*WAY, ("tls", "ok"), ("probe", "ok")]
