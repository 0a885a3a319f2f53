"""Promises of single sign-on against a provider that lies: what it may say, and what lets nobody in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import RSAKey
from yarl import URL

from flows.access import people
from flows.signin import passwords
from pipe.config.sign_in import SignIn
from pipe.store.transaction import Tx
from tests.web.pages.site import QUICK, Pages, Visitor, pages
from web.pages.cookies import WAY

LOGIN = "anna@ukc.gov.ua"
KEY, OTHER = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
SECRET = "a-secret-that-only-the-two-know"


def forged(claims: dict[str, Any], secret: bytes) -> str:
    """A token by hand: HS256 with this secret, or `none` without one; libraries refuse to make such."""

    def packed(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    head = orjson.dumps({"alg": "HS256" if secret else "none"})
    signed = packed(head) + b"." + packed(orjson.dumps(claims))
    signature = hmac.new(secret, signed, hashlib.sha256).digest() if secret else b""
    return (signed + b"." + packed(signature)).decode()


class Liar:
    """A provider that answers as the test says."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        self.key: RSAKey | bytes = KEY
        """bytes: the secret of an HMAC"""
        self.asked: list[dict[str, str]] = []
        application = web.Application()
        application.router.add_get("/.well-known/openid-configuration", self._discovery)
        application.router.add_get("/keys", self._keys)
        application.router.add_post("/token", self._token)
        application.router.add_get("/userinfo", self._userinfo)
        self._server = TestServer(application, host="127.0.0.1")

    @property
    def issuer(self) -> str:
        """Where it is."""
        return str(self._server.make_url("")).rstrip("/")

    async def _discovery(self, _: web.Request) -> web.Response:
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
        }
        return web.json_response({**found, **self.document})

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [{**KEY.as_dict(private=False), "use": "sig"}]})

    async def _token(self, request: web.Request) -> web.Response:
        self.asked.append({**dict(parse_qsl(await request.text())), "by": request.headers.get("Authorization", "")})
        if isinstance(self.key, bytes):
            token = forged(self.claims, self.key)
        else:
            token = jwt.encode({"alg": "RS256"}, self.claims, self.key, algorithms=["RS256"])
        return web.json_response({"access_token": "a", "token_type": "Bearer", "id_token": token})

    async def _userinfo(self, _: web.Request) -> web.Response:
        return web.json_response(self.userinfo)

    async def __aenter__(self) -> Self:
        await self._server.start_server()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._server.close()


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    """The provider."""
    async with Liar() as made:
        yield made


@pytest.fixture
async def site(tmp_path: Path, liar: Liar, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    """A gateway that knows it, and one person."""
    monkeypatch.setenv("OIDC_SECRET", SECRET)
    provider = f'{{issuer: "{liar.issuer}", client_id: pipe, client_secret: "${{env:OIDC_SECRET}}"}}'
    async with pages(tmp_path, f"sign_in: {{providers: {{gov: {provider}}}}}\n") as made:
        await made.person(LOGIN)
        yield made


async def leave(visitor: Visitor) -> dict[str, str]:
    """Off to the provider; what it was asked."""
    async with visitor.client.get("/login/with/gov?to=/me", allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
        return dict(URL(answer.headers["Location"]).query)


def honest(liar: Liar, asked: dict[str, str], **changes: Any) -> None:
    """What a good token says, some of it changed."""
    now = int(time.time())
    good = {
        "iss": liar.issuer, "aud": "pipe", "sub": "s-1", "nonce": asked["nonce"], "iat": now, "exp": now + 60,
        "email": LOGIN, "email_verified": True,
    }  # fmt: skip
    liar.claims = {name: value for name, value in (good | changes).items() if value is not None}


async def test_the_request_is_bound_and_the_code_is_proven(site: Pages, liar: Liar) -> None:
    """State, nonce, PKCE on the way out; the verifier and the client's secret on the way back; bound to the subject."""
    async with site.visitor() as visitor:
        asked = await leave(visitor)
        honest(liar, asked)
        done = await visitor.get(f"/login/back/gov?code=c&state={asked['state']}&iss={liar.issuer}&session_state=x")
        assert done.url.path == "/me"
    assert (asked["response_type"], asked["code_challenge_method"], asked["scope"]) == (
        "code",
        "S256",
        "openid profile email",
    )
    assert asked["redirect_uri"] == f"{site.address}/login/back/gov"
    (token,) = liar.asked
    assert (len(token["code_verifier"]), token["by"].startswith("Basic ")) == (43, True)
    assert SECRET not in str(asked)
    async with site.visitor() as again:
        asked = await leave(again)
        honest(liar, asked, email=None, email_verified=None)
        liar.userinfo = {"sub": "s-1"}
        assert (await again.get(f"/login/back/gov?code=c&state={asked['state']}")).url.path == "/me"


async def test_a_one_time_password_that_waits_is_no_business_of_who_comes_by_the_provider(
    site: Pages, liar: Liar
) -> None:
    """No page asks to change it, and no proof asks for it: a sign-in not long ago stands for it."""

    def given(tx: Tx) -> None:
        person = people.called(tx, LOGIN).id
        passwords.keep(tx, person, QUICK.hash("once-and-only-once"), must_change=True, expires_at=time.time() + 3600)

    await site.gateway.store.write(given)
    async with site.visitor() as visitor:
        asked = await leave(visitor)
        honest(liar, asked)
        assert (await visitor.get(f"/login/back/gov?code=c&state={asked['state']}")).url.path == "/me"
        page = await visitor.get("/me/totp")
        assert (page.url.path, 'name="current"' in page.text) == ("/me/totp", False)
        assert 'name="app"' in (await visitor.post("/me/totp/begin")).text
    async with site.visitor() as other:  # by the password itself it has to be changed before anything else
        await other.sign_in(LOGIN, "once-and-only-once")
        assert (await other.get("/admin")).url.path == "/me/password"


LIES: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "x"},
    "no nonce": {"nonce": None},
    "for another client": {"aud": "other"},
    "for several, not saying for whom": {"aud": ["pipe", "other"]},
    "made for another": {"azp": "other"},
    "of another issuer": {"iss": "https://other.example"},
    "over": {"exp": 1},
    "from the future": {"iat": 4102444800, "exp": 4102444900},
    "of nobody": {"sub": None},
    "a mail that is not verified": {"email_verified": False},
    "a mail that may be verified": {"email_verified": None},
    "verified in words": {"email_verified": "true"},
    "somebody unknown": {"email": "eve@ukc.gov.ua"},
    "a service": {"email": "robot@ukc.gov.ua"},
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_token_that_does_not_fit_lets_nobody_in(site: Pages, liar: Liar, lie: str) -> None:
    """Each claim is held to what was asked."""
    if lie == "a service":
        await site.person("robot@ukc.gov.ua", kind="service")
    async with site.visitor() as visitor:
        asked = await leave(visitor)
        honest(liar, asked, **LIES[lie])
        answer = await visitor.get(f"/login/back/gov?code=c&state={asked['state']}")
        assert (answer.url.path, "/login" in answer.text) == ("/login/back/gov", True)
        assert (await visitor.get("/me")).url.path == "/login"


@pytest.mark.parametrize("way", ["another key", "shared secret", "public key as secret", "none"])
async def test_a_token_signed_otherwise_lets_nobody_in(site: Pages, liar: Liar, way: str) -> None:
    """Only the provider's own key pairs sign; what is public is no secret."""
    if way == "another key":
        liar.key = OTHER
    else:
        liar.key = {"shared secret": SECRET.encode(), "public key as secret": KEY.as_pem(private=False), "none": b""}[
            way
        ]
    async with site.visitor() as visitor:
        asked = await leave(visitor)
        honest(liar, asked)
        await visitor.get(f"/login/back/gov?code=c&state={asked['state']}")
        assert (await visitor.get("/me")).url.path == "/login"


async def test_an_answer_that_was_not_asked_for_here_is_not_taken(site: Pages, liar: Liar) -> None:
    """Another state, no state, another browser, a changed cookie, a refusal, an answer of another issuer."""
    async with site.visitor() as visitor, site.visitor() as victim:
        asked = await leave(visitor)
        honest(liar, asked)
        good = f"/login/back/gov?code=c&state={asked['state']}"
        tries = [
            "/login/back/gov?code=c&state=x",
            "/login/back/gov?code=c",
            f"/login/back/gov?error=denied&state={asked['state']}",
        ]
        for path in (*tries, f"{good}&iss=https://other.example"):
            assert (await visitor.get(path)).url.path == "/login/back/gov"
        await victim.get("/login")
        assert (await victim.get(good)).url.path == "/login/back/gov"
        victim.client.cookie_jar.update_cookies({WAY: "bm9uc2Vuc2U="}, URL(site.address))
        assert (await victim.get(good)).url.path == "/login/back/gov"
        assert (await victim.get("/me")).url.path == "/login"
        assert (await visitor.get(good)).url.path == "/me"


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://other.example"},
        {"authorization_endpoint": "http://other.example/a"},
        {"authorization_endpoint": 7},
    ],
)
async def test_a_discovery_that_is_not_safe_leads_nowhere(site: Pages, liar: Liar, document: dict[str, Any]) -> None:
    """Of another issuer, over plain HTTP to elsewhere, or no address at all."""
    liar.document = document
    async with site.visitor() as visitor:
        answer = await visitor.get("/login/with/gov")
    assert (answer.url.host, answer.url.path) == ("127.0.0.1", "/login/with/gov")


async def test_a_provider_that_is_away_says_so(site: Pages, liar: Liar) -> None:
    """The password is still a way in."""
    await liar.__aexit__()
    async with site.visitor() as visitor:
        answer = await visitor.get("/login/with/gov")
        assert "не відповідає" in answer.text
        assert (await visitor.sign_in(LOGIN)).url.path == "/admin"


@pytest.mark.key(
    "sign_in.address", "sign_in.providers.scopes", "sign_in.providers.person", "sign_in.providers.parameters"
)
async def test_a_provider_is_asked_as_the_configuration_says(tmp_path: Path, liar: Liar) -> None:
    """Where to come back to, for what, with what else; which claim is the login, from the user info where it lies."""
    provider = (
        f'{{issuer: "{liar.issuer}", client_id: pipe, scopes: [tax], person: drfo, parameters: {{acr_values: high}}}}'
    )
    more = f"sign_in: {{address: 'https://gateway.example', providers: {{gov: {provider}}}}}\n"
    async with pages(tmp_path, more) as site:
        await site.person("3300445566")
        async with site.visitor() as visitor:
            asked = await leave(visitor)
            honest(liar, asked)
            liar.userinfo = {"sub": "s-1", "drfo": "3300445566"}
            assert (await visitor.get(f"/login/back/gov?code=c&state={asked['state']}")).url.path == "/me"
            liar.userinfo = {"sub": "s-2", "drfo": "3300445566"}
        async with site.visitor() as other:
            again = await leave(other)
            honest(liar, again)
            assert (await other.get(f"/login/back/gov?code=c&state={again['state']}")).url.path == "/login/back/gov"
    assert (asked["scope"], asked["acr_values"]) == ("openid tax", "high")
    assert asked["redirect_uri"] == "https://gateway.example/login/back/gov"
    assert (liar.asked[0]["client_id"], liar.asked[0]["by"]) == ("pipe", "")


@pytest.mark.key("top.sign_in")
def test_without_the_block_a_password_and_an_app_of_ones_own_choice_are_the_way_in() -> None:
    """A quarter of an hour, half a day, no provider."""
    settings = SignIn()
    assert (float(settings.idle), float(settings.longest)) == (900, 43200)
    assert (settings.second_factor, dict(settings.providers)) == ("optional", {})
