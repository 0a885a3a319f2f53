"""One partner is dead: how late are the messages to another one?"""

from __future__ import annotations

import random
import statistics
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.options import Options
from benchmarks.paced import paced
from benchmarks.processes import until
from benchmarks.report import circumstances, table
from benchmarks.resampled import ratio
from benchmarks.subjects import Gateway, Partner, asked, folder, gateway, partner

MANNERS = {"answering": "answers", "hanging": "hangs: takes everything, answers nothing", "refusing": "refuses"}
RATE, SIDE_RATE = 200, 50
"""messages a second to the living partner, and to the other one"""


@dataclass(frozen=True, slots=True)
class Late:
    """The 99th percentiles of one measurement, in milliseconds."""

    answer: float
    delivery: float


def dead_partner(options: Options) -> str:
    """p99 of a route with the other's partner alive, hanging and refusing; gateways of their own, taking turns."""
    measured: dict[str, list[Late]] = {manner: [] for manner in MANNERS}
    with ExitStack() as stack:
        base = stack.enter_context(folder())
        backend = stack.enter_context(partner("answering"))
        others = {manner: stack.enter_context(partner(manner)) for manner in MANNERS}
        pipes = {
            manner: stack.enter_context(gateway(base / manner, backend.address, other.address))
            for manner, other in others.items()
        }
        for pipe in pipes.values():
            _late(pipe, backend, min(1, options.seconds))
        chance = random.Random(1)
        for number in range(options.rounds * options.pairs):
            for manner in chance.sample(list(MANNERS), len(MANNERS)):
                measured[manner].append(_late(pipes[manner], backend, options.seconds))
                print(f"pair {number + 1}: {manner}: p99 {measured[manner][-1].delivery:.1f} ms", flush=True)
        others["hanging"].process.kill()  # else its gateway would wait, as long as attempts may last, for it to answer
    rows = [_row(manner, measured) for manner in MANNERS]
    heads = ("the other partner", "answer p99 ms", "÷ alive (95 %)", "delivery p99 ms", "÷ alive (95 %)")
    how = circumstances(
        f"{RATE} messages a second to a living partner and {SIDE_RATE} to the other one, for {options.seconds:g} s, "
        f"{options.rounds * options.pairs} times each in turn; times count from when a request was due."
    )
    return f"{how}\n\n{table(heads, rows)}"


def _late(pipe: Gateway, backend: Partner, seconds: float) -> Late:
    before = asked(backend.address)["count"]  # and forgets what was late
    answers, _ = paced(seconds, (pipe.url("timed"), RATE), (pipe.url("side"), SIDE_RATE))
    deliveries: list[float] = []

    def all_there() -> bool:
        told = asked(backend.address)
        deliveries.extend(told["late"])
        return bool(told["count"] - before >= len(answers))

    until(all_there, "the deliveries")
    return Late(_p99(answers), _p99(deliveries))


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


def _row(manner: str, measured: dict[str, list[Late]]) -> tuple[object, ...]:
    cells: list[object] = [MANNERS[manner]]
    for field in ("answer", "delivery"):
        values = [getattr(late, field) for late in measured[manner]]
        alive = [getattr(late, field) for late in measured["answering"]]
        compared = "" if manner == "answering" else ratio(list(zip(values, alive, strict=True)))
        cells += [f"{statistics.median(values):.1f}", compared]
    return tuple(cells)
