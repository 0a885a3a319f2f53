"""Who may call an HTTP source, and what everybody else gets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from argon2 import PasswordHasher
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from adapters.http_keys import issue
from adapters.http_server import HttpServer, HttpServerConfig
from pipe.config.models import Listener, Tls
from pipe.errors import ConfigError
from pipe.testing import FakeClock
from tests.adapters.http_server_gateway import ID, FakeDoor, FakeServices, Gateway, gateway
from tests.web.loops import request_loop
from web.listener import Listeners

__all__ = ["request_loop"]

UNKNOWN = {
    "type": "urn:pipe:error:no_credentials",
    "title": "The credentials are missing or wrong.",
    "status": 401,
    "code": "PIPE-5001",
    "detail": "the credentials are missing or wrong",
    "hint": "send the credentials that the connection's `auth:` names",
}


async def post(here: Gateway, path: str = "/pipe/a", body: bytes = b"{}", **headers: str) -> tuple[int, Any]:
    """Status and problem of one request; `_` in names of headers stands for `-`."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    async with aiohttp.ClientSession() as client, client.post(here.url(path), data=body, headers=fields) as reply:
        return reply.status, await reply.json()


def file_of(folder: Path, text: str, name: str = "secret") -> str:
    """A reference to a file with the text."""
    (folder / name).write_text(text)
    return f"${{file:{folder / name}}}"


# --- API keys ---


@pytest.mark.key("http_server.auth", "http_server.auth.api_keys")
async def test_key_lets_its_owner_in_by_either_header(tmp_path: Path) -> None:
    """The name of the key is the caller of the message."""
    key, line = issue("kyiv")
    door = FakeDoor("/a")
    async with gateway(door, config={"auth": {"api_keys": file_of(tmp_path, f"# partners\n{line}\n")}}) as here:
        assert (await post(here, Authorization=f"Bearer {key}"))[0] == 202
        assert (await post(here, Authorization=f"bearer  {key}"))[0] == 202
        assert (await post(here, X_Api_Key=key))[0] == 202
    assert [arrival.caller for arrival in door.arrivals] == ["kyiv"] * 3


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Bearer nobody"}, {"X-Api-Key": "\udcff"},
                {"Authorization": "Basic bm9ib2R5Og=="}, {"Authorization": "Bearer a.b.c"}, {"Authorization": "what"},
                {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}],
)  # fmt: skip
async def test_every_wrong_way_gets_the_same_answer(tmp_path: Path, headers: Mapping[str, str]) -> None:
    """Nobody learns whether a key, a name or a signature was nearly right."""
    users = file_of(tmp_path, f"anna:{PasswordHasher(1, 8, 1).hash('x')}\n", "users")
    auth = [{"api_keys": file_of(tmp_path, issue("a")[1])}, {"basic": {"users": users}},
            {"hmac": {"secret": file_of(tmp_path, "s" * 32, "hmac")}}]  # fmt: skip
    door = FakeDoor("/a")
    async with gateway(door, config={"auth": auth}) as here, aiohttp.ClientSession() as client:
        fields = {name: value.encode("utf-8", "surrogateescape").decode("latin-1") for name, value in headers.items()}
        async with client.post(here.url("/pipe/a"), data=b"{}", headers=fields) as reply:
            assert (reply.status, await reply.json()) == (401, UNKNOWN)
            assert reply.headers["WWW-Authenticate"] == 'Bearer, Basic realm="pipe", charset="UTF-8", Signature'
    assert door.arrivals == []


async def test_key_is_good_to_the_end_of_its_last_day(tmp_path: Path) -> None:
    """The day after it is as unknown as any other."""
    key, line = issue("a")
    clock = FakeClock(1_799_971_199)  # 2027-01-14 23:59:59 UTC
    config = {"auth": {"api_keys": file_of(tmp_path, f"{line}:2027-01-14")}}
    async with gateway(FakeDoor("/a"), config=config, clock=clock) as here:
        assert (await post(here, X_Api_Key=key))[0] == 202
        await clock.advance(1)
        assert (await post(here, X_Api_Key=key))[0] == 401


async def test_changed_key_file_takes_effect_within_a_second(tmp_path: Path) -> None:
    """A rotation has two live keys of one name; a revoked one is out; a mangled file changes nothing."""
    (old, old_line), (new, new_line) = issue("a"), issue("a")
    clock = FakeClock()
    config = {"auth": {"api_keys": file_of(tmp_path, old_line)}}
    async with gateway(FakeDoor("/a"), config=config, clock=clock) as here:
        seen = []
        for text in (old_line, f"{old_line}\n{new_line}", new_line, "mangled", f"{old_line}\n"):
            file_of(tmp_path, text)
            await clock.advance(1)
            seen.append([(await post(here, X_Api_Key=key))[0] for key in (old, new)])
    assert seen == [[202, 401], [202, 202], [401, 202], [401, 202], [202, 401]]


@pytest.mark.parametrize("name", ["api_key", "token", "access_token", "API_KEY"])
async def test_key_in_the_address_is_refused_even_when_it_is_right(tmp_path: Path, name: str) -> None:
    """Addresses end in logs; the caller is told to replace the key, and the answer does not repeat it."""
    key, line = issue("a")
    async with gateway(FakeDoor("/a"), config={"auth": {"api_keys": file_of(tmp_path, line)}}) as here:
        status, problem = await post(here, f"/pipe/a?{name}={key}", X_Api_Key=key)
    assert (status, problem["code"]) == (400, "PIPE-5006")
    assert key not in json.dumps(problem)


async def test_unreadable_key_file_keeps_the_source_from_opening(tmp_path: Path) -> None:
    """The error names the line and never shows it."""
    services = FakeServices(Listeners({"a": Listener(address="127.0.0.1:0")}))
    config = {"type": "http_server", "auth": {"api_keys": file_of(tmp_path, "\nname:secret-in-clear")}}
    with pytest.raises(ConfigError, match="line 2") as caught:
        await HttpServer("p", HttpServerConfig.model_validate(config), services).open()
    assert "secret-in-clear" not in str(caught.value)


@pytest.mark.parametrize(("address", "opens"), [("127.0.0.1:0", True), ("0.0.0.0:0", False)])
async def test_open_listener_demands_that_none_is_written_out(address: str, opens: bool) -> None:
    """Forgetting `auth:` never opens the gateway to the network."""
    services = FakeServices(Listeners({"a": Listener(address=address)}))
    server = HttpServer("p", HttpServerConfig.model_validate({"type": "http_server"}), services)
    try:
        await server.open()
    except ConfigError:
        assert not opens
    else:
        assert opens
    await HttpServer("p", HttpServerConfig.model_validate({"type": "http_server", "auth": "none"}), services).open()


@pytest.mark.key("http_server.rate")
async def test_rate_holds_one_caller_and_leaves_the_others(tmp_path: Path) -> None:
    """Past it 429 says when to come back; time refills the bucket."""
    (one, one_line), (other, other_line) = issue("one"), issue("other")
    clock = FakeClock()
    config = {"rate": "2/m", "auth": {"api_keys": file_of(tmp_path, f"{one_line}\n{other_line}")}}
    async with gateway(FakeDoor("/a"), config=config, clock=clock) as here, aiohttp.ClientSession() as client:
        assert [(await post(here, X_Api_Key=one))[0] for _ in range(2)] == [202, 202]
        async with client.post(here.url("/pipe/a"), headers={"X-Api-Key": one}) as reply:
            assert (reply.status, reply.headers["Retry-After"]) == (429, "30")
            assert (await reply.json())["code"] == "PIPE-5005"
        assert (await post(here, X_Api_Key=other))[0] == 202
        await clock.advance(30)
        assert (await post(here, X_Api_Key=one))[0] == 202


async def test_story_needs_the_credentials_of_the_caller(tmp_path: Path) -> None:
    """Without credentials 401; with those of somebody else 404, as if the message never was."""
    (one, one_line), (other, other_line) = issue("one"), issue("other")
    auth = {"api_keys": file_of(tmp_path, f"{one_line}\n{other_line}")}
    async with gateway(FakeDoor("/a", route="a"), config={"auth": auth}) as here, aiohttp.ClientSession() as client:
        here.services.stories[ID, "one"] = {"id": ID, "route": "a", "state": "waiting"}
        statuses = []
        for key in (one, other, "nobody"):
            async with client.get(here.url(f"/pipe/messages/{ID}"), headers={"X-Api-Key": key}) as reply:
                statuses.append(reply.status)
    assert statuses == [200, 404, 401]


# --- passwords ---


@pytest.mark.key("http_server.auth.basic", "http_server.auth.basic.users")
async def test_password_is_checked_against_its_argon2_hash(tmp_path: Path) -> None:
    """The right one lets in, also at once a second time; a wrong one and an unknown name do not."""
    hasher = PasswordHasher(1, 8, 1)
    users = file_of(tmp_path, f"# people\nанна:{hasher.hash('пароль:1')}\n")
    door = FakeDoor("/a")
    async with gateway(door, config={"auth": {"basic": {"users": users}}}) as here:
        statuses = []
        for credentials in ("анна:пароль:1", "анна:пароль:1", "анна:wrong", "boris:пароль:1", "анна"):
            encoded = base64.b64encode(credentials.encode()).decode()
            statuses.append((await post(here, Authorization=f"Basic {encoded}"))[0])
        statuses.append((await post(here, Authorization="Basic !!!"))[0])
    assert statuses == [202, 202, 401, 401, 401, 401]
    assert {arrival.caller for arrival in door.arrivals} == {"анна"}


async def test_changed_password_ends_the_remembered_one(tmp_path: Path) -> None:
    """What was checked a moment ago is forgotten with the file it came from."""
    hasher = PasswordHasher(1, 8, 1)
    users = file_of(tmp_path, f"anna:{hasher.hash('old')}\n")
    encoded = base64.b64encode(b"anna:old").decode()
    async with gateway(FakeDoor("/a"), config={"auth": {"basic": {"users": users}}}) as here:
        assert (await post(here, Authorization=f"Basic {encoded}"))[0] == 202
        file_of(tmp_path, f"anna:{hasher.hash('renewed')}\n")
        assert (await post(here, Authorization=f"Basic {encoded}"))[0] == 401


# --- tokens ---

RSA = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "one"})
ELLIPTIC = ECKey.generate_key("P-256", {"kid": "two"})
NOW = 1_800_000_000
GOOD: dict[str, Any] = {"iss": "https://id.example", "aud": ["x", "pipe"], "sub": "kyiv", "exp": NOW + 60, "iat": NOW}


def token(claims: Mapping[str, Any], key: Any = RSA, **header: Any) -> str:
    """A signed token; what is None in the claims is left out."""
    present = {name: value for name, value in (GOOD | dict(claims)).items() if value is not None}
    return jwt.encode({"alg": "RS256", "kid": key.kid} | header, present, key, algorithms=["RS256", "HS256", "ES256"])


def part(value: Any) -> str:
    """One of the first two parts of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


UNSIGNED = f"{part({'alg': 'none', 'kid': 'one'})}.{part(GOOD)}."


def confused() -> str:
    """A token signed by HMAC with the issuer's public key as its secret; joserfc itself refuses to make one."""
    text = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(GOOD)}"
    digest = hmac.new(RSA.as_pem(private=False), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


TOKENS: dict[str, tuple[Callable[[], str], int]] = {
    "good": (lambda: token({}), 202),
    "one audience": (lambda: token({"aud": "pipe"}), 202),
    "elliptic": (lambda: token({}, ELLIPTIC, alg="ES256"), 202),
    "within leeway": (lambda: token({"exp": NOW - 59, "nbf": NOW + 59}), 202),
    "expired": (lambda: token({"exp": NOW - 60}), 401),
    "not yet": (lambda: token({"nbf": NOW + 61}), 401),
    "without end": (lambda: token({"exp": None}), 401),
    "end is text": (lambda: token({"exp": "soon"}), 401),
    "other issuer": (lambda: token({"iss": "https://other.example"}), 401),
    "no issuer": (lambda: token({"iss": None}), 401),
    "other audience": (lambda: token({"aud": "other"}), 401),
    "no audience": (lambda: token({"aud": None}), 401),
    "no caller": (lambda: token({"sub": None}), 401),
    "empty caller": (lambda: token({"sub": ""}), 401),
    "lives too long": (lambda: token({"iat": NOW - 900, "exp": NOW + 1}), 401),
    "other key": (lambda: token({}, OTHER), 401),
    "unknown kid": (lambda: token({}, kid="unknown"), 401),
    "broken signature": (lambda: token({})[:-8] + "AAAAAAAA", 401),
    "unsigned": (lambda: UNSIGNED, 401),
    "public key as secret": (confused, 401),
    "nonsense": (lambda: "a.b.c", 401),
}


@pytest.mark.key(
    "http_server.auth.jwt",
    "http_server.auth.jwt.issuer",
    "http_server.auth.jwt.audience",
    "http_server.auth.jwt.keys",
    "http_server.auth.jwt.max_life",
)
@pytest.mark.parametrize("kind", TOKENS)
async def test_token_is_good_only_when_all_of_it_is(tmp_path: Path, kind: str) -> None:
    """Signature by an allowed algorithm and a known key; issuer, audience, times and caller as they must be."""
    make, status = TOKENS[kind]
    sent = make()
    keys = json.dumps(KeySet([RSA, ELLIPTIC]).as_dict(private=False))
    settings = {"issuer": "https://id.example", "audience": "pipe", "keys": file_of(tmp_path, keys), "max_life": "15m"}
    door = FakeDoor("/a")
    async with gateway(door, config={"auth": {"jwt": settings}}, clock=FakeClock(NOW)) as here:
        for _ in range(2):  # the second time from memory
            assert (await post(here, Authorization=f"Bearer {sent}"))[0] == status
    assert {arrival.caller for arrival in door.arrivals} == ({"kyiv"} if status == 202 else set())


@pytest.mark.key("http_server.auth.jwt.leeway")
async def test_remembered_token_ends_with_its_time_and_with_its_key(tmp_path: Path) -> None:
    """Memory saves work and lets nobody in who would not get in without it."""
    clock = FakeClock(NOW)
    keys = file_of(tmp_path, json.dumps(KeySet([RSA]).as_dict(private=False)))
    settings = {"issuer": "https://id.example", "audience": "pipe", "keys": keys, "leeway": "0s"}
    async with gateway(FakeDoor("/a"), config={"auth": {"jwt": settings}}, clock=clock) as here:
        short, long = token({"exp": NOW + 30}), token({"exp": NOW + 5000})
        assert [(await post(here, Authorization=f"Bearer {one}"))[0] for one in (short, long)] == [202, 202]
        await clock.advance(31)
        assert [(await post(here, Authorization=f"Bearer {one}"))[0] for one in (short, long)] == [401, 202]
        file_of(tmp_path, json.dumps(KeySet([OTHER]).as_dict(private=False)))
        assert (await post(here, Authorization=f"Bearer {long}"))[0] == 401


def test_shared_secret_and_key_pairs_never_mix() -> None:
    """A public key must not become the secret of an HMAC."""
    settings = {"issuer": "i", "audience": "a", "keys": "${env:K}", "algorithms": ["RS256", "HS256"]}
    with pytest.raises(ValueError, match="not both"):
        HttpServerConfig.model_validate({"type": "http_server", "auth": {"jwt": settings}})


# --- signatures ---

VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR = {
    "webhook_id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook_timestamp": "1614265330",
    "webhook_signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
VECTOR_BODY = b'{"test": 2432232314}'


def signed(secret: bytes, body: bytes, time: int = 1614265330, id: str = "msg_1") -> dict[str, str]:
    """Headers of a signed request."""
    digest = hmac.new(secret, f"{id}.{time}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook_id": id,
        "webhook_timestamp": str(time),
        "webhook_signature": f"v1,{base64.b64encode(digest).decode()}",
    }


@pytest.mark.key("http_server.auth.hmac", "http_server.auth.hmac.secret")
async def test_published_vector_is_accepted_and_its_id_names_the_arrival(tmp_path: Path) -> None:
    """The example of the Standard Webhooks specification; a replay has the same identity, so that it is taken once."""
    door = FakeDoor("/a")
    config = {"auth": {"hmac": {"secret": file_of(tmp_path, VECTOR_SECRET)}}}
    async with gateway(door, config=config, clock=FakeClock(1614265330)) as here:
        assert (await post(here, body=VECTOR_BODY, **VECTOR))[0] == 202
    assert (door.arrival.identity, door.arrival.caller) == ("msg_p5jXN8AQM9LWM0D4loKWxJek", "partners")


@pytest.mark.parametrize(
    ("changed", "clock", "status"),
    [
        ({}, 1614265330 + 300, 202),
        ({}, 1614265330 - 300, 202),
        ({}, 1614265330 + 301, 401),
        ({}, 1614265330 - 301, 401),
        ({"webhook_signature": f"v1,AAAA v2,x {VECTOR['webhook_signature']}"}, 1614265330, 202),
        ({"webhook_signature": "v1,AAAA"}, 1614265330, 401),
        ({"webhook_signature": VECTOR["webhook_signature"].replace("v1,", "v2,")}, 1614265330, 401),
        ({"webhook_id": "msg_other"}, 1614265330, 401),
        ({"webhook_timestamp": "1614265331"}, 1614265330, 401),
        ({"webhook_timestamp": "soon"}, 1614265330, 401),
        ({"webhook_id": ""}, 1614265330, 401),
    ],
)
async def test_signature_covers_id_time_and_body(
    tmp_path: Path, changed: Mapping[str, str], clock: int, status: int
) -> None:
    """Any one of several signatures suffices; nothing that it covers may differ, and the time must be near."""
    config = {"auth": {"hmac": {"secret": file_of(tmp_path, VECTOR_SECRET)}}}
    async with gateway(FakeDoor("/a"), config=config, clock=FakeClock(clock)) as here:
        assert (await post(here, body=VECTOR_BODY, **{**VECTOR, **changed}))[0] == status


async def test_changed_body_breaks_the_signature_also_of_a_large_one(tmp_path: Path) -> None:
    """The raw bytes are what was signed, whether they came at once or in pieces."""
    secret, body = b"s" * 32, b"x" * 300_000
    door = FakeDoor("/a")
    config = {"auth": {"hmac": {"secret": file_of(tmp_path, secret.decode())}}}
    async with gateway(door, config=config, clock=FakeClock(1614265330)) as here:
        assert (await post(here, body=body, **signed(secret, body)))[0] == 202
        assert (await post(here, body=body[:-1] + b"y", **signed(secret, body)))[0] == 401
    assert len(door.arrivals) == 1


async def test_two_live_secrets_let_both_in(tmp_path: Path) -> None:
    """A sender that has not changed yet is served while the secret is renewed."""
    old, new = b"o" * 32, b"n" * 32
    config = {"auth": {"hmac": {"secret": file_of(tmp_path, f"{new.decode()}\n{old.decode()}"), "caller": "crm"}}}
    door = FakeDoor("/a")
    async with gateway(door, config=config, clock=FakeClock(1614265330)) as here:
        for secret in (old, new):
            assert (await post(here, body=b"x", **signed(secret, b"x")))[0] == 202
    assert [arrival.caller for arrival in door.arrivals] == ["crm", "crm"]


# --- certificates ---


@pytest.mark.key("http_server.auth.mtls", "http_server.auth.mtls.names")
async def test_only_named_certificates_are_let_in(tmp_path: Path) -> None:
    """The listener asks for a certificate of its authority; the connection says whose."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = ca.issue_cert("localhost")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    tls = Tls(cert=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem"), client_ca=str(tmp_path / "ca.pem"))
    door = FakeDoor("/a")
    config = {"auth": {"mtls": {"names": ["kyiv.partner.example"]}}}
    async with gateway(door, config=config, listener=Listener(address="127.0.0.1:0", tls=tls)) as here:
        statuses = []
        for name in ("kyiv.partner.example", "other.partner.example"):
            context = ssl.create_default_context()
            ca.configure_trust(context)
            ca.issue_cert(name).configure_cert(context)
            async with (
                aiohttp.ClientSession() as client,
                client.post(f"https://localhost:{here.address[1]}/pipe/a", ssl=context) as reply,
            ):
                statuses.append(reply.status)
    assert statuses == [202, 401]
    assert door.arrival.caller == "kyiv.partner.example"


async def test_unknown_key_takes_as_long_as_a_known_one(tmp_path: Path) -> None:
    """Time tells nothing: the medians of many tries differ by less than a tenth of a millisecond."""
    key, line = issue("a")
    async with gateway(FakeDoor("/a"), config={"auth": {"api_keys": file_of(tmp_path, line)}}) as here:
        keys = next(iter(here.server._auth._keys))
        spent: dict[str, list[float]] = {key: [], key[:-1] + "x": [], "z" * len(key): []}
        for _ in range(2000):
            for one, times in spent.items():
                began = time.perf_counter()
                keys.name_of(one)
                times.append(time.perf_counter() - began)
    medians = [sorted(times)[1000] for times in spent.values()]
    assert max(medians) - min(medians) < 1e-4
