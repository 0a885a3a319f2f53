"""Promises of comparing what happened with what was expected."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.trials.matching import differences, fits

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(VALUES)
def test_everything_fits_itself(value: Any) -> None:
    """Whatever it is."""
    assert fits(value, value)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), st.text(max_size=3), VALUES)
def test_more_keys_do_no_harm(expected: dict[str, Any], key: str, value: Any) -> None:
    """A map fits one with more keys."""
    assert fits(expected, {key: value, **expected})


@pytest.mark.parametrize(("expected", "got"), [(1, "1"), (True, 1), ([1], [1, 2]), ({"a": 1}, {"a": 2}), ("x", None)])
def test_what_differs_does_not_fit(expected: Any, got: Any) -> None:
    """Neither other kinds nor other lengths."""
    assert not fits(expected, got)


def test_numbers_are_compared_by_value() -> None:
    """However they are written."""
    assert fits(1.5, Decimal("1.50"))


def test_each_happening_serves_one_expectation() -> None:
    """Two expectations need two deliveries."""
    delivery = {"connection": "b"}
    assert [each.kind for each in differences([delivery, delivery], [delivery])] == ["missing"]


def test_a_loose_expectation_leaves_room_for_a_strict_one() -> None:
    """Whichever stands first: the assignment that satisfies all is found."""
    got = [{"connection": "b", "body": 1}, {"connection": "b", "body": 2}]
    assert differences([{"connection": "b"}, {"connection": "b", "body": 1}], got) == []
