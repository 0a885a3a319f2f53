"""Errors of the gateway's own disk and queues."""

from __future__ import annotations

from pipe.errors.base import PipeError, Verdict


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


class OutOfMemory(StoreError):
    """The gateway's process gets no more memory from the system."""

    code = "PIPE-4010"
    hint = "send it again later; ops: give it more memory, or lower `max_body` and `concurrency` of large routes"
