"""What became of a message, as an error for a caller that waits for it."""

from __future__ import annotations

from pipe.errors.base import PipeError, Verdict


class FateError(PipeError):
    """What became of a message that a caller waits for."""

    code = "PIPE-6000"


class DeadlinePassed(FateError):
    """The deadline passed before the message was done."""

    code, status = "PIPE-6001", 504
    hint = "the message is closed as expired; send a new one if it still matters"


class OutcomeUnknown(FateError):
    """The message was sent to the partner, and nobody knows yet whether it worked."""

    code, verdict, status, blame = "PIPE-6002", Verdict.UNCERTAIN, 504, "target"
    hint = "do not send it again blindly: ask for its fate with its id"


class GatewayDefect(FateError):
    """The gateway itself has a defect."""

    code = "PIPE-6003"
    hint = "report it with the message id; the message is kept as a dead letter"
