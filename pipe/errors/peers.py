"""Errors of a partner, or of the way to it."""

from __future__ import annotations

from typing import ClassVar

from pipe.errors.base import Blame, PipeError, Verdict


class PeerError(PipeError):
    """A partner, or the way to it, failed."""

    code, verdict, status = "PIPE-2000", Verdict.RETRY, 502
    blame: ClassVar[Blame] = "target"
    hint = "ask the partner; the message is kept"


class Unreachable(PeerError):
    """The partner did not accept the connection; nothing was sent."""

    code = "PIPE-2001"
    hint = "check the address and the network path; the message is kept and retried"


class NoAnswer(PeerError):
    """The request was sent, but no answer came in time."""

    code, verdict, status = "PIPE-2002", Verdict.UNCERTAIN, 504
    hint = "declare the target `idempotent: true`, give it `idempotent_by:`, or say how to ask with `on_uncertain:`"


class Busy(PeerError):
    """The partner asked to come back later."""

    code = "PIPE-2003"
    hint = "nothing to do: the connection pauses as long as the partner asked; lower `rate:` if it happens often"


class PeerFailed(PeerError):
    """The partner failed for the moment."""

    code = "PIPE-2004"
    hint = "nothing to do now: it is retried; call the partner if it lasts"


class PeerBroke(PeerError):
    """The partner broke while it worked on the message, so it may have taken effect."""

    code, verdict = "PIPE-2005", Verdict.UNCERTAIN
    hint = "look at the partner's answer; declare the target idempotent if repeating is safe"


class Refused(PeerError):
    """The partner refused this message."""

    code, verdict = "PIPE-2006", Verdict.DEAD
    hint = "read the partner's answer, mend the mapping or the data, then rehearse and replay"


class NotAuthorised(PeerError):
    """The partner does not accept our credentials."""

    code, verdict = "PIPE-2007", Verdict.STOP
    hint = "renew the secret of this connection; its messages wait and spend no attempts"


class TlsFailed(PeerError):
    """The partner's certificate or TLS version is not good."""

    code, verdict = "PIPE-2008", Verdict.STOP
    hint = "check the certificate's dates, name and authority; its messages wait and spend no attempts"


class AddressForbidden(PeerError):
    """The address is outside the connection's allow-list."""

    code, verdict = "PIPE-2009", Verdict.STOP
    hint = "if the address is right, name its host or network under `allow:` of the connection"


class ReplyTooLarge(PeerError):
    """The partner's answer is larger than the limit."""

    code, verdict = "PIPE-2010", Verdict.UNCERTAIN
    hint = "raise `max_reply:` of the connection if such answers are right"


class ReplyInvalid(PeerError):
    """The partner's answer cannot be read."""

    code, verdict = "PIPE-2011", Verdict.UNCERTAIN
    hint = "the answer is kept with the attempt; ask the partner"


class ConnectionWaits(PeerError):
    """The connection is down, paused, or its breaker is open."""

    code, status, blame = "PIPE-2012", 503, "gateway"
    hint = "see `pipe connections`; messages wait without spending attempts"


class ReplyRejected(PeerError):
    """The partner answered, and the route says that this answer is bad."""

    code, verdict = "PIPE-2013", Verdict.DEAD
    hint = "read the partner's answer; `success:`, `retry_when:` and `dead_when:` of the target decide"


class HostKeyUnknown(PeerError):
    """The partner shows an SSH host key that is not pinned: it may be somebody else."""

    code, verdict = "PIPE-2014", Verdict.STOP
    hint = "ask the partner by another way for its key's fingerprint; pin it under `host_keys:` if it is this one"


class RecipientGone(PeerError):
    """The person whom it is for takes no messages from us: blocked us, never wrote to us, or is not there."""

    code, verdict = "PIPE-2015", Verdict.DEAD
    hint = "reach the person by another way; only they can let us write to them again"
