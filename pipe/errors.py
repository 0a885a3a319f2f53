"""Every way the gateway can fail, as a class that carries its own decision.

PipeError
├─ ConfigError            1001  the configuration says something wrong
│  ├─ SecretMissing       1002  a reference names a secret that is not there
│  └─ RevisionUnknown     1003  a stored revision of the configuration cannot be read
├─ PeerError                    a partner, or the way to it
│  ├─ Unreachable         2001  no connection; nothing was sent                      retry
│  ├─ NoAnswer            2002  sent, but no answer came                             uncertain
│  ├─ Busy                2003  the partner asked to come back later                 retry
│  ├─ PeerFailed          2004  the partner failed for the moment                    retry
│  ├─ PeerBroke           2005  the partner broke while it worked                    uncertain
│  ├─ Refused             2006  the partner refused this message                     dead
│  ├─ NotAuthorised       2007  the partner does not accept our credentials          stop
│  ├─ TlsFailed           2008  the partner's certificate or TLS is not good         stop
│  ├─ AddressForbidden    2009  the address is outside the connection's allow-list   stop
│  ├─ ReplyTooLarge       2010  the partner's answer is larger than the limit        uncertain
│  ├─ ReplyInvalid        2011  the partner's answer cannot be read                  uncertain
│  ├─ ConnectionWaits     2012  breaker open, connection down or paused              retry
│  ├─ ReplyRejected       2013  `success:` or `dead_when:` says the answer is bad    dead
│  ├─ HostKeyUnknown      2014  its SSH host key is not the one that is pinned      stop
│  └─ RecipientGone       2015  this person takes no messages from us                dead
├─ PayloadError                 the message itself
│  ├─ Undecodable         3001  not the format it should be                          dead
│  ├─ WrongMediaType      3002  a content type that the route does not take          dead
│  ├─ TooLarge            3003  larger than the limit                                dead
│  ├─ SchemaMismatch      3004  does not fit the schema                              dead
│  ├─ MappingFailed       3005  an expression or mapping met a wrong type            dead
│  ├─ Unencodable         3006  the format cannot say this value                     dead
│  ├─ BadHeader           3007  a header or address made from data is not allowed    dead
│  ├─ Bomb                3008  unpacks to far more than was sent                    dead
│  ├─ TooDeep             3009  nested deeper than the limit                         dead
│  ├─ KeyMissing          3010  the route demands an idempotency key                 dead
│  ├─ KeyReused           3011  the same key came with another body                  dead
│  ├─ KeyInFlight         3012  the same key is being worked on now                  dead
│  ├─ TooManyHops         3013  the message goes round in a circle                   dead
│  ├─ Poison              3014  the message killed the process three times           dead
│  ├─ NoSuchTarget        3015  no route or channel of that name now                 dead
│  └─ StepFailed          3016  a step broke: a defect of that step                  dead
├─ StoreError                   the gateway's own disk and queues
│  ├─ StoreUnavailable    4001  the store cannot write                               retry
│  ├─ StoreFull           4002  no space left, or below the floor                    retry
│  ├─ QueueFull           4003  the route's queue or the gateway's cap is full       retry
│  ├─ Draining            4004  the gateway is stopping                              retry
│  ├─ RowDamaged          4005  a stored row does not match its checksum             dead
│  ├─ StoreLocked         4006  another process holds this folder                    stop
│  ├─ SchemaTooNew        4007  the store was written by a newer version             stop
│  ├─ StoreBusy           4008  a read took longer than it may                       retry
│  └─ BackupDamaged       4009  a backup, or what lies beside it, was altered        stop
├─ AccessError                  who may do what
│  ├─ NoCredentials       5001  no credentials, or wrong ones                        dead
│  ├─ Denied              5002  not allowed                                          dead
│  ├─ NotFound            5003  nothing of that name here                            dead
│  ├─ MethodNotAllowed    5004  another method is served there                       dead
│  ├─ RateLimited         5005  too many in this time                                retry
│  ├─ BadRequest          5006  the request itself is not well made                  dead
│  ├─ TooSlow             5007  the request did not arrive in time                   retry
│  ├─ UrlTooLong          5008  the address is longer than the limit                 dead
│  ├─ HeadersTooLarge     5009  the header is larger than the limit                  dead
│  ├─ Crowded             5010  too many connections at once                         retry
│  ├─ FormInvalid         5020  fields of a form or of an API call are not right     dead
│  ├─ ForgedRequest       5021  not from a page of this site                         dead
│  ├─ SignedOut           5022  nobody is signed in                                  dead
│  └─ Conflict            5023  does not go together with what there is              dead
└─ FateError                    what became of a message, where a caller waits for it
   ├─ DeadlinePassed      6001  the deadline passed before it was done               dead
   ├─ OutcomeUnknown      6002  sent, and nobody knows yet whether it worked         uncertain
   └─ GatewayDefect       6003  a defect of the gateway itself                       dead
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, ClassVar, Literal


class Verdict(StrEnum):
    """What the engine does with a delivery whose attempt raised the error."""

    RETRY = "retry"
    """try again later: nothing happened at the partner"""
    DEAD = "dead"
    """trying again cannot help: keep it as a dead letter"""
    UNCERTAIN = "uncertain"
    """it may have happened: retried when the target is idempotent, else confirmed or shown to a person"""
    STOP = "stop"
    """the connection is at fault, not the message: the connection goes down, the message waits"""


Blame = Literal["caller", "gateway", "target"]


class PipeError(Exception):
    """Something failed. The class says what kind, the text says what happened, where and with which value."""

    code: ClassVar[str] = "PIPE-0000"
    verdict: ClassVar[Verdict] = Verdict.DEAD
    hint: str = "see the log of the gateway for the cause"
    status: ClassVar[int] = 500
    """HTTP status a caller gets"""
    blame: ClassVar[Blame] = "gateway"

    def __init__(
        self,
        text: str = "",
        *,
        retry_after: float | None = None,
        reply: Any = None,
        hint: str | None = None,
        **facts: Any,
    ) -> None:
        """`text` defaults to the first line of the class's docstring.

        `retry_after` is in seconds, as the partner asked; `reply` is the partner's Receipt, where there was one;
        `hint` takes the place of the class's where more is known of the cure;
        `facts` (connection, route, message, path, line …) are shown beside the text and never hold secrets.
        """
        self.text = text or (self.__doc__ or "").splitlines()[0]
        self.retry_after = retry_after
        self.reply = reply
        self.facts: dict[str, Any] = facts
        if hint is not None:
            self.hint = hint
        super().__init__(self.text)

    @classmethod
    def slug(cls) -> str:
        """The class's name in lower_snake, as `X-Pipe-Error` and the pages show it."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_")

    def __str__(self) -> str:
        where = ", ".join(f"{key} {value}" for key, value in self.facts.items())
        return f"[{self.code}] {self.text}{f' ({where})' if where else ''}. Try: {self.hint}"


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """Adds facts to a PipeError on its way out; what is known nearer the cause is kept."""
    try:
        yield
    except PipeError as error:
        error.facts = {**facts, **error.facts}
        raise


@contextmanager
def translated(table: Mapping[type[BaseException], type[PipeError]], who: str) -> Iterator[None]:
    """Turns a library's exceptions into ours by the first class of `table` that fits, keeping the cause."""
    try:
        yield
    except tuple(table) as error:
        for kind, ours in table.items():
            if isinstance(error, kind):
                raise ours(f"{who}: {str(error) or type(error).__name__}") from error
        raise


# --- 1xxx configuration -------------------------------------------------------------------------------------------


class ConfigError(PipeError):
    """The configuration says something wrong."""

    code, verdict, status = "PIPE-1001", Verdict.STOP, 500
    hint = "run `pipe lint`: it lists every mistake with file and line"


class SecretMissing(ConfigError):
    """A reference names a secret that is not there."""

    code = "PIPE-1002"
    hint = "set the environment variable, write the file, or store it with `pipe secrets set NAME`"


class RevisionUnknown(ConfigError):
    """A stored revision of the configuration cannot be read any more."""

    code = "PIPE-1003"
    hint = "this version no longer takes what an earlier one took; compare by hand, then start the gateway or apply"


# --- 2xxx peers ---------------------------------------------------------------------------------------------------


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


# --- 3xxx payloads ------------------------------------------------------------------------------------------------


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


# --- 4xxx store ---------------------------------------------------------------------------------------------------


class StoreError(PipeError):
    """The gateway's own store failed."""

    code, verdict, status = "PIPE-4000", Verdict.RETRY, 503
    hint = "send it again later; nothing was accepted"


class StoreUnavailable(StoreError):
    """The store cannot write."""

    code = "PIPE-4001"
    hint = "check the disk; the gateway accepts nothing until the store is well"


class StoreFull(StoreError):
    """There is no space left for the store, or it is below `limits: disk_floor`."""

    code = "PIPE-4002"
    hint = "free space on the disk of the data folder; accepting goes on by itself"


class QueueFull(StoreError):
    """The route's queue, or the gateway's cap of pending messages, is full."""

    code = "PIPE-4003"
    hint = "send it again later; ops: see what its target waits for with `pipe status`"


class Draining(StoreError):
    """The gateway is stopping and takes no new messages."""

    code = "PIPE-4004"
    hint = "send it again in a moment"


class RowDamaged(StoreError):
    """A stored row does not match its checksum; it is kept aside and not delivered."""

    code, verdict, status = "PIPE-4005", Verdict.DEAD, 500
    hint = "the disk altered it: restore from a backup, and check the disk"


class StoreLocked(StoreError):
    """Another process holds this data folder."""

    code, verdict = "PIPE-4006", Verdict.STOP
    hint = "stop the other gateway, or give this one a folder of its own with --data"


class SchemaTooNew(StoreError):
    """The store was written by a newer version of the gateway."""

    code, verdict = "PIPE-4007", Verdict.STOP
    hint = "run that version or a later one"


class StoreBusy(StoreError):
    """A read of the store took longer than it may."""

    code = "PIPE-4008"
    hint = "narrow the search"


class BackupDamaged(StoreError):
    """A backup, or the list of erasures beside it, is not what was written."""

    code, verdict = "PIPE-4009", Verdict.STOP
    hint = "use another backup; `pipe backup --verify FILE` tells whether one is whole"


# --- 5xxx access --------------------------------------------------------------------------------------------------


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


# --- 6xxx fates ---------------------------------------------------------------------------------------------------


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


def every_error(root: type[PipeError] = PipeError) -> Iterator[type[PipeError]]:
    """All classes below PipeError in the order of the tree, for the reference page and its tests."""
    for kind in root.__subclasses__():
        if kind.__module__ == __name__:
            yield kind
            yield from every_error(kind)
