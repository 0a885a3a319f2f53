"""How the gateway proves to a partner who it is. Every secret is read when it is used, so a renewed one is taken up."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from adapters.http_network import Mtls
from adapters.http_oauth import OAuth2
from pipe.contract import Blob, Secret, Strict
from pipe.errors import NotAuthorised


class Basic(Strict):
    """User name and password."""

    username: str = Field(pattern="^[^:\\x00-\\x1f\\x7f]*$", description="Without a colon.")
    password: Secret = Field(description="Its password.")


class ApiKey(Strict):
    """A key in a header."""

    header: str = Field(default="X-Api-Key", pattern="^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", description="Name of the header.")
    value: Secret = Field(description="The key itself.")


class Hmac(Strict):
    """Signs every request as Standard Webhooks says: `webhook-id`, `webhook-timestamp`, `webhook-signature`."""

    secret: Secret = Field(description="`whsec_` and Base64 of the key; anything else is the key itself.")
    previous: Secret | None = Field(
        default=None, description="While a secret is renewed: the old one, signed with as well."
    )


class Auth(Strict):
    """Exactly one way; a certificate of our own (`mtls`) may stand beside another."""

    bearer: Secret | None = Field(default=None, description="A fixed token.")
    basic: Basic | None = Field(default=None, description="User name and password.")
    api_key: ApiKey | None = Field(default=None, description="A key in a header.")
    hmac: Hmac | None = Field(default=None, description="Every request is signed.")
    oauth2: OAuth2 | None = Field(default=None, description="Tokens for client credentials.")
    mtls: Mtls | None = Field(default=None, description="A certificate of our own.")

    @model_validator(mode="after")
    def _one_way(self) -> Auth:
        ways = [name for name in ("bearer", "basic", "api_key", "hmac", "oauth2") if getattr(self, name) is not None]
        if len(ways) > 1 or not (ways or self.mtls):
            raise ValueError(
                "`auth` takes exactly one of bearer, basic, api_key, hmac, oauth2; mtls may stand beside it"
            )
        return self


OutboundAuth = Auth | Literal["none"]


def credentials(auth: OutboundAuth, request_id: str, body: bytes | Blob, now: float) -> dict[str, str]:
    """The headers that prove who we are; OAuth's are added by whoever has the token.

    `request_id` and `now` (seconds since 1970) are signed. Raises SecretMissing, and NotAuthorised where a secret
    cannot stand in a header.
    """
    if isinstance(auth, str):
        return {}
    if auth.bearer is not None:
        return {"Authorization": f"Bearer {_fit(auth.bearer)}"}
    if auth.basic is not None:
        pair = f"{auth.basic.username}:{auth.basic.password.reveal()}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    if auth.api_key is not None:
        return {auth.api_key.header: _fit(auth.api_key.value)}
    if auth.hmac is not None:
        return signature(auth.hmac, request_id, body, int(now))
    return {}


def signature(config: Hmac, request_id: str, body: bytes | Blob, timestamp: int) -> dict[str, str]:
    """The three headers of Standard Webhooks; two signatures while the secret is being renewed."""
    secrets = [config.secret, *([config.previous] if config.previous else [])]
    return signature_of([_key(secret) for secret in secrets], request_id, body, timestamp)


def signature_of(keys: Sequence[bytes], request_id: str, body: bytes | Blob, timestamp: int) -> dict[str, str]:
    """The same for keys that are known. Reads the body, so it is for threads where that is a file."""
    signed = []
    for key in keys:
        mac = hmac.new(key, f"{request_id}.{timestamp}.".encode(), hashlib.sha256)
        for piece in body.open() if isinstance(body, Blob) else (body,):
            mac.update(piece)
        signed.append(f"v1,{base64.b64encode(mac.digest()).decode()}")
    return {"webhook-id": request_id, "webhook-timestamp": str(timestamp), "webhook-signature": " ".join(signed)}


def _key(secret: Secret) -> bytes:
    text = secret.reveal()
    if not text.startswith("whsec_"):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise NotAuthorised(f"what {secret.reference} holds behind `whsec_` is not Base64") from None


def _fit(secret: Secret) -> str:
    """The secret, if it may stand in a header. The error must not repeat it."""
    text = secret.reveal()
    if not text.isprintable():
        raise NotAuthorised(f"what {secret.reference} holds cannot stand in a header: it has a line break or the like")
    return text
