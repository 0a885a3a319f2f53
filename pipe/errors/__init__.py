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
│  ├─ BackupDamaged       4009  a backup, or what lies beside it, was altered        stop
│  └─ OutOfMemory         4010  the process gets no more memory                      retry
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

from collections.abc import Iterator

from pipe.errors.access import (
    AccessError,
    BadRequest,
    Conflict,
    Crowded,
    Denied,
    ForgedRequest,
    FormInvalid,
    HeadersTooLarge,
    MethodNotAllowed,
    NoCredentials,
    NotFound,
    RateLimited,
    SignedOut,
    TooSlow,
    UrlTooLong,
)
from pipe.errors.base import Blame, PipeError, Verdict, about, sayable, translated
from pipe.errors.configuration import ConfigError, RevisionUnknown, SecretMissing
from pipe.errors.fates import DeadlinePassed, FateError, GatewayDefect, OutcomeUnknown
from pipe.errors.payloads import (
    BadHeader,
    Bomb,
    KeyInFlight,
    KeyMissing,
    KeyReused,
    MappingFailed,
    NoSuchTarget,
    PayloadError,
    Poison,
    SchemaMismatch,
    StepFailed,
    TooDeep,
    TooLarge,
    TooManyHops,
    Undecodable,
    Unencodable,
    WrongMediaType,
)
from pipe.errors.peers import (
    AddressForbidden,
    Busy,
    ConnectionWaits,
    HostKeyUnknown,
    NoAnswer,
    NotAuthorised,
    PeerBroke,
    PeerError,
    PeerFailed,
    RecipientGone,
    Refused,
    ReplyInvalid,
    ReplyRejected,
    ReplyTooLarge,
    TlsFailed,
    Unreachable,
)
from pipe.errors.store import (
    BackupDamaged,
    Draining,
    OutOfMemory,
    QueueFull,
    RowDamaged,
    SchemaTooNew,
    StoreBusy,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreUnavailable,
)

__all__ = [
    "AccessError",
    "AddressForbidden",
    "BackupDamaged",
    "BadHeader",
    "BadRequest",
    "Blame",
    "Bomb",
    "Busy",
    "ConfigError",
    "Conflict",
    "ConnectionWaits",
    "Crowded",
    "DeadlinePassed",
    "Denied",
    "Draining",
    "FateError",
    "ForgedRequest",
    "FormInvalid",
    "GatewayDefect",
    "HeadersTooLarge",
    "HostKeyUnknown",
    "KeyInFlight",
    "KeyMissing",
    "KeyReused",
    "MappingFailed",
    "MethodNotAllowed",
    "NoAnswer",
    "NoCredentials",
    "NoSuchTarget",
    "NotAuthorised",
    "NotFound",
    "OutOfMemory",
    "OutcomeUnknown",
    "PayloadError",
    "PeerBroke",
    "PeerError",
    "PeerFailed",
    "PipeError",
    "Poison",
    "QueueFull",
    "RateLimited",
    "RecipientGone",
    "Refused",
    "ReplyInvalid",
    "ReplyRejected",
    "ReplyTooLarge",
    "RevisionUnknown",
    "RowDamaged",
    "SchemaMismatch",
    "SchemaTooNew",
    "SecretMissing",
    "SignedOut",
    "StepFailed",
    "StoreBusy",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "StoreUnavailable",
    "TlsFailed",
    "TooDeep",
    "TooLarge",
    "TooManyHops",
    "TooSlow",
    "Undecodable",
    "Unencodable",
    "Unreachable",
    "UrlTooLong",
    "Verdict",
    "WrongMediaType",
    "about",
    "defect",
    "every_error",
    "sayable",
    "translated",
]


def defect(error: BaseException | None) -> PipeError:
    """What a caller hears of an exception that nobody expected."""
    return OutOfMemory() if isinstance(error, MemoryError) else GatewayDefect()


def every_error(root: type[PipeError] = PipeError) -> Iterator[type[PipeError]]:
    """All classes below PipeError in the order of the tree, for the reference page and its tests."""
    for kind in sorted(root.__subclasses__(), key=lambda kind: kind.code):
        if kind.__module__.startswith(f"{__name__}."):
            yield kind
            yield from every_error(kind)
