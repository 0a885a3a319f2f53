"""The rules of one-time passwords: every state with every event, and each limit at its number and one beyond."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest
from pydantic import ValidationError

from flows.otp import texts
from flows.otp.rules import (
    LIVE,
    TRIABLE,
    Event,
    Numbers,
    Past,
    State,
    again_at,
    in_a_row,
    locked,
    next_state,
    phone_of,
    wait,
)
from pipe.errors import BadRequest

NOW, N = 1_800_000_000.0, Numbers()
FINAL = tuple(state for state in State if state not in LIVE)


def sent(*ago: float, state: State = State.EXPIRED, wrong: int = 0) -> list[Past]:
    """Codes that were asked for so many seconds ago, and ended at once."""
    return [Past(NOW - each, state, wrong, NOW - each) for each in ago]


def test_every_state_meets_every_event() -> None:
    """What is final stays so; a live one ends in one way by each event."""
    met = {(state, event): next_state(state, event) for state, event in itertools.product(State, get_args(Event))}
    assert all(after is None for (state, _), after in met.items() if state in FINAL)
    assert {after for (_, event), after in met.items() if event == "over"} == {State.EXPIRED, None}
    for state in LIVE:
        assert met[state, "again"] is State.REPLACED
        assert met[state, "right"] == (State.RIGHT if state in TRIABLE else None)
        assert met[state, "wrong"] == (state if state in TRIABLE else None)
        assert met[state, "last_wrong"] == (State.BURNED if state in TRIABLE else None)
    assert met[State.SENT, "refused"] is None, "what Telegram has taken did not fail"
    assert (met[State.WAITING, "made"], met[State.SENDING, "delivered"]) == (State.SENDING, State.SENT)


def test_each_further_code_waits_longer() -> None:
    """60 s, 120 s, 300 s; what nobody got, and nobody else knows of, makes nobody wait."""
    assert wait([], NOW, N) is None
    one = sent(59)
    assert wait(one, NOW, N) is not None
    assert again_at(one, NOW, N) == NOW + 1
    assert wait(sent(60), NOW, N) is None
    assert again_at(sent(200, 100), NOW, N) == NOW + 20
    assert wait([Past(NOW - 1, State.FAILED, 0, NOW, free=True)], NOW, N) is None
    assert wait([Past(NOW - 1, State.FAILED, 0, NOW)], NOW, N) is not None


@pytest.mark.parametrize(
    ("most", "span", "between"), [(N.a_quarter, 900.0, 290.0), (N.an_hour, 3600.0, 700.0), (N.a_day, 86400.0, 8000.0)]
)
def test_only_so_many_in_so_much_time(most: int, span: float, between: float) -> None:
    """At the number it is over, one before it is not; the first to be forgotten frees a place."""
    ago = [301 + n * between for n in range(most)]
    found = wait(sent(*ago), NOW, N)
    assert found is not None
    assert (found.why, found.until) == ("often", NOW - ago[-1] + span)
    assert wait(sent(*ago[:-1]), NOW, N) is None


def test_burned_codes_in_a_row_lock_for_an_hour() -> None:
    """Two do not, a right one between does not, and what was replaced does not count."""
    burned = sent(9000, 8000, 7000 - 5000, state=State.BURNED)
    lock = locked(burned, NOW, N)
    assert lock is not None
    assert (lock.why, lock.until) == ("burned", NOW - 2000 + 3600)
    assert locked(burned[1:], NOW, N) is None
    assert locked([*burned, *sent(2500, state=State.RIGHT)], NOW, N) is None
    assert locked([*burned, *sent(2500, state=State.REPLACED)], NOW, N) == lock
    assert locked(burned, NOW + 1600, N) is None


def test_wrong_codes_of_a_day_lock_for_a_day() -> None:
    """The tenth does; the lock lasts from it on, and does not lift itself as the first ones leave the day."""
    nine = sent(80000, 50000, 30000, wrong=3)
    assert locked(nine, NOW, N) is None
    ten = [*nine, *sent(10000, wrong=1)]
    lock = locked(ten, NOW, N)
    assert lock is not None
    assert (lock.why, lock.until) == ("wrong", NOW - 10000 + 86400)
    assert locked(ten, NOW + 70000, N) == lock
    assert locked(ten, NOW + 76400, N) is None


def test_wrong_ones_are_counted_until_a_right_one() -> None:
    """Over codes of any end."""
    assert in_a_row([]) == 0
    past = [*sent(500, wrong=3), *sent(400, state=State.RIGHT, wrong=1), *sent(300, 200, wrong=2)]
    assert in_a_row(past) == 4


def test_numbers_have_bounds() -> None:
    """A code of five digits, a life of eleven minutes, six tries: none of them can be set."""
    for wrong in ({"digits": 5}, {"lasts": 601}, {"tries": 6}, {"wrong_ever": 101}, {"nothing": 1}):
        with pytest.raises(ValidationError):
            Numbers.model_validate(wrong)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("067 123-45-67", "+380671234567"), ("380671234567", "+380671234567"), ("+38 (067) 123 45 67", "+380671234567"),
        ("+4915112345678", "+4915112345678"), ("067", None), ("", None), ("none", None), ("+0671234567", None),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(written: str, number: str | None) -> None:
    """One spelling of each, or none."""
    assert phone_of(written) == number


def test_templates_say_what_they_may() -> None:
    """All variables of the usual texts are known; what is as usual is not kept; mistakes are named."""
    for name, versions in texts.DEFAULTS.items():
        for text in versions.values():
            assert texts.mended(name, text) == text
    assert texts.checked({"code": {"uk": texts.DEFAULTS["code"]["uk"], "en": " "}}) == {}
    assert texts.checked({"code": {"uk": "{code}!"}}) == {"code": {"uk": "{code}!"}}
    for wrong, words in (
        ({"code": {"uk": "без"}}, "must stand"), ({"right": {"en": "{code}"}}, "no variable"),
        ({"x": {}}, "no template"),
        ({"code": {"uk": "{code}" + "x" * 1000}}, "signs"),
    ):  # fmt: skip
        with pytest.raises(BadRequest, match=words):
            texts.checked(wrong)
    assert texts.filled("{code} {other}", code="1") == "1 {other}"
    for versions in (*texts.FIXED.values(), *texts.PURPOSES.values()):
        assert set(versions) == set(texts.LANGUAGES)
