"""WS-Security on what callers send: names and passwords, nonces that come once, times, signatures."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from adapters.http_basic import BasicVerifier
from adapters.http_network import LocalPath
from adapters.soap.message import Received
from adapters.soap.names import SECURITY, WSSE, WSU
from adapters.soap.security import DIGEST, TEXT, Sign, digest_of
from adapters.soap.signature import NotSigned, check_signature, signed_info
from pipe import blocking
from pipe.contract import Clock, Duration, Secret, Strict
from pipe.errors import ConfigError, NoCredentials

SKEW = 60.0
"""seconds that a caller's clock may be ahead of ours"""
_NONCES = 100_000


class SignAnswers(Sign):
    """Our signature on what we answer: over the Body and the Timestamp."""


class WsseUsers(Strict):
    """WS-Security of callers."""

    users: Secret | None = Field(
        default=None,
        description="Lines `name:password`, or `name:argon2-hash` for callers who send the password itself.",
        examples=["${file:secrets/legacy.users}"],
    )
    certificates: LocalPath | None = Field(
        default=None, description="PEM file; the Body and the Timestamp must be signed by one of these certificates."
    )
    sign: SignAnswers | None = Field(default=None, description="Signs our answers, and says until when they are good.")
    window: Duration = Field(
        default=Duration(300),
        gt=0,
        le=86400,
        description="How old a digest or a Timestamp may be; nonces and signatures are taken once in it.",
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.users is None and self.certificates is None:
            raise ValueError("`wsse` needs `users` or `certificates`")
        return self


class CallerCheck:
    """Says who sent an envelope, by its Security header."""

    def __init__(self, name: str, config: WsseUsers, clock: Clock) -> None:
        self._pool, self._config, self._clock = f"soap {name}", config, clock
        self._nonces: OrderedDict[str, float] = OrderedDict()
        hashes: Any = _OnlyHashes(config.users) if config.users is not None else None
        self._hashes = BasicVerifier(hashes, clock) if hashes is not None else None

    def prepare(self) -> None:
        """Reads the files once. Raises ConfigError, SecretMissing."""
        self._users()
        if self._config.certificates is not None:
            self._trusted()

    def names(self) -> list[str]:
        """Of those who call with a password. Raises ConfigError, SecretMissing."""
        return sorted(self._users())

    def certificates(self) -> list[tuple[Path, str]]:
        """Files of certificates, and what each is for."""
        config = self._config
        theirs = [(config.certificates, "callers' certificates")] if config.certificates is not None else []
        return [*theirs, *([(config.sign.cert, "our signature")] if config.sign is not None else [])]

    async def caller_of(self, message: Received) -> tuple[str, str | None]:
        """The caller's name, and what of its proof may come once. Raises NoCredentials, the same for every mistake."""
        security = None if message.header is None else message.header.find(SECURITY)
        if security is None:
            raise _wrong("there is no wsse:Security header")
        subject = ""
        timestamp = security.find(f"{{{WSU}}}Timestamp")
        if timestamp is not None:
            self._check_timestamp(timestamp)
        elif self._config.certificates is not None:
            raise _wrong("there is no Timestamp, so a signed message could be sent again for ever")
        once = None
        if self._config.certificates is not None:
            subject = await blocking.run(self._pool, self._signer, security, message, timestamp)
            once = f"signature {signed_info(security)}"
        if self._config.users is not None:
            subject, nonce = await self._named(self._token(security))
            once = nonce or once
        if once is not None:
            self._once(once)
        return subject, once

    def _token(self, security: Any) -> Any:
        token = security.find(f"{{{WSSE}}}UsernameToken")
        if token is None:
            raise _wrong("there is no UsernameToken")
        return token

    def _signer(self, security: Any, message: Received, timestamp: Any) -> str:
        demanded = [("Body", message.body), *([] if timestamp is None else [("Timestamp", timestamp)])]
        try:
            return check_signature(security, demanded, self._trusted(), self._clock.now())
        except NotSigned as error:
            raise _wrong(str(error)) from error

    async def _named(self, token: Any) -> tuple[str, str | None]:
        name = (token.findtext(f"{{{WSSE}}}Username") or "").strip()
        element = token.find(f"{{{WSSE}}}Password")
        given = "" if element is None or element.text is None else element.text
        kind = TEXT if element is None else element.get("Type", TEXT)
        known = self._users().get(name)
        if kind == DIGEST:
            return name, self._check_digest(token, name, given, known)
        if known is not None and known.startswith("$argon2"):
            assert self._hashes is not None
            pair = base64.b64encode(f"{name}:{given}".encode()).decode()
            right = await self._hashes.caller_of(pair) == name
        else:
            right = hmac.compare_digest(given.encode(), (known or "").encode())
        if known is None or not right or kind != TEXT:
            raise _wrong("name or password is wrong")
        return name, None

    def _check_digest(self, token: Any, name: str, given: str, known: str | None) -> str:
        created = (token.findtext(f"{{{WSU}}}Created") or "").strip()
        try:
            nonce = base64.b64decode(token.findtext(f"{{{WSSE}}}Nonce") or "", validate=True)
        except binascii.Error:
            raise _wrong("the nonce is not Base64") from None
        plain = known if known is not None and not known.startswith("$argon2") else ""
        right = hmac.compare_digest(given.strip().encode(), digest_of(nonce, created, plain or "").encode())
        if not right or not plain:
            raise _wrong("name or password is wrong")
        if len(nonce) < 8:
            raise _wrong("the nonce is shorter than 8 bytes")
        self._check_age(_moment(created))
        return f"nonce {name} {nonce.hex()}"

    def _once(self, nonce: str) -> None:
        """Quick, and knows those of refused messages too; the door remembers those of accepted ones over restarts."""
        now = self._clock.monotonic()
        while self._nonces and next(iter(self._nonces.values())) <= now:
            self._nonces.popitem(last=False)
        if nonce in self._nonces:
            raise used_before()
        if len(self._nonces) >= _NONCES:
            raise _wrong("too many nonces are remembered; come back later")
        self._nonces[nonce] = now + self._config.window + SKEW

    def _check_timestamp(self, timestamp: Any) -> None:
        created, expires = timestamp.findtext(f"{{{WSU}}}Created"), timestamp.findtext(f"{{{WSU}}}Expires")
        if created:
            self._check_age(_moment(created.strip()))
        if expires and _moment(expires.strip()) <= self._clock.now() - SKEW:
            raise _wrong("the Timestamp has expired")

    def _check_age(self, created: float) -> None:
        age = self._clock.now() - created
        if age > self._config.window or age < -SKEW:
            raise _wrong("it was made too long ago, or in the future: compare the clocks")

    def _users(self) -> Mapping[str, str]:
        if self._config.users is None:
            return {}
        users = {}
        for number, line in enumerate(self._config.users.reveal().splitlines(), 1):
            content = line.strip()
            if not content or content.startswith("#"):
                continue
            name, colon, password = content.partition(":")
            if not name or not colon or not password:
                raise ConfigError(f"line {number} of the WS-Security users is not `name:password`")
            users[name] = password
        return users

    def _trusted(self) -> bytes:
        assert self._config.certificates is not None
        try:
            raw = Path(self._config.certificates).read_bytes()
        except OSError as error:
            raise ConfigError(f"the certificates of `wsse` cannot be read: {error.strerror}") from error
        if b"BEGIN CERTIFICATE" not in raw:
            raise ConfigError(f"{self._config.certificates} holds no certificate")
        return raw


def used_before() -> NoCredentials:
    """The refusal of a nonce or a signature that has come before."""
    return _wrong("the nonce or signature was used before")


class _OnlyHashes:
    """The lines of a users' file that hold argon2 hashes, as BasicVerifier takes them."""

    def __init__(self, users: Secret) -> None:
        self._users = users

    def reveal(self) -> str:
        lines = self._users.reveal().splitlines()
        return "\n".join(line for line in lines if line.partition(":")[2].startswith("$argon2"))


def _moment(text: str) -> float:
    try:
        made = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong("a time is not written as the standard says") from None
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp()


def _wrong(reason: str) -> NoCredentials:
    return NoCredentials("the WS-Security header is missing or wrong", reason=reason, soap="FailedAuthentication")
