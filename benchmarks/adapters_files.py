"""Files: 100 MiB put to vsftpd, OpenSSH and a folder and taken from there, by adapters and by bare libraries."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
import uvloop

from benchmarks.bare_files import BareFolder, BareFolderSynced, BareFtp, BareSftp
from benchmarks.optional import Missing
from benchmarks.options import Options
from benchmarks.our_files import Ours
from benchmarks.race_files import SIZE, Runner, measured
from benchmarks.report import circumstances, table
from benchmarks.resampled import ratio
from benchmarks.subjects import folder
from pipe import memory
from tests.adapters.files_bench import FolderPlace, Openssh, Place, Vsftpd

KINDS: tuple[tuple[str, type[Place], type[Runner]], ...] = (
    ("vsftpd", Vsftpd, BareFtp),
    ("OpenSSH", Openssh, BareSftp),
    ("folder", FolderPlace, BareFolder),
    ("folder, library syncs too", FolderPlace, BareFolderSynced),
)
WAYS = ("put", "take")


@dataclass(frozen=True, slots=True)
class Row:
    """One place and direction."""

    name: str
    bare: list[tuple[float, float]]
    """MiB a second, and seconds of processor"""
    ours: list[tuple[float, float]]


def adapters_files(options: Options, size: int = SIZE) -> str:
    """Both in every round, one after the other; every other round the other way round. Raises Missing."""
    rows: list[Row] = []
    before = os.getloadavg()[0]
    memory.settle()  # as the gateway does
    for name, kind, bare in KINDS:
        try:
            rows += uvloop.run(_rows(name, kind, bare, options.rounds, size))
        except pytest.skip.Exception as why:
            raise Missing(str(why)) from why
    how = circumstances(
        f"{options.rounds} rounds of one file of {size >> 20} MiB for each row; both are signed in when the clock "
        "starts, in one process on uvloop. Server and subject share the cores, and the machine had a load of "
        f"{before:.1f} when it began and {os.getloadavg()[0]:.1f} at the end: read the ratios."
    )
    heads = (
        "place", "library, MiB/s (min–max)", "PIPE, MiB/s (min–max)", "processor: library, PIPE, s",
        "PIPE ÷ library: median", "mean (95 % interval)",
    )  # fmt: skip
    return f"{how}\n\n{table(heads, [_told(row) for row in rows])}"


async def _rows(name: str, kind: type[Place], bare: type[Runner], rounds: int, size: int) -> Iterable[Row]:
    with folder() as base:
        base.chmod(0o755)
        place = kind(base / "place")
        await place.start()
        try:
            runners = [await each(place, base, size).start() for each in (bare, Ours)]
            found = [await _row(name, way, runners, rounds) for way in WAYS]
            for runner in runners:
                await runner.stop()
        finally:
            await place.stop()
    return found


async def _row(name: str, way: str, runners: list[Runner], rounds: int) -> Row:
    row = Row(f"{name}, {way}", [], [])
    sides = [(runners[0], row.bare), (runners[1], row.ours)]
    for runner, _ in sides:
        await measured(runner, way)
    for number in range(rounds):
        for runner, kept in sides if number % 2 == 0 else sides[::-1]:
            kept.append(await measured(runner, way))
            print(f"{row.name}, round {number + 1} of {rounds}: {runner.name}: {kept[-1][0]:,.0f} MiB/s", flush=True)
    return row


def _told(row: Row) -> tuple[str, ...]:
    def span(kept: list[tuple[float, float]]) -> str:
        return f"{min(rate for rate, _ in kept):,.0f}–{max(rate for rate, _ in kept):,.0f}"

    pairs = [(ours[0], bare[0]) for ours, bare in zip(row.ours, row.bare, strict=True)]
    cpu = ", ".join(f"{statistics.median(spent for _, spent in kept):.2f}" for kept in (row.bare, row.ours))
    middle = f"{statistics.median(one / other for one, other in pairs):.2f}"
    return (row.name, span(row.bare), span(row.ours), cpu, middle, str(ratio(pairs)))
