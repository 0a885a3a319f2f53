"""The tests find the defects: each mutant of docs/promises.md is planted in a copy of the tree, and a test goes red."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import mutants
from tests.mutants import Edit, Mutant
from tests.promises import ROOT, Promise, exists, promises, wrong

SAMPLE = ("key_in_another_transaction", "http_ack_before_accept", "ledger_counter_skipped")
"""planted on every run"""
HANGS_S = 150
"""a test that does not end is red, too"""
LEFT_OUT = shutil.ignore_patterns(".*", "data", "node_modules")
"""what is compiled goes along, as it is good for all files but the one that is changed"""
PAIRS = [(row, name) for row in promises() for name in row.mutants]


def test_every_promise_has_tests_and_mutants_that_fit() -> None:
    """What `python -m tests.promises` says."""
    assert wrong() == []


def outcome(tree: Path, row: Promise) -> tuple[int, str]:
    """Pytest's exit code and words for the tests of a promise."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PIPE_"))}
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-x",
                "-p",
                "no:cacheprovider",
                "-m",
                "not postgres",
                "--timeout",
                "60",
                *row.tests,
            ],
            cwd=tree,
            env={**clean, "PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
            check=False,
            timeout=HANGS_S,
        )
    except subprocess.TimeoutExpired:
        return 1, f"1 failed: it was still running after {HANGS_S} s"
    return done.returncode, done.stdout[-3000:]


def found(tmp_path: Path, row: Promise, name: str) -> None:
    """Fails where the tests of the promise stay green with the mutant planted."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
    mutants.every()[name].plant(tree)
    code, words = outcome(tree, row)
    assert (code, re.search(r"\d+ failed", words) is not None) == (1, True), f"{name} was not found:\n{words}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SAMPLE)
def test_a_planted_defect_is_found(tmp_path: Path, name: str) -> None:
    """A sample on every run."""
    row = next(row for row, mutant in PAIRS if mutant == name)
    found(tmp_path, row, name)


@pytest.mark.deep
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("row", "name"), PAIRS, ids=[f"{row.number}-{name}" for row, name in PAIRS])
def test_every_planted_defect_is_found(tmp_path: Path, row: Promise, name: str) -> None:
    """All of them, against each promise that names them."""
    found(tmp_path, row, name)


# --- the check itself can fail


def test_a_mutant_whose_place_is_gone_or_there_twice_does_not_fit(tmp_path: Path) -> None:
    """It changes nothing then."""
    (tmp_path / "a.py").write_text("one\ntwo\ntwo\n", encoding="utf-8")
    assert Mutant("m", "s", (Edit("a.py", "one", "1"),)).fits(tmp_path) == ""
    for old in ("two", "three", "on"):
        mutant = Mutant("m", "s", (Edit("a.py", "one", "1"), Edit("a.py", old, "x")))
        assert "a.py" in mutant.fits(tmp_path)
        with pytest.raises(ValueError, match="times"):
            mutant.plant(tmp_path)
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == "one\ntwo\ntwo\n"


def test_a_planted_mutant_changes_whole_lines(tmp_path: Path) -> None:
    """Several places of a file, one after the other."""
    (tmp_path / "a.py").write_text("one\ntwo\nthree\n", encoding="utf-8")
    Mutant("m", "s", (Edit("a.py", "one\ntwo", "1"), Edit("a.py", "three", ""))).plant(tmp_path)
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == "1\n"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("| 1 | It holds. |  | `order_ignored` |", "promise 1 has no test"),
        ("| 1 | It holds. | `tests/test_promises.py::test_nothing` | `order_ignored` |", "there is no test"),
        ("| 1 | It holds. | `tests/test_promises.py::outcome` | `order_ignored` |", "there is no test"),
        ("| 1 | It holds. | `tests/test_nowhere.py::test_x` | `order_ignored` |", "there is no test"),
        ("| 1 | It holds. | `tests/test_promises.py::test_a_planted_defect_is_found` |  |", "promise 1 has no mutant"),
        (
            "| 1 | It holds. | `tests/test_promises.py::test_a_planted_defect_is_found` | `none` |",
            "there is no mutant none",
        ),
        ("| 2 | It holds. | `tests/test_promises.py::test_a_planted_defect_is_found` | `order_ignored` |", "numbered"),
        ("", "holds no promise"),
    ],
)
def test_a_page_that_claims_too_much_is_told_so(tmp_path: Path, row: str, said: str) -> None:
    """A promise without a test, or with one that is not there."""
    page = tmp_path / "promises.md"
    page.write_text(f"{row}\n", encoding="utf-8")
    assert any(said in each for each in wrong(page))


def test_tests_of_classes_and_parameters_are_found() -> None:
    """`Class::test` and `test[id]` are tests."""
    assert exists("tests/docs/test_tcp_frames.py::TestTcpFrames::test_silence_ends_with_the_time_out")
    assert exists("tests/test_promises.py::test_a_planted_defect_is_found[order_ignored]")


def test_a_mutant_that_is_not_well_written_is_refused(tmp_path: Path) -> None:
    """A sentence first, then places with something to take out."""
    path = tmp_path / "m.mutant"
    for text in ("Sentence.\n", "Sentence.\n@ a.py\n+x\n", "Sentence.\n@ a.py\n-x\nwhat\n"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"m\.mutant"):
            mutants.read(path)
