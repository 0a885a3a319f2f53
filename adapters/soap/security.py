"""WS-Security on what we send: UsernameToken, Timestamp and signature; and on the answers that we get."""

from __future__ import annotations

import base64
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from lxml import etree
from pydantic import Field, model_validator

from adapters.http_network import LocalPath
from adapters.soap.message import Received
from adapters.soap.names import SECURITY, WSSE, WSU, Version
from adapters.soap.signature import NotSigned, check_signature, sign
from pipe.contract import Duration, Secret, Strict
from pipe.errors import NotAuthorised, ReplyInvalid

_PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"
TEXT, DIGEST = f"{_PROFILE}#PasswordText", f"{_PROFILE}#PasswordDigest"
NONCE_BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"


class Sign(Strict):
    """Our own X.509 signature, over the Body, the Timestamp and the UsernameToken."""

    cert: LocalPath = Field(description="PEM file with our certificate.")
    key: LocalPath = Field(description="PEM file with its private key.")
    password: Secret | None = Field(default=None, description="Passphrase of the key.")

    def check(self) -> None:
        """Whether our files can be used. Raises NotAuthorised, SecretMissing."""
        envelope = etree.Element("envelope")
        _sign(etree.SubElement(envelope, SECURITY), [etree.SubElement(envelope, "body")], self)


class Wsse(Strict):
    """WS-Security: who we are, within the message itself."""

    username: str | None = Field(default=None, min_length=1, description="Name in the UsernameToken.")
    password: Secret | None = Field(default=None, description="Its password.")
    digest: bool = Field(default=False, description="Sends a digest with nonce and time instead of the password.")
    timestamp: Duration | None = Field(default=None, gt=0, description="Adds a Timestamp that is good for so long.")
    sign: Sign | None = Field(default=None, description="Signs what we send.")
    verify: LocalPath | None = Field(
        default=None, description="PEM file of certificates; answers must be signed by one of them."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("`username` and `password` go together")
        if self.username is None and self.sign is None and self.timestamp is None and self.verify is None:
            raise ValueError("`wsse` says nothing: give it `username` and `password`, `sign`, `timestamp` or `verify`")
        return self


def moment(seconds: float) -> str:
    """A time as WS-Security writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def digest_of(nonce: bytes, created: str, password: str) -> str:
    """Password_Digest = Base64(SHA-1(nonce + created + password)), as the profile demands."""
    mixed = nonce + created.encode() + password.encode()
    return base64.b64encode(hashlib.sha1(mixed).digest()).decode()  # noqa: S324  the profile knows no other


def secured(envelope: Any, version: Version, config: Wsse, now: float) -> None:
    """Adds the Security header. Raises NotAuthorised where our files cannot be used, SecretMissing."""
    header = envelope.find(version.tag("Header"))
    if header is None:
        header = etree.Element(version.tag("Header"))
        envelope.insert(0, header)
    security = etree.Element(SECURITY, nsmap={"wsse": WSSE, "wsu": WSU})
    header.insert(0, security)
    security.set(version.tag("mustUnderstand"), "1" if version.name == "1.1" else "true")
    parts = [envelope.find(version.tag("Body"))]
    if config.timestamp is not None:
        parts.append(_timestamp(security, now, config.timestamp))
    if config.username is not None:
        assert config.password is not None
        parts.append(_username_token(security, config.username, config.password.reveal(), now, digest=config.digest))
    if config.sign is not None:
        _sign(security, parts, config.sign)


def _timestamp(security: Any, now: float, life: float) -> Any:
    timestamp = etree.SubElement(security, f"{{{WSU}}}Timestamp")
    etree.SubElement(timestamp, f"{{{WSU}}}Created").text = moment(now)
    etree.SubElement(timestamp, f"{{{WSU}}}Expires").text = moment(now + life)
    return timestamp


def _username_token(security: Any, name: str, password: str, now: float, *, digest: bool) -> Any:
    token = etree.SubElement(security, f"{{{WSSE}}}UsernameToken")
    etree.SubElement(token, f"{{{WSSE}}}Username").text = name
    secret = etree.SubElement(token, f"{{{WSSE}}}Password", Type=DIGEST if digest else TEXT)
    if not digest:
        secret.text = password
        return token
    nonce, created = os.urandom(16), moment(now)
    secret.text = digest_of(nonce, created, password)
    spoken = etree.SubElement(token, f"{{{WSSE}}}Nonce", EncodingType=NONCE_BASE64)
    spoken.text = base64.b64encode(nonce).decode()
    etree.SubElement(token, f"{{{WSU}}}Created").text = created
    return token


def _sign(security: Any, parts: list[Any], config: Sign) -> None:
    try:
        password = config.password.reveal() if config.password else None
        sign(security, parts, Path(config.cert).read_bytes(), Path(config.key).read_bytes(), password)
    except (OSError, ValueError, TypeError) as error:
        raise NotAuthorised(f"what `sign:` names cannot be used: {str(error).splitlines()[0]}") from error


def check_answer(message: Received, config: Wsse, now: float, who: str) -> None:
    """Raises ReplyInvalid where the answer is not signed as `verify` demands."""
    if config.verify is None:
        return
    security = None if message.header is None else message.header.find(SECURITY)
    try:
        if security is None:
            raise NotSigned("there is no Security header")
        check_signature(security, [("Body", message.body)], Path(config.verify).read_bytes(), now)
    except NotSigned as error:
        raise ReplyInvalid(f"the answer of {who} is not to be trusted: {error}") from error
    except (OSError, ValueError) as error:
        raise NotAuthorised(f"what `verify:` names cannot be used: {error}") from error
