"""Generated rows are what the gateway would have written: it counts, checks and delivers them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchmarks.load import BODY
from benchmarks.rows import multiply
from pipe.clock import SystemClock
from pipe.contract import Message
from pipe.operations import ledger
from pipe.store import journal
from pipe.store.journal import Entry, Outcome
from pipe.store.schema import DELIVERED, RETRY, delivery
from pipe.store.store import Store

COPIES = 300


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[Store]:
    """The store of a folder."""
    store = Store(data, url=None, clock=SystemClock())
    await store.open()
    store.start()
    yield store
    await store.close()


async def one_message(data: Path, outcome: Outcome) -> None:
    """A folder with one accepted message on which there was one attempt."""
    async with opened(data) as store:
        message = Message(store.new_id(), "side", BODY, content_type="application/json", received_at=store.clock.now())
        (work,) = await store.write(lambda tx: journal.store(tx, Entry(message, ("spoilt",)), store.vault))
        work.attempts, outcome.output = 1, message
        unit = journal.end if outcome.state == DELIVERED else journal.put_off
        assert await store.write(lambda tx: unit(tx, work, outcome, store.vault))


async def test_copies_that_wait_are_read_back_whole_and_untried(tmp_path: Path) -> None:
    """Each with an id and a checksum of its own, whatever became of the one they were made of."""
    await one_message(tmp_path, Outcome(RETRY, next_at=0))
    multiply(tmp_path, COPIES)
    async with opened(tmp_path) as store:
        works, damaged = await store.read(lambda c: store.loader.works(c, delivery.c.done_at.is_(None), after=1))
    assert (len({work.message.id for work in works}), damaged) == (COPIES, [])
    assert {(work.message.body, work.state, work.attempts, work.output) for work in works} == {(BODY, "ready", 0, None)}


@pytest.mark.parametrize("state", [RETRY, DELIVERED])
async def test_the_ledger_agrees_with_the_copies(tmp_path: Path, state: str) -> None:
    """So that nothing in the gateway finds them odd."""
    await one_message(tmp_path, Outcome(state, next_at=None))
    multiply(tmp_path, COPIES, age_s=86400, gone=state == DELIVERED)
    async with opened(tmp_path) as store:
        found = await store.read(ledger._verified)
        totals = await store.read(ledger.totals_of)
    assert found["wrong"] == []
    assert totals["side"]["accepted"] == COPIES + 1
    assert totals["side"]["delivered" if state == DELIVERED else "pending"] == COPIES + 1
