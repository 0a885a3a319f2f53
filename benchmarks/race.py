"""Subjects that take turns under the same load, so that a slow moment of the machine slows all of them."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.measures import Measure, Measured
from benchmarks.options import Options

Rounds = dict[str, list[Measured]]


def race(entrants: Mapping[str, Measure], options: Options) -> Rounds:
    """Every entrant in every round, after one second each to warm up; every other round goes the other way round."""
    for measure in entrants.values():
        measure(min(1, options.seconds))
    rounds: Rounds = {name: [] for name in entrants}
    for number in range(options.rounds):
        order = list(entrants) if number % 2 == 0 else list(entrants)[::-1]
        for name in order:
            measured = entrants[name](options.seconds)
            rounds[name].append(measured)
            print(f"round {number + 1} of {options.rounds}: {name}: {measured.rate:,.0f}/s", flush=True)
    return rounds
