"""Schedules played by several processes: what a seed brings does not depend on who plays it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from loguru import logger

from tests.simulator.disk import PLACE, a_place
from tests.simulator.playing import play
from tests.simulator.schedule import written


def first_that_fails(seeds: Sequence[int], mutant: str | None, jobs: int) -> int | None:
    """The first seed after which something is wrong."""
    # Such processes end without tidying up after themselves.
    with a_place() as place, ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (place,)) as pool:
        try:
            found = pool.map(partial(_fails, mutant=mutant), seeds, chunksize=4)
            return next((seed for seed, fails in zip(seeds, found, strict=True) if fails), None)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(place: str) -> None:
    logger.remove()
    os.environ[PLACE] = place


def _fails(seed: int, mutant: str | None) -> bool:
    return bool(play(written(seed), mutant).findings)
