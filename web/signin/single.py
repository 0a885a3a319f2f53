"""Single sign-on with OpenID Connect: found by discovery, authorization code with PKCE, tokens checked by its keys.

Every request goes through the same transport as those to partners: no redirect is followed, addresses are checked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from loguru import logger
from yarl import URL

from adapters.http_network import Allow, Permissions, Tls, TlsFiles
from adapters.http_replies import strict_json
from adapters.http_transport import HttpTransport, Reply, Request
from pipe.clock import Clock
from pipe.config.sign_in import LOOPBACK, Provider, SignIn
from pipe.contract import Duration, Timeout
from pipe.errors import NotFound, PeerError, RowDamaged, SecretMissing
from pipe.store.vault import Vault

TIMEOUT = Timeout(connect=Duration(5), read=Duration(10), total=Duration(15))
MOST_BYTES = 1 << 20
KNOWN_S = 3600.0
"""how long a discovery document and keys are taken for today's"""
ON_THE_WAY_S = 600.0
"""how long a person may take at the provider"""
LEEWAY_S = 60
ALGORITHMS = ["RS256", "PS256", "ES256", "RS384", "PS384", "ES384", "RS512", "PS512", "ES512", "EdDSA"]
"""with key pairs only: `none` and shared secrets sign nothing here"""


class Refused(Exception):
    """The provider, or what it sent, does not let this person in. The text is for the log."""


@dataclass(frozen=True, slots=True)
class Way:
    """What a person takes along to the provider and must bring back, sealed in a cookie."""

    provider: str
    state: str
    nonce: str
    verifier: str
    goal: str
    began: float
    back: str

    def sealed(self, vault: Vault) -> str:
        """For the cookie."""
        text = orjson.dumps({name: getattr(self, name) for name in Way.__slots__})
        return base64.urlsafe_b64encode(vault.seal(text, "sign-in")).decode()

    @classmethod
    def opened(cls, vault: Vault, text: str, now: float) -> Way | None:
        """From the cookie; None where it is none of ours, or too old."""
        try:
            way = cls(**orjson.loads(vault.open(base64.urlsafe_b64decode(text), "sign-in")))
        except (ValueError, TypeError, RowDamaged, SecretMissing):
            return None
        return way if now - way.began + 1 >= 0 and now - way.began < ON_THE_WAY_S else None


@dataclass(frozen=True, slots=True)
class Claims:
    """Whom the provider vouches for."""

    issuer: str
    subject: str
    values: Mapping[str, Any]

    def login(self, claim: str) -> str | None:
        """The claim that is to be a login here; a mail address only where the provider has verified it."""
        value = self.values.get(claim)
        if not isinstance(value, str) or not value:
            return None
        return value if claim != "email" or self.values.get("email_verified") is True else None


class Providers:
    """Those of today's configuration."""

    def __init__(self, settings: Callable[[], SignIn], clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._known: dict[str, tuple[Provider, _Known]] = {}

    def labels(self) -> list[tuple[str, str]]:
        """Name and label of each, for their buttons."""
        return [(name, each.label or name) for name, each in self._settings().providers.items()]

    def config(self, name: str) -> Provider:
        """Raises NotFound."""
        found = self._settings().providers.get(name)
        if found is None:
            raise NotFound("there is no such provider of sign-in")
        return found

    async def leave(self, name: str, goal: str, back: str) -> tuple[str, Way]:
        """Where to send the browser, and what it must bring back. Raises Refused, NotFound, PeerError."""
        config, known = self.config(name), await self._discovered(name)
        way = Way(name, _chance(), _chance(), _chance(), goal, self._clock.now(), back)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(way.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            **config.parameters,
            "response_type": "code",
            "client_id": config.client_id,
            "redirect_uri": back,
            "scope": " ".join(dict.fromkeys(["openid", *config.scopes])),
            "state": way.state,
            "nonce": way.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return str(URL(known.endpoint("authorization_endpoint")).update_query(query)), way

    async def come_back(self, way: Way, code: str, issuer: str | None) -> Claims:
        """Exchanges the code and checks what comes. Raises Refused, NotFound, PeerError."""
        config, known = self.config(way.provider), await self._discovered(way.provider)
        if issuer is not None and issuer != known.issuer:
            raise Refused(f"the answer says it is from {issuer[:100]}")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": way.back,
            "code_verifier": way.verifier,
        }
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        self._authenticate(config, known, form, headers)
        reply = await known.ask("POST", known.endpoint("token_endpoint"), headers, urlencode(form).encode())
        answer = _object(reply)
        token, access = answer.get("id_token"), answer.get("access_token")
        if reply.status != 200 or not isinstance(token, str):
            raise Refused(f"the token endpoint answered {reply.status} {str(answer.get('error', ''))[:60]}")
        claims = await self._checked(config, known, token, way.nonce)
        if config.person not in claims and isinstance(access, str) and known.document.get("userinfo_endpoint"):
            claims = {**await self._userinfo(known, access, str(claims["sub"])), **claims}
        return Claims(known.issuer, str(claims["sub"]), claims)

    def _authenticate(self, config: Provider, known: _Known, form: dict[str, str], headers: dict[str, str]) -> None:
        if config.client_secret is None:
            form["client_id"] = config.client_id
            return
        secret = config.client_secret.reveal()
        ways = known.document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" in ways:
            pair = f"{quote_plus(config.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": config.client_id, "client_secret": secret}

    async def _checked(self, config: Provider, known: _Known, token: str, nonce: str) -> dict[str, Any]:
        claims = await self._decoded(known, token)
        registry = jwt.JWTClaimsRegistry(
            now=int(self._clock.now()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": known.issuer},
            aud={"essential": True, "value": config.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
            sub={"essential": True},
        )
        try:
            registry.validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            raise Refused(f"the token's claims do not fit: {error}") from None
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", config.client_id) != config.client_id or (several and "azp" not in claims):
            raise Refused("the token was made for another client")
        return claims

    async def _decoded(self, known: _Known, token: str) -> dict[str, Any]:
        """The claims of a token that is signed by one of today's keys; keys that were changed meanwhile are fetched."""
        for fresh in (False, True):
            try:
                return dict(jwt.decode(token, await known.keys(fresh=fresh), algorithms=ALGORITHMS).claims)
            except (JoseError, ValueError, TypeError, KeyError) as error:
                problem = error
        raise Refused(f"the token is not signed as it should be: {type(problem).__name__}")

    async def _userinfo(self, known: _Known, access: str, subject: str) -> dict[str, Any]:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {access}"}
        reply = await known.ask("GET", known.endpoint("userinfo_endpoint"), headers)
        claims = _object(reply)
        if reply.status != 200 or claims.get("sub") != subject:
            raise Refused(f"the user info endpoint answered {reply.status}, or about somebody else")
        return claims

    async def _discovered(self, name: str) -> _Known:
        config, now = self.config(name), self._clock.monotonic()
        found = self._known.get(name)
        if found is not None and found[0] == config and now - found[1].at < KNOWN_S:
            return found[1]
        known = _Known(config, name, now)
        await known.discover()
        self._known[name] = (config, known)
        return known


class _Known:
    """What is known of one provider."""

    def __init__(self, config: Provider, name: str, at: float) -> None:
        self.at = at
        self.issuer = config.issuer
        self.document: dict[str, Any] = {}
        self._config, self._name = config, name
        self._keys: KeySet | None = None

    async def discover(self) -> None:
        """Reads the discovery document. Raises Refused, PeerError."""
        reply = await self.ask("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration", {})
        self.document = _object(reply)
        if reply.status != 200 or self.document.get("issuer") != self.issuer:
            raise Refused(f"the discovery document answered {reply.status}, or is of another issuer")

    def endpoint(self, name: str) -> str:
        """An address of the document. Raises Refused where it is missing or not safe."""
        address = self.document.get(name)
        url = URL(address) if isinstance(address, str) else URL()
        if not url.host or (url.scheme != "https" and not (url.scheme == "http" and url.host in LOOPBACK)):
            raise Refused(f"the discovery document has no safe `{name}`")
        return str(url)

    async def keys(self, *, fresh: bool) -> KeySet:
        """The keys that tokens are signed with."""
        if self._keys is None or fresh:
            reply = await self.ask("GET", self.endpoint("jwks_uri"), {"Accept": "application/json"})
            try:
                self._keys = KeySet.import_key_set(_object(reply))  # type: ignore[arg-type]  # it looks itself
            except (JoseError, ValueError, TypeError, KeyError):
                raise Refused("the provider's keys cannot be read") from None
        return self._keys

    async def ask(self, method: str, address: str, headers: dict[str, str], body: bytes = b"") -> Reply:
        """One request to the provider. Raises PeerError."""
        url = URL(address)
        allow = Allow.model_validate({"hosts": [url.host], "networks": list(self._config.networks)})
        transport = HttpTransport(
            f"sign-in {self._name}", str(url.origin()), permissions=Permissions(allow, address),
            tls=TlsFiles(Tls(), None), limit=2, max_reply=MOST_BYTES,
        )  # fmt: skip
        try:
            await transport.open()
            return await transport.exchange(Request(method, url.raw_path_qs, headers, body), TIMEOUT)
        except PeerError as error:
            logger.bind(action="sign_in_provider", provider=self._name, error=error.text).warning(
                "a provider of sign-in could not be asked"
            )
            raise
        finally:
            await transport.close()


def _object(reply: Reply) -> dict[str, Any]:
    try:
        answer = strict_json(reply.body)
    except (ValueError, RecursionError, binascii.Error):
        return {}
    return answer if isinstance(answer, dict) else {}


def _chance() -> str:
    return secrets.token_urlsafe(32)
