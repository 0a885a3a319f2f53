"""How the HTTP client proves who it is, and how a renewed secret is taken up."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.http_client import HttpConfig
from pipe.contract import Blob
from pipe.errors import NotAuthorised, PeerError, PeerFailed, SecretMissing, Unreachable, Verdict
from pipe.testing import FakeClock, FakeServices
from tests.adapters.http_bench import QUICK, client, outgoing
from tests.adapters.raw_server import Behaviour, RawServer, Received, hangs, reply, resets, says, serving

KEY = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    """A partner that answers 200 to everything."""
    async with serving(RawServer()) as running:
        yield running


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `${env:SECRET}` stands for."""
    monkeypatch.setenv("SECRET", "s3cret")


async def shown(server: RawServer, auth: Any, **more: Any) -> dict[str, str]:
    """The headers that the partner saw."""
    async with client(server, auth=auth) as partner:
        await partner.send(outgoing(**more))
    return server.requests[-1].headers


# --- the simple ways


async def test_without_credentials_none_are_sent(server: RawServer) -> None:
    """`auth: none`, also by default."""
    assert "authorization" not in await shown(server, "none")


@pytest.mark.key("http_client.auth", "http_client.auth.bearer")
async def test_a_bearer_token_is_sent(server: RawServer) -> None:
    """As `Authorization: Bearer`."""
    assert (await shown(server, {"bearer": "${env:SECRET}"}))["authorization"] == "Bearer s3cret"


@pytest.mark.key("http_client.auth.basic", "http_client.auth.basic.username", "http_client.auth.basic.password")
async def test_user_and_password_are_sent(server: RawServer) -> None:
    """As Basic, in UTF-8."""
    headers = await shown(server, {"basic": {"username": "їжак", "password": "${env:SECRET}"}})
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode() == "їжак:s3cret"


@pytest.mark.key("http_client.auth.api_key", "http_client.auth.api_key.header", "http_client.auth.api_key.value")
async def test_a_key_is_sent_in_its_header(server: RawServer) -> None:
    """Under the name that the partner wants."""
    headers = await shown(server, {"api_key": {"header": "X-Key", "value": "${env:SECRET}"}})
    assert headers["x-key"] == "s3cret"


async def test_credentials_win_over_a_header_of_the_target(server: RawServer) -> None:
    """Data cannot put other credentials in their place."""
    from tests.adapters.http_bench import target

    to = target(post="/", headers={"authorization": "${params.name}"})
    headers = await shown(server, {"bearer": "${env:SECRET}"}, to=to, params={"name": "Bearer other"})
    assert headers["authorization"] == "Bearer s3cret"
    assert server.requests[0].head.lower().count(b"authorization:") == 1


@pytest.mark.parametrize("kind", ["env", "file"])
async def test_a_renewed_secret_is_taken_up(
    server: RawServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    """Every attempt reads it anew."""
    file = tmp_path / "secret"

    def renew(value: str) -> None:
        monkeypatch.setenv("SECRET", value)
        file.write_text(value)

    renew("one")
    async with client(server, auth={"bearer": "${env:SECRET}" if kind == "env" else f"${{file:{file}}}"}) as partner:
        await partner.send(outgoing())
        renew("three")
        await partner.send(outgoing())
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer one", "Bearer three"]


async def test_a_missing_secret_stops_the_connection(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent; the error names the reference."""
    monkeypatch.delenv("SECRET")
    with pytest.raises(SecretMissing, match="SECRET") as caught:
        await shown(server, {"bearer": "${env:SECRET}"})
    assert caught.value.verdict is Verdict.STOP
    assert server.requests == []


@pytest.mark.parametrize("way", [{"bearer": "${env:SECRET}"}, {"api_key": {"value": "${env:SECRET}"}}])
async def test_a_secret_with_a_line_break_is_never_shown(
    server: RawServer, monkeypatch: pytest.MonkeyPatch, way: dict[str, Any]
) -> None:
    """It cannot stand in a header; the error names the reference and not the value."""
    monkeypatch.setenv("SECRET", "hush\nhush")
    with pytest.raises(NotAuthorised) as caught:
        await shown(server, way)
    assert "hush" not in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"bearer": "${env:A}", "api_key": {"value": "${env:B}"}},
        {"bearer": "in clear"},
        {"basic": {"username": "a:b", "password": "${env:A}"}},
        {"api_key": {"header": "a b", "value": "${env:A}"}},
        "some",
    ],
)
def test_credentials_are_one_way_and_by_reference(auth: Any) -> None:
    """Lint says so; a secret in clear is never repeated."""
    with pytest.raises(ValidationError) as caught:
        HttpConfig.model_validate({"type": "http_client", "url": "https://x", "auth": auth})
    assert all(
        "in clear" not in error["msg"].removeprefix("a secret must not stand in clear")
        for error in caught.value.errors()
    )


# --- signatures (Standard Webhooks)


def signed(server: RawServer, key: bytes = KEY) -> str:
    """The signature that the standard asks for, made by its text alone."""
    request = server.requests[-1]
    content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two secrets as the standard writes them."""
    monkeypatch.setenv("SECRET", "whsec_" + base64.b64encode(KEY).decode())
    monkeypatch.setenv("OLD", "whsec_" + base64.b64encode(b"old" * 10).decode())


@pytest.mark.key("http_client.auth.hmac", "http_client.auth.hmac.secret")
@pytest.mark.usefixtures("key")
async def test_a_request_is_signed(server: RawServer) -> None:
    """Id, time and the raw body, with the key behind `whsec_`."""
    services = FakeServices()
    async with client(server, services, auth={"hmac": {"secret": "${env:SECRET}"}}) as partner:
        await partner.send(outgoing(b'{"a":1}'))
    headers = server.requests[0].headers
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("d-1", str(int(services.clock.now())))
    assert headers["webhook-signature"] == signed(server)


async def test_the_standards_own_example_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secret, id, time and body of the specification give the signature of the specification."""
    from adapters.http_outbound_auth import Hmac, signature

    monkeypatch.setenv("SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    config = Hmac.model_validate({"secret": "${env:SECRET}"})
    headers = signature(config, "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', 1614265330)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.usefixtures("key")
async def test_a_file_is_signed_like_any_body(server: RawServer, tmp_path: Path) -> None:
    """Piece by piece, with the same result."""
    path = tmp_path / "body"
    path.write_bytes(b"x" * 600_000)
    headers = await shown(server, {"hmac": {"secret": "${env:SECRET}"}}, body=Blob(path, 600_000, ""))
    assert headers["webhook-signature"] == signed(server)


@pytest.mark.key("http_client.auth.hmac.previous")
@pytest.mark.usefixtures("key")
async def test_both_secrets_sign_while_one_is_renewed(server: RawServer) -> None:
    """The partner may still check with the old one."""
    headers = await shown(server, {"hmac": {"secret": "${env:SECRET}", "previous": "${env:OLD}"}})
    assert headers["webhook-signature"] == f"{signed(server)} {signed(server, b'old' * 10)}"


async def test_a_repeated_delivery_keeps_its_id(server: RawServer) -> None:
    """So that the partner can take it once."""
    async with client(server, auth={"hmac": {"secret": "${env:SECRET}"}}) as partner:
        await partner.send(outgoing(id="d-7"))
        await partner.send(outgoing(id="d-7"))
    assert [request.headers["webhook-id"] for request in server.requests] == ["d-7", "d-7"]


# --- OAuth 2.0


def grants(*lives: Any) -> Behaviour:
    """A token endpoint: `t1`, `t2` … with these `expires_in`."""
    numbers = iter(range(1, 100))
    left = list(lives)

    async def behave(request: Received, writer: asyncio.StreamWriter) -> None:
        answer = {"access_token": f"t{next(numbers)}", "token_type": "Bearer"}
        life = left.pop(0) if len(left) > 1 else left[0]
        writer.write(reply(200, json.dumps(answer | ({} if life is None else {"expires_in": life})).encode()))

    return behave


def oauth(server: RawServer, **keys: Any) -> dict[str, Any]:
    """Client credentials at that partner's own token endpoint."""
    token_url = f"http://127.0.0.1:{server.port}/token"
    return {"oauth2": {"token_url": token_url, "client_id": "us", "client_secret": "${env:SECRET}", **keys}}


def tokens(server: RawServer) -> list[str]:
    """What was shown to the partner, in order."""
    return [r.headers["authorization"].removeprefix("Bearer ") for r in server.requests if r.target != "/token"]


def asked(server: RawServer) -> list[Received]:
    """The requests for a token."""
    return [request for request in server.requests if request.target == "/token"]


@pytest.mark.key(
    "http_client.auth.oauth2",
    "http_client.auth.oauth2.token_url",
    "http_client.auth.oauth2.client_id",
    "http_client.auth.oauth2.client_secret",
)
async def test_one_token_serves_many_messages(server: RawServer) -> None:
    """It is asked for once, with id and secret in the header and the grant in the form."""
    server.on("/token", grants(3600))
    async with client(server, auth=oauth(server, scope="a b")) as partner:
        for _ in range(3):
            await partner.send(outgoing())
    assert tokens(server) == ["t1", "t1", "t1"]
    (request,) = asked(server)
    assert request.body == b"grant_type=client_credentials&scope=a+b"
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"us:s3cret").decode()


@pytest.mark.key("http_client.auth.oauth2.scope")
@pytest.mark.key("http_client.auth.oauth2.auth_style")
async def test_id_and_secret_may_stand_in_the_form(server: RawServer) -> None:
    """`auth_style: body`, for endpoints that want it so."""
    server.on("/token", grants(3600))
    async with client(server, auth=oauth(server, auth_style="body")) as partner:
        await partner.send(outgoing())
    assert asked(server)[0].body == b"grant_type=client_credentials&client_id=us&client_secret=s3cret"
    assert "authorization" not in asked(server)[0].headers


@pytest.mark.parametrize(("life", "good"), [(3600, 3540), ("3600", 3540), (None, 240), (100, 50), ("soon", 240)])
async def test_a_token_is_renewed_before_it_ends(server: RawServer, life: Any, good: float) -> None:
    """A minute early; a short-lived one after half its life; one of unknown life after four minutes."""
    clock = FakeClock()
    server.on("/token", grants(life))
    async with client(server, FakeServices(clock), auth=oauth(server)) as partner:
        await partner.send(outgoing())
        await clock.advance(good - 1)
        await partner.send(outgoing())
        await clock.advance(1)
        await partner.send(outgoing())
    assert tokens(server) == ["t1", "t1", "t2"]


async def test_many_who_wait_share_one_request(server: RawServer) -> None:
    """One refresh in flight, however many messages want to leave."""
    server.on("/token", grants(3600))
    async with client(server, auth=oauth(server)) as partner:
        await asyncio.gather(*(partner.send(outgoing()) for _ in range(8)))
    assert (len(asked(server)), tokens(server)) == (1, ["t1"] * 8)


async def test_many_who_wait_share_one_failure(server: RawServer) -> None:
    """A token endpoint in trouble is not asked once for every message."""
    server.on("/token", says(reply(503)))
    async with client(server, auth=oauth(server)) as partner:
        results = await asyncio.gather(*(partner.send(outgoing()) for _ in range(8)), return_exceptions=True)
    assert [type(result) for result in results] == [PeerFailed] * 8
    assert len(asked(server)) == 1


async def test_the_one_who_asks_may_leave(server: RawServer) -> None:
    """A cancelled message does not take the token away from the others."""
    server.on("/token", hangs, grants(3600))
    async with client(server, auth=oauth(server)) as partner:
        first = asyncio.create_task(partner.send(outgoing()))
        await server.asked()
        second = asyncio.create_task(partner.send(outgoing()))
        first.cancel()
        assert (await second).status == 200
    assert tokens(server) == ["t1"]


async def test_a_refused_token_is_renewed_once(server: RawServer) -> None:
    """A 401 gets one new token and one repetition."""
    server.on("/token", grants(3600))
    server.on("/", says(reply(401)), says(reply(200)))
    async with client(server, auth=oauth(server)) as partner:
        assert (await partner.send(outgoing())).status == 200
    assert tokens(server) == ["t1", "t2"]


async def test_a_second_refusal_is_final(server: RawServer) -> None:
    """Then the connection is at fault, and nobody hammers the partner."""
    server.on("/token", grants(3600))
    server.on("/", says(reply(401)))
    async with client(server, auth=oauth(server)) as partner:
        with pytest.raises(NotAuthorised):
            await partner.send(outgoing())
    assert tokens(server) == ["t1", "t2"]


async def test_a_refused_token_is_renewed_once_for_all(server: RawServer) -> None:
    """Several 401 for the same old token cost one refresh."""
    server.on("/token", grants(3600))

    async def only_t2(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(200 if request.headers["authorization"] == "Bearer t2" else 401))

    server.on("/", only_t2)
    async with client(server, auth=oauth(server)) as partner:
        await asyncio.gather(*(partner.send(outgoing()) for _ in range(8)))
    assert len(asked(server)) == 2


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (says(reply(400, b'{"error":"invalid_client"}')), NotAuthorised),
        (says(reply(401)), NotAuthorised),
        (says(reply(500)), PeerFailed),
        (says(reply(302)), PeerFailed),
        (says(reply(200, b"{}")), PeerFailed),
        (says(reply(200, b"<html>")), PeerFailed),
        (says(reply(200, b'{"access_token":7}')), PeerFailed),
        (hangs, Unreachable),
        (resets(), Unreachable),
        (says(b"SSH-2.0\r\n\r\n"), Unreachable),
    ],
)
async def test_without_a_token_nothing_was_sent(server: RawServer, behaviour: Behaviour, kind: type[PeerError]) -> None:
    """Whatever becomes of the request for a token, the message has not left: never uncertain."""
    server.on("/token", behaviour)
    async with client(server, auth=oauth(server)) as partner:
        with pytest.raises(PeerError) as caught:
            await partner.send(outgoing(timeout=QUICK))
    assert type(caught.value) is kind
    assert caught.value.verdict in {Verdict.RETRY, Verdict.STOP}
    assert tokens(server) == []


async def test_what_the_token_endpoint_says_is_not_repeated(server: RawServer) -> None:
    """It may hold what was sent; only the standard's own words pass."""
    server.on("/token", says(reply(400, b'{"error":"invalid_scope","error_description":"s3cret"}')))
    async with client(server, auth=oauth(server)) as partner:
        with pytest.raises(NotAuthorised, match="invalid_scope") as caught:
            await partner.send(outgoing())
    assert "s3cret" not in str(caught.value)
    assert caught.value.reply is None


async def test_a_renewed_client_secret_is_taken_up(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next token is asked for with the secret of that day."""
    server.on("/token", says(reply(401)), grants(3600))
    async with client(server, auth=oauth(server)) as partner:
        with pytest.raises(NotAuthorised):
            await partner.send(outgoing())
        monkeypatch.setenv("SECRET", "new")
        await partner.send(outgoing())
    assert asked(server)[1].headers["authorization"] == "Basic " + base64.b64encode(b"us:new").decode()
