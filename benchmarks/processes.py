"""What Linux tells of a process: its processor time and its memory."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20
_TICK = os.sysconf("SC_CLK_TCK")
_KIB = re.compile(r"^(VmRSS|VmHWM):\s+([0-9]+) kB$", re.MULTILINE)


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads so far, user and system."""
    return _cpu(Path(f"/proc/{pid}/stat"))


def thread_seconds(pid: int) -> dict[int, float]:
    """Processor time of each thread so far, by its number; the first one has that of the process."""
    return {int(task.name): _cpu(task / "stat") for task in Path(f"/proc/{pid}/task").iterdir()}


def nanoseconds(pid: int) -> int:
    """Processor time of all threads that live, as the scheduler counts it: sharp enough for a single request."""
    return sum(
        int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()
    )


def _cpu(stat: Path) -> float:
    fields = stat.read_text(encoding="ascii", errors="replace").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident(pid: int) -> int:
    """Bytes of memory in use now."""
    return _memory(pid)["VmRSS"]


def peak(pid: int) -> int:
    """The most bytes that were in use since the start, or since `forget_peak`."""
    return _memory(pid)["VmHWM"]


def forget_peak(pid: int) -> None:
    """The peak begins anew with what is in use now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _memory(pid: int) -> dict[str, int]:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return {name: int(kib) * 1024 for name, kib in _KIB.findall(status)}


@dataclass(slots=True)
class Samples:
    """What a process had in use while it was watched."""

    rss: list[int] = field(default_factory=list)
    """bytes, oldest first"""

    def quarters(self) -> list[int]:
        """The most of each quarter of the time."""
        step = max(1, len(self.rss) // 4)
        return [max(self.rss[at : at + step]) for at in range(0, 4 * step, step) if self.rss[at : at + step]]


@contextmanager
def watched(pid: int, every: float = 0.1) -> Iterator[Samples]:
    """Samples the memory of a process, every so many seconds, until the block ends."""
    samples, over = Samples([resident(pid)]), threading.Event()

    def look() -> None:
        while not over.wait(every):
            samples.rss.append(resident(pid))

    watching = threading.Thread(target=look, name="memory", daemon=True)
    watching.start()
    try:
        yield samples
    finally:
        over.set()
        watching.join()


def until(condition: Callable[[], bool], what: str, within: float = 120) -> None:
    """Waits until `condition()` is true. Raises AssertionError saying `what` was waited for."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {within:g} s"
        time.sleep(0.02)
