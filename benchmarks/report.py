"""Tables from measurements, and their place in docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/benchmarks.md"
BEGIN, END = "<!-- measured by ./dev bench: do not edit -->", "<!-- end -->"


@dataclass(frozen=True, slots=True)
class Measured:
    """One row in one round."""

    rate: float
    """a second"""
    p50: float
    """milliseconds"""
    p99: float


def table(rounds: Mapping[str, Sequence[Measured]], base: str) -> str:
    """A row for each subject; ratios are to `base` in the same round, worst and median of the rounds."""
    lines = [
        f"| subject | per second (min–max) | p50 ms | p99 ms | ÷ {base}: median | min |",
        "|---|---|---|---|---|---|",
    ]
    for name, measured in rounds.items():
        rates = [row.rate for row in measured]
        ratios = [row.rate / other.rate for row, other in zip(measured, rounds[base], strict=True)]
        p50, p99 = (statistics.median(getattr(row, field) for row in measured) for field in ("p50", "p99"))
        cells = (
            f"{min(rates):,.0f}–{max(rates):,.0f}",
            f"{p50:.1f}",
            f"{p99:.1f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f}",
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def circumstances(generator: str, rounds: int, seconds: float) -> str:
    """Where, when and of what this was measured."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    machine = f"{os.cpu_count()} cores ({_processor()}), {platform.system()} {platform.release()}"
    python = f"Python {platform.python_version()}"
    today = datetime.now(UTC).date().isoformat()
    return (
        f"Measured {today} at commit {commit or 'none yet'}, {machine}, {python}; load by {generator}, 64 connections, "
        f"bodies of 1 KiB, {rounds} rounds of {seconds:.0f} s each, the subjects taking turns. "
        "Load, backend and subject share the cores: read the ratios."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def written(page: str, measured: str) -> str:
    """The page with `measured` between its marks; raises ValueError where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE} has no `{BEGIN}` … `{END}`")
    return f"{before}{BEGIN}\n\n{measured}\n\n{END}{after}"
