"""Who calls: the `auth:` of connections that listen, and the one place that decides it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from aiohttp import web
from loguru import logger
from pydantic import Discriminator, Field, Tag, model_validator

from adapters.http_basic import BasicVerifier
from adapters.http_jwt import JwtConfig, JwtVerifier
from adapters.http_keys import KeyRing
from adapters.http_signature import Signature, is_signed, secrets_of
from pipe.contract import Clock, PlainRequest, Secret, Strict
from pipe.errors import BadRequest, ConfigError, NoCredentials, SecretMissing

_QUERY_KEYS = frozenset({"api_key", "apikey", "api-key", "x-api-key", "token", "access_token"})
_WRONG = "the credentials are missing or wrong"


class BasicConfig(Strict):
    """User names and passwords."""

    users: Secret = Field(description="Lines `name:argon2-hash`.", examples=["${file:secrets/users}"])


class HmacConfig(Strict):
    """Requests signed by the Standard Webhooks rules."""

    secret: Secret = Field(description="The shared secret; two live ones for rotation stand on two lines.")
    caller: str | None = Field(default=None, description="What the caller is called; the connection's name by default.")


class MtlsConfig(Strict):
    """Client certificates; the listener must have a `client_ca`."""

    names: list[str] = Field(min_length=1, description="Names (SAN: DNS, URI, mail) of certificates that are let in.")


class Method(Strict):
    """One way to prove who calls; exactly one key."""

    api_keys: Secret | None = Field(
        default=None, description="Lines `name:sha256hex[:last day]`; see `pipe keys issue`."
    )
    basic: BasicConfig | None = Field(default=None, description="User names and passwords.")
    jwt: JwtConfig | None = Field(default=None, description="JSON Web Tokens of one issuer.")
    hmac: HmacConfig | None = Field(default=None, description="Signed requests (Standard Webhooks).")
    mtls: MtlsConfig | None = Field(default=None, description="Client certificates.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1 or None in (getattr(self, name) for name in self.model_fields_set):
            raise ValueError(f"name exactly one of: {', '.join(Method.model_fields)}; several ways are a list")
        return self


def _shape(value: Any) -> str:
    if isinstance(value, str):
        return "none"
    return "several" if isinstance(value, (list, tuple)) else "one"


AuthConfig = Annotated[
    Annotated[Literal["none"], Tag("none")]
    | Annotated[Method, Tag("one")]
    | Annotated[list[Method], Field(min_length=1), Tag("several")],
    Discriminator(_shape),
]


Asked = web.Request | PlainRequest
"""a request, as far as it takes to know who sent it"""


@dataclass(frozen=True, slots=True)
class Proof:
    """Who calls; with a `signature` its check tells, once the body has been fed to it."""

    caller: str | None
    signature: Signature | None = None


_ANYBODY = Proof(None)


class Authenticator:
    """Decides who sent a request, by any of the configured ways."""

    def __init__(self, name: str, config: Literal["none"] | Method | list[Method], clock: Clock) -> None:
        self._clock = clock
        self._name = name
        methods = [] if config == "none" else config if isinstance(config, list) else [config]
        self._open = not methods
        self._keys = [_Keys(method.api_keys, clock) for method in methods if method.api_keys]
        self._basic = [BasicVerifier(method.basic.users, clock) for method in methods if method.basic]
        self._jwt = [JwtVerifier(method.jwt) for method in methods if method.jwt]
        self._hmac = [method.hmac for method in methods if method.hmac]
        self._names = frozenset(name for method in methods if method.mtls for name in method.mtls.names)
        self._challenge = ", ".join(dict.fromkeys(_challenge(method) for method in methods))

    def prepare(self) -> None:
        """Reads every key file once. Raises ConfigError or SecretMissing where one cannot be used."""
        for keys in self._keys:
            keys.ring()
        for hmac in self._hmac:
            secrets_of(hmac.secret.reveal())

    async def identify(self, request: Asked) -> Proof:
        """Who sent it. Raises NoCredentials, the same for every way of being wrong; BadRequest for a key in the URL."""
        if "?" in request.raw_path:
            _refuse_keys_in(request)
        if self._open:
            return _ANYBODY
        proof = await self._by_header(request) or self._by_certificate(request)
        if proof is not None:
            return proof
        if self._hmac and is_signed(request.headers):
            return self._by_signature(request)
        raise self.refusal()

    def refusal(self) -> NoCredentials:
        """What everybody gets whose credentials are missing or wrong."""
        return NoCredentials(_WRONG, challenge=self._challenge)

    async def _by_header(self, request: Asked) -> Proof | None:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        scheme = scheme.lower()
        key = value.strip() if scheme == "bearer" else request.headers.get("X-Api-Key", "")
        if key:
            for keys in self._keys:
                if (name := keys.name_of(key)) is not None:
                    return Proof(name)
        if scheme == "bearer":
            for tokens in self._jwt:
                if (name := tokens.caller_of(key, self._clock.now())) is not None:
                    return Proof(name)
        if scheme == "basic":
            for passwords in self._basic:
                if (name := await passwords.caller_of(value.strip())) is not None:
                    return Proof(name)
        return None

    def _by_certificate(self, request: Asked) -> Proof | None:
        if not self._names:
            return None
        return next((Proof(name) for name in peer_names(request) if name in self._names), None)

    def _by_signature(self, request: Asked) -> Proof:
        secrets = [
            (hmac.caller or self._name, secret) for hmac in self._hmac for secret in secrets_of(hmac.secret.reveal())
        ]
        try:
            return Proof(None, Signature(request.headers, secrets, self._clock.now()))
        except NoCredentials:
            raise self.refusal() from None


class _Keys:
    """One key file, read again when it changes; looked at once a second."""

    def __init__(self, secret: Secret, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock
        self._text: str | None = None
        self._ring = KeyRing(())
        self._look_at = 0.0

    def name_of(self, key: str) -> str | None:
        if self._clock.monotonic() >= self._look_at:
            try:
                self.ring()
            except SecretMissing:
                raise  # a file that is gone lets nobody in
            except ConfigError as error:
                # A file that someone is writing, or has mangled: whoever was let in stays so until it is mended.
                if self._text is None:
                    raise
                logger.error("A changed key file is not taken up: {}", error.text, action="keys")
        return self._ring.name_of(key, self._clock.now())

    def ring(self) -> None:
        """Takes up the file as it is now. Raises ConfigError or SecretMissing."""
        self._look_at = self._clock.monotonic() + 1
        text = self._secret.reveal()
        if text != self._text:
            self._ring = KeyRing.parse(text)
            self._text = text


def peer_names(request: Asked) -> tuple[str, ...]:
    """The names (SAN) of the client's certificate, which the listener has checked; none without one."""
    certificate = request.get_extra_info("peercert") or {}
    return tuple(value for kind, value in certificate.get("subjectAltName", ()) if kind in {"DNS", "URI", "email"})


def _refuse_keys_in(request: Asked) -> None:
    for name in request.query:
        if name.lower() in _QUERY_KEYS:
            digest = hashlib.sha256(request.query[name].encode("utf-8", "surrogatepass")).hexdigest()
            logger.warning(
                "A key came in an address and must be replaced", action="keys", parameter=name, hash=digest[:16]
            )
            raise BadRequest(
                f"credentials do not belong in the address (`{name}`): send them in a header, and replace them"
            )


def _challenge(method: Method) -> str:
    if method.basic:
        return 'Basic realm="pipe", charset="UTF-8"'
    if method.hmac:
        return "Signature"
    return "Mutual" if method.mtls else "Bearer"
