"""The runner behind `pipe test`: sends what `tests:` say through the real engine, with stubs in place of the partners.

What is expected may be partial and in any order. Every delivery, refusal and bad end that happens must be covered by an
expectation, else the test fails; questions (`enrich`, `confirm`) and the reply to the caller need none.
"""

from __future__ import annotations

from pipe.config.models import Configuration
from pipe.engine import Catalogue
from pipe.trials.model import Problem, Reply, Result, Send
from pipe.trials.trial import Tables, run_test

__all__ = ["Problem", "Reply", "Result", "Send", "run_test", "run_tests"]


async def run_tests(
    configuration: Configuration, catalogue: Catalogue, tables: Tables, *, route: str | None = None
) -> list[Result]:
    """The results of all tests, or of those of one route, in the order of the file; each runs on a store of its own."""
    chosen = [test for test in configuration.tests if route in (None, test.route)]
    migrations = tuple(tables)
    return [await run_test(test, configuration, catalogue, migrations) for test in chosen]
