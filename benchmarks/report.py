"""Tables from measurements, and their places in docs/benchmarks.md: one marked block for each part."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measures import Measured
from benchmarks.resampled import ratio

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/benchmarks.md"
BEGIN, END = "<!-- measured by ./dev bench {}: do not edit -->", "<!-- end -->"


def race_table(rounds: Mapping[str, Sequence[Measured]], base: str, missing: Mapping[str, str] | None = None) -> str:
    """A row for each subject; ratios are to `base` in the same round. `missing` says why a subject is not there."""
    rows = []
    for name, measured in rounds.items():
        rates = [row.rate for row in measured]
        pairs = [(row.rate, other.rate) for row, other in zip(measured, rounds[base], strict=True)]
        p50, p99 = (statistics.median(getattr(row, field) for row in measured) for field in ("p50", "p99"))
        ratios = [one / other for one, other in pairs]
        middle, least = f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}"
        sure = "" if name == base else str(ratio(pairs))
        rows.append((name, f"{min(rates):,.0f}–{max(rates):,.0f}", f"{p50:.1f}", f"{p99:.1f}", middle, least, sure))
    rows += [(name, why, "", "", "", "", "") for name, why in (missing or {}).items()]
    heads = ("subject", "per second (min–max)", "p50 ms", "p99 ms", f"÷ {base}: median", "min", "mean (95 % interval)")
    return table(heads, rows)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of Markdown."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines)


def circumstances(how: str) -> str:
    """Where, when, of what and how this was measured."""
    machine = f"{os.cpu_count()} cores ({_processor()}), {platform.system()} {platform.release()}"
    python = f"Python {platform.python_version()}"
    today = datetime.now(UTC).date().isoformat()
    return f"Measured {today} at commit {_commit()}, {machine}, {python}; {how}"


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    commit = git("rev-parse", "--short", "HEAD") or "none yet"
    return f"{commit} and what was not committed" if git("status", "--porcelain", "-uno", "--", "*.py") else commit


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def written(page: str, part: str, measured: str) -> str:
    """The page with `measured` in the block of a part; raises ValueError where it has none."""
    mark = BEGIN.format(part)
    before, begin, rest = page.partition(mark)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} has no `{mark}` … `{END}`")
    return f"{before}{mark}\n\n{measured}\n\n{END}{after}"
