"""OAuth 2.0 client credentials: one token, kept until it nearly expires, fetched by one request however many wait."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any, Literal
from urllib.parse import quote_plus, urlencode

from pydantic import Field
from yarl import URL

from adapters.http_network import WebAddress
from adapters.http_replies import strict_json
from adapters.http_transport import HttpTransport, Reply, Request
from pipe.contract import Clock, Secret, Strict, Timeout
from pipe.errors import BadHeader, NoAnswer, NotAuthorised, PeerError, PeerFailed, ReplyInvalid, Unreachable

EARLY = 60.0
"""seconds before its end that a token is replaced"""
UNSAID = 300.0
"""seconds that a token is taken to live where the partner does not say"""


class OAuth2(Strict):
    """Client credentials at a token endpoint."""

    token_url: WebAddress = Field(
        description="Where tokens are issued; another host than that of `url` needs `allow: hosts`."
    )
    client_id: str = Field(description="How the endpoint knows us.")
    client_secret: Secret = Field(description="The secret that goes with the id.")
    scope: str | None = Field(default=None, description="Scopes, separated by blanks.")
    auth_style: Literal["header", "body"] = Field(
        default="header", description="Where the endpoint wants id and secret."
    )


class Tokens:
    """The token of one connection."""

    def __init__(self, config: OAuth2, transport: HttpTransport, clock: Clock) -> None:
        """`transport` leads to the token endpoint; it is opened and closed by its owner."""
        self._config, self._transport, self._clock = config, transport, clock
        self._lock = asyncio.Lock()
        self._token, self._until = "", 0.0
        self._failures, self._failure = 0, PeerError()

    async def current(self, timeout: Timeout) -> str:
        """A token that is good for some time yet.

        Raises NotAuthorised where the endpoint does not accept us, else only errors that say "nothing was sent": the
        message itself has not left, whatever became of the request for the token.
        """
        if self._good():
            return self._token
        failures = self._failures
        async with self._lock:
            if self._good():
                return self._token
            if self._failures != failures:
                # Whoever waited while another's request failed does not ask the same again.
                raise type(self._failure)(
                    self._failure.text, retry_after=self._failure.retry_after, **self._failure.facts
                )
            try:
                await self._fetch(timeout)
            except PeerError as error:
                self._failures, self._failure = self._failures + 1, error
                raise
        return self._token

    def forget(self, token: str) -> None:
        """The partner refused this token: the next one who asks fetches another."""
        if token == self._token:
            self._until = 0.0

    def _good(self) -> bool:
        return bool(self._token) and self._clock.monotonic() < self._until

    async def _fetch(self, timeout: Timeout) -> None:
        asked_at = self._clock.monotonic()
        try:
            reply = await self._transport.exchange(self._request(), timeout)
        except (NoAnswer, ReplyInvalid, BadHeader) as error:
            raise Unreachable(f"the token endpoint failed: {error.text}") from error
        answer = self._answer(reply)
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise PeerFailed(f"the token endpoint at {self._transport.where} answered {reply.status} without a token")
        self._token, self._until = token, asked_at + _life(answer.get("expires_in"))

    def _answer(self, reply: Reply) -> dict[str, Any]:
        """The endpoint's answer. Its text is never shown: it may repeat what was sent."""
        who = f"the token endpoint at {self._transport.where} answered {reply.status}"
        if reply.status in {400, 401, 403}:
            raise NotAuthorised(f"{who}{_said(reply)}")
        if not 200 <= reply.status < 300:
            raise PeerFailed(who)
        return _object(reply)

    def _request(self) -> Request:
        config, secret = self._config, self._config.client_secret.reveal()
        form = {"grant_type": "client_credentials"}
        if config.scope:
            form["scope"] = config.scope
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if config.auth_style == "header":
            pair = f"{quote_plus(config.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": config.client_id, "client_secret": secret}
        return Request("POST", URL(config.token_url).raw_path, headers, urlencode(form).encode())


def _life(expires_in: Any) -> float:
    """Seconds that a token is used; a short-lived one for half its life."""
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError):
        seconds = UNSAID
    return max(seconds - EARLY, seconds / 2)


def _object(reply: Reply) -> dict[str, Any]:
    try:
        answer = strict_json(reply.body)
    except (ValueError, RecursionError, binascii.Error):
        return {}
    return answer if isinstance(answer, dict) else {}


_ERRORS = {
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "access_denied",
}


def _said(reply: Reply) -> str:
    code = _object(reply).get("error")
    return f" ({code})" if code in _ERRORS else ""
