"""What a power failure leaves of a folder: the calls of a process, replayed with only that which was synced.

strace writes down every call that changes the folder, with its bytes. Replayed up to any moment, a file holds what was
written before the last sync of it that had ended; a name is there once its folder was synced. What was written and not
synced is gone, or is there in part: pages of it, by chance, as a disk writes them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

CALLS = "openat,close,lseek,write,pwrite64,ftruncate,fsync,fdatasync,rename,link,unlink,mkdir"
RECORDED = ("-ttt", "-y", "-xx", "-s", str(8 << 20), "-e", f"trace={CALLS}", "-e", "status=successful")
"""arguments of strace"""
UNSYNCED = ("-shm", "inflight", "lock", "pipe.sock", "addresses.json")
"""files of which nothing is promised after a power failure"""
PAGE = 4096
_LINE = re.compile(r"(\d+) +([\d.]+) (.*)", re.DOTALL)
_FIRST = re.compile(r"(\w+)\((.*?)(?: <unfinished \.\.\.>|\) += (-?\d+)(?:<(.*?)>)?(?: .*)?)\n", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>.*\) += (-?\d+)(?:<(.*?)>)?", re.DOTALL)


@dataclass(slots=True)
class Call:
    """One call that ended well."""

    name: str
    arguments: str
    result: int
    path: str
    """of the descriptor that it gave"""
    began: int
    """how many calls had ended when it began"""
    at: float
    """when it ended, seconds since 1970"""


def recorded(output: Path) -> list[Call]:
    """The calls in the order in which they ended."""
    calls: list[Call] = []
    begun: dict[str, tuple[str, str, int]] = {}
    with output.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if (parts := _LINE.match(line)) is None:
                continue
            thread, at, text = parts.groups()
            if (resumed := _RESUMED.match(text)) is not None:
                name, arguments, before = begun.pop(thread, (resumed[1], "", len(calls)))
                calls.append(Call(name, arguments, int(resumed[2]), _plain(resumed[3] or ""), before, float(at)))
            elif (first := _FIRST.match(text)) is not None:
                if first[3] is None:
                    begun[thread] = (first[1], first[2], len(calls))
                else:
                    calls.append(Call(first[1], first[2], int(first[3]), _plain(first[4] or ""), len(calls), float(at)))
    return calls


def _plain(text: str) -> str:
    """What strace wrote in hex."""
    return bytes.fromhex(text.replace("\\x", "")).decode()


@dataclass(slots=True)
class _Change:
    """A write, or with `data` None a new length."""

    begun: int
    at: int
    data: bytes | None


@dataclass(slots=True)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    waiting: list[_Change] = field(default_factory=list)
    length: int = 0

    def change(self, change: _Change) -> None:
        self.waiting.append(change)
        self.length = change.at if change.data is None else max(self.length, change.at + len(change.data))

    def sync(self, before: int) -> None:
        """What had ended when the sync began is on disk."""
        done = [change for change in self.waiting if change.begun < before]
        self.waiting = [change for change in self.waiting if change.begun >= before]
        for change in done:
            _apply(self.durable, change.at, change.data)

    def left(self, chance: Random | None) -> bytes:
        """After a failure: nothing of what waits, or some pages of it."""
        content = bytearray(self.durable)
        for change in self.waiting if chance is not None else ():
            for start in range(0, max(1, len(change.data or b"")), PAGE):
                if chance is not None and chance.random() < 0.5:
                    part = None if change.data is None else change.data[start : start + PAGE]
                    _apply(content, change.at + start, part)
        return bytes(content)


def _apply(content: bytearray, at: int, data: bytes | None) -> None:
    if data is None:
        del content[at:]
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    if data is not None:
        content[at : at + len(data)] = data


class Disk:
    """A folder and all below it, as the calls change it."""

    def __init__(self, root: Path) -> None:
        self.root = os.fspath(root)
        self._now: dict[str, _File] = {}
        """all names, as every process sees them"""
        self._synced: dict[str, _File] = {}
        """the names that are on disk"""
        self._open: dict[int, tuple[_File, int]] = {}
        """descriptors with their places"""
        self._ended = 0

    def replay(self, calls: list[Call]) -> Iterator[Call]:
        """Carries out one call after the other, and gives each when it is done."""
        for call in calls:
            self._carry_out(call)
            self._ended += 1
            yield call

    def left(self, folder: Path, chance: Random | None = None) -> None:
        """Writes what a failure leaves now; with `chance`, some pages and names that were not synced as well."""
        lucky = {name: file for name, file in self._now.items() if chance is not None and chance.random() < 0.5}
        names = self._synced | lucky
        for name, file in names.items():
            if not name.endswith(UNSYNCED):
                path = folder / os.path.relpath(name, self.root)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.left(chance))

    # --- calls --------------------------------------------------------------------------------------------------------

    def _carry_out(self, call: Call) -> None:
        texts = [
            bytes.fromhex(text.replace("\\x", "")) for text in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', call.arguments)
        ]
        about = call.arguments.partition("<")
        number = int(about[0]) if about[0].isdigit() else -1
        if call.name == "openat":
            self._opened(call)
        elif call.name == "close":
            self._open.pop(number, None)
        elif call.name in {"fsync", "fdatasync"}:
            self._sync(call, number)
        elif call.name in {"rename", "link", "unlink"}:
            self._names(call.name, [text.decode() for text in texts])
        elif number in self._open:
            file, place = self._open[number]
            numbers = [int(part) for part in re.findall(r", (-?\d+)(?=,|$)", call.arguments)]
            if call.name == "lseek":
                self._open[number] = file, call.result
            elif call.name == "ftruncate":
                file.change(_Change(self._ended, numbers[-1], None))
            else:
                at = numbers[-1] if call.name == "pwrite64" else place
                file.change(_Change(self._ended, at, texts[0][: call.result]))
                if call.name == "write":
                    self._open[number] = file, place + call.result

    def _opened(self, call: Call) -> None:
        path = call.path
        self._open.pop(call.result, None)
        if not path.startswith(f"{self.root}/") or "O_DIRECTORY" in call.arguments or Path(path).is_dir():
            return
        file = self._now.get(path)
        if file is None:
            if "O_CREAT" not in call.arguments:
                return
            file = self._now[path] = _File()
        if "O_TRUNC" in call.arguments:
            file.change(_Change(self._ended, 0, None))
        self._open[call.result] = file, file.length if "O_APPEND" in call.arguments else 0

    def _sync(self, call: Call, number: int) -> None:
        if number in self._open:
            self._open[number][0].sync(call.began)
            return
        folder = _plain(call.arguments.partition("<")[2].rpartition(">")[0])
        if folder == self.root or folder.startswith(f"{self.root}/"):
            here = {name: file for name, file in self._now.items() if name.rpartition("/")[0] == folder}
            elsewhere = {name: file for name, file in self._synced.items() if name.rpartition("/")[0] != folder}
            self._synced = elsewhere | here

    def _names(self, name: str, paths: list[str]) -> None:
        if not paths[0].startswith(f"{self.root}/") or paths[0] not in self._now:
            return
        file = self._now[paths[0]]
        if name in {"rename", "link"}:
            self._now[paths[1]] = file
        if name in {"rename", "unlink"}:
            del self._now[paths[0]]
