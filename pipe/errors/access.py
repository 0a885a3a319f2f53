"""Errors of whoever asks: who they are, what they may, and how they ask."""

from __future__ import annotations

from pipe.errors.base import PipeError, Verdict


class AccessError(PipeError):
    """The request is not for this caller, or not for this place."""

    code, verdict, status, blame = "PIPE-5000", Verdict.DEAD, 403, "caller"
    hint = "ask whoever gave you the key"


class NoCredentials(AccessError):
    """The credentials are missing or wrong."""

    code, status = "PIPE-5001", 401
    hint = "send the credentials that the connection's `auth:` names"


class Denied(AccessError):
    """These credentials do not allow this."""

    code = "PIPE-5002"


class NotFound(AccessError):
    """There is nothing of that name here."""

    code, status = "PIPE-5003", 404
    hint = "check the address or the name; `pipe routes` lists what is served"


class MethodNotAllowed(AccessError):
    """Another method is served at this address."""

    code, status = "PIPE-5004", 405
    hint = "the `Allow` header lists the methods"


class RateLimited(AccessError):
    """Too many requests in this time."""

    code, verdict, status = "PIPE-5005", Verdict.RETRY, 429
    hint = "wait as long as `Retry-After` says"


class BadRequest(AccessError):
    """The request itself is not well made."""

    code, status = "PIPE-5006", 400
    hint = "say it as the text asks"


class TooSlow(AccessError):
    """The request did not arrive in time."""

    code, verdict, status = "PIPE-5007", Verdict.RETRY, 408
    hint = "send the header within 10 s and the body faster than 1 KiB/s, then try again"


class UrlTooLong(AccessError):
    """The address is longer than the limit."""

    code, status = "PIPE-5008", 414
    hint = "the limit is 2,000 signs; send data in the body"


class HeadersTooLarge(AccessError):
    """The header is larger than the limit."""

    code, status = "PIPE-5009", 431
    hint = "the limits are 16 KiB and 128 fields; send data in the body"


class Crowded(AccessError):
    """Too many connections are open at once."""

    code, verdict, status = "PIPE-5010", Verdict.RETRY, 503
    hint = "reuse connections, close idle ones, and try again in a moment"


class FormInvalid(AccessError):
    """Some of the fields are not right."""

    code, status = "PIPE-5020", 422
    hint = "mend the named fields and send it again"


class Conflict(AccessError):
    """What is asked does not go together with what there is."""

    code, status = "PIPE-5023", 409
    hint = "see what the text says stands against it"


class ForgedRequest(AccessError):
    """The request does not come from a page of this site."""

    code = "PIPE-5021"
    hint = "open the page again and send its form; programs use an API key instead of a cookie"


class SignedOut(AccessError):
    """Nobody is signed in."""

    code, status = "PIPE-5022", 401
    hint = "sign in at /login, or send an API key: `Authorization: Bearer KEY`"
