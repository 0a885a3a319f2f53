"""The rules of appeals, tried out in full."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.appeals.rules import EARLIEST, KYIV, LATEST, Event, Number, State, day_before, next_state, remind_at, year_of

YEARS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are bare


def kyiv(text: str) -> float:
    """Seconds since 1970 of a time in Kyiv."""
    return datetime.fromisoformat(text).replace(tzinfo=KYIV).timestamp()


def test_every_event_in_every_state() -> None:
    """An appeal is reminded of once, confirmed once, and a confirmation is final."""
    changes = {
        (state, event): next_state(state, event)
        for state, event in itertools.product(State, get_args(Event))
        if next_state(state, event)
    }
    assert changes == {
        (State.REGISTERED, "remind"): State.REMINDED,
        (State.REGISTERED, "confirm"): State.CONFIRMED,
        (State.REMINDED, "confirm"): State.CONFIRMED,
    }


def test_any_order_of_events_reminds_at_most_once_and_never_after_a_confirmation() -> None:
    """All sequences of up to six events."""
    for length in range(7):
        for events in itertools.product(get_args(Event), repeat=length):
            state, effects = State.REGISTERED, []
            for event in events:
                if (changed := next_state(state, event)) is not None:
                    state = changed
                    effects.append(event)
            assert effects in ([], ["remind"], ["confirm"], ["remind", "confirm"])


@given(st.integers(0, 9999), st.integers(1, 10**18 - 1))
def test_a_number_survives_being_written(year: int, serial: int) -> None:
    """What is printed is read back."""
    assert Number.parse(str(Number(year, serial))) == Number(year, serial)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "УКЦ-2026-1",
        "УКЦ-2026-000000",
        "УКЦ-2026-0000001",
        "укц-2026-000001",
        "УКЦ-2026-000001\n",
        "УКЦ-٢٠٢٦-000001",
    ],
)
def test_what_is_no_number_is_not_read(text: str) -> None:
    """One number has one spelling."""
    assert Number.parse(text) is None


@given(st.text())
def test_reading_never_fails(text: str) -> None:
    """Numbers come from outside."""
    number = Number.parse(text)
    assert number is None or str(number) == text


def test_the_year_is_that_of_kyiv() -> None:
    """Two hours before New Year in UTC it is next year in Kyiv."""
    assert year_of(datetime(2026, 12, 31, 22, 30, tzinfo=UTC).timestamp()) == 2027


@pytest.mark.parametrize(
    ("registered", "due"),
    [
        ("2026-06-01T12:00", "2026-06-02T12:00"),
        ("2026-06-01T09:00", "2026-06-02T09:00"),
        ("2026-06-01T08:59", "2026-06-02T09:00"),
        ("2026-06-01T19:59", "2026-06-02T19:59"),
        ("2026-06-01T20:00", "2026-06-03T09:00"),
        ("2026-06-01T23:59", "2026-06-03T09:00"),
        ("2026-06-01T00:30", "2026-06-02T09:00"),
        ("2026-03-28T12:00", "2026-03-29T13:00"),  # the clock jumps ahead in between
        ("2026-10-24T12:00", "2026-10-25T11:00"),  # and falls back
    ],
)
def test_nobody_is_reminded_at_night(registered: str, due: str) -> None:
    """A day later, moved to the morning where that is not between 9 and 20."""
    assert remind_at(kyiv(registered), urgent=False) == kyiv(due)


@given(YEARS)
def test_a_reminder_is_a_day_later_within_the_hours_and_no_later_than_need_be(registered: datetime) -> None:
    """Whatever the season."""
    due = remind_at(registered.timestamp(), urgent=False)
    hour = datetime.fromtimestamp(due, KYIV).hour
    assert EARLIEST <= hour < LATEST
    assert 24 * 3600 <= due - registered.timestamp() < (24 + 24 - (LATEST - EARLIEST) + 1) * 3600


def test_the_urgent_is_reminded_of_after_an_hour_even_at_night() -> None:
    """Urgent is urgent."""
    assert remind_at(kyiv("2026-06-01T23:30"), urgent=True) == kyiv("2026-06-02T00:30")


@pytest.mark.parametrize(
    ("moment", "day", "hours"),
    [
        ("2026-06-02T06:00", date(2026, 6, 1), 24),
        ("2026-03-30T06:00", date(2026, 3, 29), 23),
        ("2026-10-26T00:00", date(2026, 10, 25), 25),
    ],
)
def test_the_day_before_is_whole_whatever_its_length(moment: str, day: date, hours: int) -> None:
    """Days follow one another without gap or overlap, at changes of the clock too."""
    found, since, until = day_before(kyiv(moment))
    assert (found, (until - since) / 3600) == (day, hours)
