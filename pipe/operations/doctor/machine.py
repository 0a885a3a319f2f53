"""The machine: does its disk sync, is its file system fit, does its clock run right, may we open enough files?"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pipe.operations.doctor.finding import Finding

SYNCS = 50
TOO_FAST_S = 50e-6
"""a disk that has written within this time has not written"""
TOO_SLOW_S = 0.05
NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "fuse.sshfs", "fuse.glusterfs", "afs", "lustre"}
MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
DRIFT = 0.005
"""part of a second by which two clocks may differ over a second"""
OLDEST_SQLITE = (3, 35, 0)
_UNSYNCHRONISED = 5


def versions() -> Finding:
    """Python, SQLite, and the system."""
    said = (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.release()}"
    )
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(str(n) for n in OLDEST_SQLITE)
        return Finding("versions", "fail", said, f"SQLite {wanted} or newer is needed: use a newer Python")
    return Finding("versions", "ok", said)


def file_system(data: Path, mounts: Path = Path("/proc/self/mountinfo")) -> Finding:
    """What kind of file system the data folder lies on."""
    kind = kind_of(data, mounts)
    if kind in NETWORK:
        return Finding(
            "file system", "warn", f"{data} lies on {kind}, a network file system",
            "SQLite's locks and syncs are not to be trusted there: use a local disk, or PostgreSQL by --store",
        )  # fmt: skip
    if kind in MEMORY:
        return Finding(
            "file system", "warn", f"{data} lies on {kind}, in memory",
            "what is accepted is lost with the machine's power: use a disk",
        )  # fmt: skip
    return Finding("file system", "ok", f"{data} lies on {kind or 'an unknown file system'}")


def kind_of(folder: Path, mounts: Path) -> str | None:
    """The type of the file system that holds a folder; None where the system does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    where, best, kind = str(folder.resolve()), -1, None
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape")
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:  # the later of two mounts on one place hides the other
            best, kind = len(point), after.split()[0]
    return kind


def fsync(data: Path, sync: Callable[[int], None] = os.fsync) -> Finding:
    """Whether a sync takes as long as a disk needs."""
    times = []
    try:
        with tempfile.TemporaryFile(dir=data) as file:
            for number in range(SYNCS):
                os.pwrite(file.fileno(), bytes(4096), 4096 * number)
                begun = time.perf_counter()
                sync(file.fileno())
                times.append(time.perf_counter() - begun)
    except OSError as error:
        return Finding("fsync", "fail", f"{data} cannot be written to: {error.strerror}", "mend the disk or its rights")
    middle, worst = statistics.median(times), max(times)
    said = f"{SYNCS} syncs: {_ms(middle)} each, {_ms(worst)} the slowest"
    if middle < TOO_FAST_S:
        return Finding(
            "fsync", "warn", f"{said}: faster than a disk can write",
            "unless its cache outlives a power failure, it only says that it has written: turn its write cache off",
        )  # fmt: skip
    if middle > TOO_SLOW_S:
        return Finding("fsync", "warn", f"{said}: slow", "every commit waits as long: use a faster disk for the data")
    return Finding("fsync", "ok", said)


def clock(seconds: float = 0.2) -> list[Finding]:
    """Whether the wall clock runs as fast as the monotonic one, and follows a time server."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(seconds)
    drift = abs((time.time() - wall) - (time.monotonic() - steady)) / seconds
    if drift > DRIFT:
        text = f"in {seconds:g} s the wall clock and the monotonic one went apart by {drift * seconds * 1000:.1f} ms"
        found = [Finding("clock", "warn", text, "something sets the time by force: deadlines and retries depend on it")]
    else:
        found = [Finding("clock", "ok", "the wall clock and the monotonic one run alike")]
    synchronised = _follows()
    if synchronised is None:
        found.append(Finding("time server", "warn", "the system does not tell whether its time is synchronised", ""))
    elif synchronised:
        found.append(Finding("time server", "ok", "the system's time is synchronised"))
    else:
        hint = "run chrony or systemd-timesyncd: signatures, tokens and deadlines need the right time"
        found.append(Finding("time server", "warn", "the system's time is not synchronised", hint))
    return found


def _follows() -> bool | None:
    try:
        buffer = ctypes.create_string_buffer(256)  # struct timex with modes = 0: asks, changes nothing
        state: int = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNSYNCHRONISED


def files(needed: int, used: int | None) -> Finding:
    """Whether the process may open as many files and sockets as the configuration may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_ = f", {used} are open" if used is not None else ""
    said = f"{_many(soft)} files and sockets may be open{open_}; the configuration may need {needed}"
    if soft != resource.RLIM_INFINITY and (soft < needed or (used or 0) > soft * 0.8):
        hint = f"raise it: `ulimit -n {max(needed * 2, 4096)}`, or LimitNOFILE= of the service (at most {_many(hard)})"
        return Finding("open files", "warn" if soft >= needed // 2 else "fail", said, hint)
    return Finding("open files", "ok", said)


def _many(limit: int) -> str:
    return "any number of" if limit == resource.RLIM_INFINITY else str(limit)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
