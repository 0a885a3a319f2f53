"""When to try again: tenacity computes the pauses, the store remembers them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tenacity import RetryCallState, stop_after_attempt, stop_after_delay, wait_exponential
from tenacity.stop import stop_base

from pipe.config.models import Retry


class RetryPolicy:
    """The pauses of one target. `attempts` counts all tries, the first included."""

    def __init__(self, config: Retry, chance: Callable[[], float] = random.random) -> None:
        self._wait = wait_exponential(multiplier=config.first, exp_base=config.factor, max=config.max)
        self._stop: stop_base = stop_after_attempt(config.attempts) | stop_after_delay(config.within)
        self._chance = chance

    def next_pause(self, attempts: int, spent: float) -> float | None:
        """Seconds until the next try after `attempts` tries that took `spent` seconds, pauses included; None: no more.

        The pause is drawn from its upper half, so that messages which failed together do not come back together.
        """
        state = _state(attempts, spent)
        pause = float(self._wait(state)) * (1 - self._chance() / 2)
        return None if self._stop(_state(attempts, spent + pause)) else pause


def longest_span(config: Retry) -> float:
    """The longest time between the first try and the last, in seconds: what `hold` must cover."""
    policy = RetryPolicy(config, chance=lambda: 0.0)
    spent = 0.0
    for attempt in range(1, config.attempts + 1):
        pause = policy.next_pause(attempt, spent)
        if pause is None:
            break
        spent += pause
    return spent


def _state(attempts: int, spent: float) -> RetryCallState:
    state: Any = RetryCallState(None, None, (), {})  # type: ignore[arg-type]  # no function: only its numbers are asked
    state.attempt_number = attempts
    state.outcome_timestamp = state.start_time + spent
    return state  # type: ignore[no-any-return]
