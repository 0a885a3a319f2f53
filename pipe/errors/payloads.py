"""Errors of the message itself."""

from __future__ import annotations

from typing import ClassVar

from pipe.errors.base import Blame, PipeError, Verdict


class PayloadError(PipeError):
    """The message itself is at fault."""

    code, verdict, status = "PIPE-3000", Verdict.DEAD, 422
    blame: ClassVar[Blame] = "caller"
    hint = "mend the message and send it again"


class Undecodable(PayloadError):
    """The body is not in the format it should be."""

    code, status = "PIPE-3001", 400
    hint = "send the format that the route's `decode:` names"


class WrongMediaType(PayloadError):
    """The route does not take this content type or encoding."""

    code, status = "PIPE-3002", 415
    hint = "send the content type that the route's `decode:` names, with at most one layer of gzip or deflate"


class TooLarge(PayloadError):
    """The message is larger than the limit."""

    code, status = "PIPE-3003", 413
    hint = "send less at once, or raise `max_body:` of the route"


class SchemaMismatch(PayloadError):
    """The message does not fit the schema."""

    code = "PIPE-3004"
    hint = "mend the named fields"


class MappingFailed(PayloadError):
    """An expression or a mapping met a value of the wrong type."""

    code = "PIPE-3005"
    hint = "look at the named path in the message and at the named line of the configuration"


class Unencodable(PayloadError):
    """The format cannot say this value."""

    code = "PIPE-3006"
    hint = "map the named field to something that the format can say"


class BadHeader(PayloadError):
    """A header, address or name made from data holds what is not allowed there."""

    code = "PIPE-3007"
    hint = "clean the named value in a `map` or `set` step"


class Bomb(PayloadError):
    """The body unpacks to far more than was sent."""

    code, status = "PIPE-3008", 413
    hint = "send it unpacked"


class TooDeep(PayloadError):
    """The body is nested deeper than the limit."""

    code, status = "PIPE-3009", 400
    hint = "the limit is 64 levels"


class KeyMissing(PayloadError):
    """The route demands an idempotency key, and the message has none."""

    code, status = "PIPE-3010", 400
    hint = "send the key that the route's `idempotency:` names"


class KeyReused(PayloadError):
    """The same idempotency key came with another body."""

    code = "PIPE-3011"
    hint = "use a new key for a new message"


class KeyInFlight(PayloadError):
    """A message with the same idempotency key is being worked on now."""

    code, status = "PIPE-3012", 409
    hint = "wait for the first answer, then ask again with the same key"


class TooManyHops(PayloadError):
    """The message was passed from route to route too often."""

    code, status, blame = "PIPE-3013", 508, "gateway"
    hint = "routes that emit to one another form a circle; break it"


class Poison(PayloadError):
    """The gateway's process died three times while it worked on this message."""

    code, status, blame = "PIPE-3014", 500, "gateway"
    hint = "report it with the original bytes; replay it only after the step is mended"


class NoSuchTarget(PayloadError):
    """No route, connection or channel of that name is configured now."""

    code, blame = "PIPE-3015", "gateway"
    hint = "add it to the configuration, then replay"


class StepFailed(PayloadError):
    """A step broke: this is a defect of the step, not of the message."""

    code, status, blame = "PIPE-3016", 500, "gateway"
    hint = "see the log for the traceback, mend the step, then replay"
