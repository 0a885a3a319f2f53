"""Tables, durations and times for people."""

from __future__ import annotations

import io
import time
from datetime import datetime

import pytest

from pipe.cli.text import KYIV, Bar, counted, duration, moment, size, table
from pipe.cli.times import moment_of
from pipe.errors import BadRequest


def test_columns_stand_under_one_another_and_numbers_to_the_right() -> None:
    """Whatever is empty is a dash."""
    assert (
        table(("name", "n"), [["a", 5], ["long", 1234], [None, 0]])
        == "NAME      N\na         5\nlong  1,234\n-         0"
    )


def test_a_table_without_rows_is_no_text() -> None:
    """The command says in words that there is nothing."""
    assert table(("a",), []) == ""


def test_what_others_wrote_cannot_move_the_cursor() -> None:
    """Control signs become blanks."""
    assert "\x1b" not in table(("a",), [["x\x1b[2J\n"]])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"),
        (0.0123, "12 ms"),
        (5, "5 s"),
        (119, "119 s"),
        (180, "3 min"),
        (7500, "2 h 5 min"),
        (200000, "2 d 7 h"),
    ],
)
def test_durations_are_in_the_unit_that_fits(seconds: float | None, words: str) -> None:
    """No more digits than a person needs."""
    assert duration(seconds) == words


def test_sizes_and_counts() -> None:
    """With their units and plurals."""
    assert (size(512), size(1536), size(5 << 30), counted(1, "row"), counted(2000, "row")) == (
        "512 B", "1.5 KiB", "5.0 GiB", "1 row", "2,000 rows",
    )  # fmt: skip


def test_a_moment_of_another_day_has_its_date() -> None:
    """In Kyiv."""
    noon = datetime(2026, 11, 23, 12, tzinfo=KYIV).timestamp()
    assert (moment(noon, now=noon + 60), moment(noon, now=noon + 86400)) == ("12:00:00", "2026-11-23 12:00:00")


def test_times_are_read_as_people_write_them() -> None:
    """How long ago, a date, a time of a date, a time of today."""
    assert abs((moment_of("2h") or 0) - (time.time() - 7200)) < 5
    assert moment_of("2026-11-23 18:00") == datetime(2026, 11, 23, 18, tzinfo=KYIV).timestamp()
    assert moment_of("2026-11-23T16:00:00+00:00") == datetime(2026, 11, 23, 18, tzinfo=KYIV).timestamp()
    assert moment_of("18:00") == datetime.now(KYIV).replace(hour=18, minute=0, second=0, microsecond=0).timestamp()
    assert moment_of(None) is None


def test_a_time_that_is_none_is_refused_with_the_forms_there_are() -> None:
    """Not with a stack trace."""
    with pytest.raises(BadRequest, match="write `2h`"):
        moment_of("yesterday")


def test_progress_says_nothing_where_nobody_waits() -> None:
    """A short command leaves standard error alone."""
    out = io.StringIO()
    with Bar(out) as bar:
        bar.show(1, 1, "done")
    assert out.getvalue() == ""
