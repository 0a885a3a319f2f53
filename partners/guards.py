"""Who is let in by a derived stand-in: whoever proves himself as the connection's own `auth:` says."""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from typing import Any
from urllib.parse import unquote_plus

from aiohttp import web

from adapters.http_signature import Signature, secrets_of
from pipe.errors import NoCredentials, PipeError

TOKEN_PATH = "/.token"  # noqa: S105 — a path, not a token
"""where a stand-in gives out tokens to connections with `oauth2`"""


class Guard:
    """Checks the credentials of requests against the configuration's own secrets, as they are at that moment."""

    def __init__(self, auth: Any) -> None:
        """`auth` is that of an `http_client` or `soap_client`: a model, `none`, or None."""
        self._auth: Any = None if auth in ("none", None) else auth
        self._tokens: set[str] = set()

    async def __call__(self, request: web.Request) -> str | None:
        """What is wrong with the caller; None where nothing is."""
        if self._auth is None or request.path == TOKEN_PATH:
            return None
        try:
            return self._wrong(request, await request.read())
        except NoCredentials as error:
            return error.text
        except PipeError:
            return None  # a secret of the gateway's own store, which a stand-in cannot read

    def _wrong(self, request: web.Request, body: bytes) -> str | None:
        auth: Any = self._auth
        given = request.headers.get("Authorization", "")
        if auth.bearer is not None:
            return _unless(given, f"Bearer {auth.bearer.reveal()}", "the bearer token is missing or wrong")
        if auth.basic is not None:
            pair = f"{auth.basic.username}:{auth.basic.password.reveal()}".encode()
            return _unless(given, f"Basic {base64.b64encode(pair).decode()}", "user name or password is wrong")
        if auth.api_key is not None:
            header = auth.api_key.header
            return _unless(request.headers.get(header, ""), auth.api_key.value.reveal(), f"`{header}` is wrong")
        if auth.hmac is not None:
            known = [("pipe", secret) for secret in secrets_of(auth.hmac.secret.reveal())]
            signature = Signature(request.headers, known, time.time())
            signature.feed(body)
            signature.check()
        if auth.oauth2 is not None and given.removeprefix("Bearer ") not in self._tokens:
            return "the access token is not one of ours"
        return None

    async def give_token(self, request: web.Request) -> web.Response:
        """Client credentials become a token, where they are right (RFC 6749, 4.4)."""
        oauth2 = getattr(self._auth, "oauth2", None)
        form = await request.post()
        if oauth2 is None or form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        name, secret = str(form.get("client_id", "")), str(form.get("client_secret", ""))
        if (given := request.headers.get("Authorization", "")).startswith("Basic "):
            pair = base64.b64decode(given[6:]).decode().partition(":")
            name, secret = unquote_plus(pair[0]), unquote_plus(pair[2])
        if name != oauth2.client_id or not hmac.compare_digest(secret, oauth2.client_secret.reveal()):
            return web.json_response({"error": "invalid_client"}, status=401)
        token = secrets.token_urlsafe(24)
        self._tokens.add(token)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 3600})


def _unless(given: str, wanted: str, wrong: str) -> str | None:
    return None if hmac.compare_digest(given.encode(), wanted.encode()) else wrong


def led_here(auth: Any, token_url: str) -> dict[str, Any]:
    """What `auth:` of a connection must say instead, so that it proves itself to a stand-in without TLS."""
    if auth in ("none", None):
        return {}
    others = set(auth.model_fields_set) - {"mtls"}
    if auth.mtls is not None and not others:
        return {"auth": "none"}
    changed: dict[str, Any] = {"auth.mtls": None} if auth.mtls is not None else {}
    if auth.oauth2 is not None:
        changed["auth.oauth2.token_url"] = token_url
    return changed
