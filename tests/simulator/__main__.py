"""`./dev simulate`: runs schedules; one that fails is made as short as it can be and told with its command."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from loguru import logger

from tests.simulator.mutants import MUTANTS
from tests.simulator.playing import Report, play
from tests.simulator.schedule import written
from tests.simulator.shrinking import shrunk
from tests.simulator.side_by_side import first_that_fails
from tests.simulator.world import _listen


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where every promise held, 1 where one was broken (with --mutant: where none was)."""
    options = _options().parse_args(arguments)
    logger.remove()
    _listen.cache_clear()
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.count)
    begun = time.perf_counter()
    jobs = 1 if options.trace or len(seeds) == 1 else options.jobs
    failed = _alone(seeds, options) if jobs == 1 else first_that_fails(seeds, options.mutant, jobs)
    if failed is not None:
        report = play(written(failed), options.mutant)
        print(told(report, options.mutant, trace=options.seed is not None or options.trace))
        return int(options.mutant is None)
    seconds = time.perf_counter() - begun
    print(f"{len(seeds)} schedules, nothing found; {seconds:.1f} s, {60 * len(seeds) / seconds:,.0f} a minute")
    return int(options.mutant is not None)


def _alone(seeds: Sequence[int], options: argparse.Namespace) -> int | None:
    """The first seed after which something is wrong."""
    for seed in seeds:
        report = play(written(seed), options.mutant)
        if report.findings:
            return seed
        if options.trace:
            print(*report.trace, sep="\n")
    return None


def told(report: Report, mutant: str | None = None, *, trace: bool = False) -> str:
    """What was found, the shortest way there, and the command that repeats it."""
    short = shrunk(report, mutant)
    lines = [
        f"seed {report.schedule.seed}: {len(report.findings)} findings",
        *(f"  {finding}" for finding in report.findings[:10]),
        f"{len(short.schedule.operations)} of {len(report.schedule.operations)} operations are enough:",
        *(f"  {operation}" for operation in short.schedule.operations),
        *(f"  → {finding}" for finding in short.findings[:3]),
        *(["what happened then:", *(f"  {line}" for line in short.trace)] if trace else []),
        f"again: ./dev simulate --seed {report.schedule.seed}" + (f" --mutant {mutant}" if mutant else ""),
    ]
    return "\n".join(lines)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev simulate", description=__doc__)
    parser.add_argument("--seed", type=int, help="one schedule, with all that happened where it fails")
    parser.add_argument("--count", type=int, default=2000, help="how many schedules (2000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed of these (0)")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="with this defect planted: it must be found")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes that play side by side (one for each core)"
    )
    parser.add_argument("--trace", action="store_true", help="print what happens also where nothing is wrong")
    return parser


if __name__ == "__main__":
    sys.exit(main())
