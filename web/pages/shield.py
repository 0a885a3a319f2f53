"""What protects pages in the browser: headers on every answer, and the proof that a form came from one of our pages."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from aiohttp import web

from pipe.errors import ForgedRequest
from web.server import Request

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
TLS_ONLY = {"Strict-Transport-Security": "max-age=31536000"}
FIELD = "_csrf"
HEADER = "X-CSRF-Token"


def guard(request: Request, response: web.StreamResponse) -> None:
    """Puts the headers on an answer; what the handler has set stays."""
    if response.prepared:
        return
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.scheme == "https":
        for name, value in TLS_ONLY.items():
            response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")


def refuse_forged(request: Request, expected: str, given: str | None) -> None:
    """Raises ForgedRequest unless the request comes from a page of ours: by its origin, and by the page's token."""
    origin = request.headers.get("Origin")
    if origin is not None:
        theirs = urlsplit(origin)
        # The scheme is left out: a proxy that ends TLS need not tell us that it did.
        if theirs.scheme not in {"http", "https"} or theirs.netloc.lower() != request.host.lower():
            raise ForgedRequest(f"the request comes from {origin[:100]}, not from here")
    elif request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise ForgedRequest("the request comes from another site")
    if given is None or not hmac.compare_digest(expected.encode(), given.encode()):
        raise ForgedRequest("the page's token is missing or of another session")
