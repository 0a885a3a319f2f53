"""`table:`: grouping and sums that are exact, sorting, and plain results."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipe.errors import MappingFailed
from tests.transformers.messages import STEPS, run, step

ROWS = [
    {"region": "Київ", "amount": "0.10", "n": "2"},
    {"region": "Львів", "amount": "100", "n": "10"},
    {"region": "Київ", "amount": "0.20", "n": "9"},
    {"region": "Львів", "amount": "", "n": "1"},
]


@pytest.mark.key("steps.table", "steps.table.group", "steps.table.sum", "steps.table.count", "steps.table.sort")
def test_groups_are_summed_exactly_and_sorted() -> None:
    """0.10 + 0.20 is 0.30: texts of a CSV become exact numbers."""
    config = {"group": "region", "sum": ["amount"], "count": "rows", "sort": "-amount"}
    assert run("table", config, ROWS) == [
        {"region": "Львів", "amount": 100, "rows": 2},
        {"region": "Київ", "amount": Decimal("0.30"), "rows": 2},
    ]


def test_floats_are_taken_by_the_digits_that_they_show() -> None:
    """0.1 + 0.2 is 0.3 here."""
    assert run("table", {"sum": ["v"]}, [{"v": 0.1}, {"v": 0.2}]) == [{"v": Decimal("0.3")}]


@pytest.mark.key("steps.table.mean", "steps.table.min", "steps.table.max")
def test_without_a_group_there_is_one_row() -> None:
    """Totals; a column under several kinds gets names with the kind."""
    config = {"sum": ["n"], "mean": ["n", "amount"], "min": ["n"], "max": ["n"], "count": "rows"}
    assert run("table", config, ROWS) == [
        {"sum_n": 22, "mean_n": Decimal("5.5"), "amount": Decimal("100.30") / 3, "min_n": 1, "max_n": 10, "rows": 4}
    ]


@pytest.mark.key("steps.table.head", "steps.table.select", "steps.table.rename")
def test_sort_head_select_and_rename_keep_the_cells_as_they_are() -> None:
    """Columns of digits sort as numbers, others as text, empty cells last; nothing is converted on the way."""
    assert [row["n"] for row in run("table", {"sort": "n"}, ROWS)] == ["1", "2", "9", "10"]
    assert [row["amount"] for row in run("table", {"sort": "-amount"}, ROWS)] == ["100", "0.20", "0.10", ""]
    config = {"sort": ["region", "-n"], "head": 2, "select": ["n", "region"], "rename": {"n": "N"}}
    assert run("table", config, ROWS) == [{"N": "9", "region": "Київ"}, {"N": "2", "region": "Київ"}]


@pytest.mark.key("steps.table.decimal")
def test_what_is_no_number_names_row_and_column() -> None:
    """Nothing is skipped or made NaN; blanks between thousands and commas are no numbers unless they are declared."""
    for text in ("zz", "1 000", "12,50", "0x10", "1_000", "inf", "٣"):
        with pytest.raises(MappingFailed, match="row 2, column sum") as failed:
            run("table", {"sum": ["sum"]}, [{"sum": "1"}, {"sum": text}])
        assert failed.value.facts["path"] == "body[1].sum"
    assert run("table", {"sum": ["s"], "decimal": ","}, [{"s": "12,50"}, {"s": 1}]) == [{"s": Decimal("13.50")}]


def test_missing_cells_are_null_and_never_nan() -> None:
    """Rows may lack columns; a missing group is a group of its own; a sum of nothing is null."""
    rows = [{"g": "a", "v": None}, {"v": 1}, {"g": None, "v": 2, "w": "x"}]
    assert run("table", {"group": "g", "sum": ["v"]}, rows) == [{"g": "a", "v": None}, {"g": None, "v": 3}]
    assert run("table", {"sort": "v"}, rows) == [
        {"g": None, "v": 1, "w": None}, {"g": None, "v": 2, "w": "x"}, {"g": "a", "v": None, "w": None},
    ]  # fmt: skip


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-(10**30), 10**30) | st.decimals(-1000, 1000, places=2)),
        max_size=20,
    )
)
def test_sums_equal_plain_python(pairs: list[tuple[str, Any]]) -> None:
    """Whatever the size of the numbers, nothing overflows or rounds."""
    rows = [{"g": group, "v": value} for group, value in pairs]
    expected: dict[str, Any] = {}
    for group, value in pairs:
        expected[group] = expected.get(group, 0) + value
    made = run("table", {"group": "g", "sum": ["v"]}, rows) if rows else []
    assert {row["g"]: row["v"] for row in made} == expected
    assert all(type(row["v"]) in (int, Decimal) for row in made)


@pytest.mark.parametrize("body", [b"x", "x", {"a": 1}, [1], [{"a": [1]}], None])
def test_only_a_list_of_flat_objects_is_a_table(body: Any) -> None:
    """Everything else is named, not guessed at."""
    with pytest.raises(MappingFailed):
        run("table", {"sort": "a"}, body)


UNKNOWN = [{"sum": ["x"]}, {"group": "x", "count": "n"}, {"sort": "x"}, {"select": ["x"]}, {"rename": {"x": "y"}}]


@pytest.mark.parametrize("config", UNKNOWN)
def test_an_unknown_column_is_named(config: Any) -> None:
    """A typo is no empty result."""
    with pytest.raises(MappingFailed, match="no column `x`"):
        run("table", config, ROWS)


@pytest.mark.parametrize("config", [{}, {"decimal": ","}, {"group": "a"}, {"head": 0}, {"sums": ["a"]}])
def test_a_table_that_does_nothing_is_refused(config: Any) -> None:
    """When the configuration is read."""
    with pytest.raises(ValidationError):
        step("table", config)


def test_it_runs_in_a_thread() -> None:
    """Pandas is slow to import and to run."""
    assert STEPS["table"].heavy
