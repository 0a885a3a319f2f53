"""What the command line says, for every part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import PAGE
from benchmarks.subjects import CONNECTIONS, WRK

PICTURE = PAGE.with_name("benchmarks-profile.svg")


@dataclass(frozen=True, slots=True)
class Options:
    """How long and how large."""

    rounds: int = 5
    seconds: float = 5
    waiting: int = 50_000
    """messages of the retry storm"""
    pending: int = 1_000_000
    finished: int = 10_000_000
    rows: int = 1_000_000
    shown: int = 1_000_000
    """finished messages behind the pages of operations; a tenth as many wait"""
    starts: int = 3
    """of each gateway whose restart is timed"""
    pairs: int = 4
    """measurements in a round, where it is about the tail of a distribution"""
    picture: Path = PICTURE
    """where the profile is drawn"""
    only: tuple[str, ...] = ()
    """subjects of a race that were named; none = all"""

    def takes_part(self, subject: str) -> bool:
        """Whether a subject of a race is measured."""
        return not self.only or subject in self.only

    @property
    def load(self) -> str:
        """How the load of a race is put."""
        generator = "wrk" if WRK else "benchmarks/load.py"
        return (
            f"load by {generator}, {CONNECTIONS} connections, bodies of 1 KiB, {self.rounds} rounds of "
            f"{self.seconds:g} s each, the subjects taking turns. Load, backend and subject share the cores: "
            "read the ratios."
        )
