"""Schedules by the thousand, and the defects that they must find."""

from __future__ import annotations

import os
import re

import pytest

from tests.simulator.__main__ import main, told
from tests.simulator.mutants import MUTANTS
from tests.simulator.playing import play
from tests.simulator.schedule import written
from tests.simulator.shrinking import shrunk

SCHEDULES, PARTS = (10_000, 80) if os.environ.get("PIPE_DEEP") == "1" else (2_000, 16)
"""how many, in pieces that run side by side, each well within a test's time"""
REPEATED = (1, 30, 45, 6513)
"""the last: a kill overtakes the end that a broken disk would bring"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_promise_holds_in_every_schedule(part: int) -> None:
    """Whatever crashes, fails, answers late or is asked twice; a failure names the command that repeats it."""
    for seed in range(part, SCHEDULES, PARTS):
        report = play(written(seed))
        assert report.findings == [], told(report)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_defect_is_found(mutant: str) -> None:
    """Within two thousand schedules; most within a few dozen."""
    assert any(play(written(seed), mutant).findings for seed in range(2_000))


@pytest.mark.parametrize("seed", REPEATED)
def test_the_same_seed_goes_the_same_way(seed: int) -> None:
    """To the last request and the last word told to a client, whatever ran in between."""
    first = play(written(seed)).trace
    play(written(seed + 1))
    assert play(written(seed)).trace == first


def test_a_failing_schedule_is_made_short() -> None:
    """A list that is gathered twice needs no more than one letter to show it."""
    failed = next(report for seed in range(100) if (report := play(written(seed), "twice")).findings)
    short = shrunk(failed, "twice").schedule
    assert [operation.kind for operation in short.operations] == ["submit"]
    assert len(short.operations[0].facts["letters"]) == 1


def test_a_failure_is_told_with_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is that of a mutant found: good."""
    assert main(["--count", "100", "--mutant", "twice"]) == 0
    again = capsys.readouterr().out.strip().rpartition("\n")[2]
    assert re.fullmatch(r"again: \./dev simulate --seed \d+ --mutant twice", again)
