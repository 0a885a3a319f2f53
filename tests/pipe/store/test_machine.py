"""The journal against a tiny model of itself: whatever is stored, ended, put off and replayed in whatever order."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from sqlalchemy import select

from pipe.contract import Message
from pipe.errors import Refused
from pipe.store import journal, schema
from pipe.store.journal import Entry, Outcome
from pipe.store.store import Store
from pipe.store.transaction import Tx
from pipe.testing import FakeClock

STATIONS = ("out", "other")
ENDS = st.sampled_from(["delivered", "dead", "expired", "discarded"])


class Journal(RuleBasedStateMachine):
    """The model: for each delivery its state and key; in each line only the oldest pending one may go."""

    deliveries = Bundle("deliveries")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.numbers = itertools.count()
        self.clock = FakeClock()
        self.states: dict[int, str] = {}
        self.lines: dict[int, tuple[str, str | None]] = {}
        self.handed: set[int] = set()
        self.counts = {"accepted": 0, **dict.fromkeys(schema.FINAL, 0)}
        self.open()

    def open(self) -> None:
        """Opens the store on the same folder."""
        self.store = Store(Path(self.folder.name), url=None, clock=self.clock)

        async def start() -> None:
            await self.store.open()
            self.store.start()

        self.loop.run_until_complete(start())
        self.store.on_commit = lambda committed: self.handed.update(
            work[2] if isinstance(work, tuple) else work.id for work in committed.ready
        )

    def write(self, unit: Callable[[Tx], Any]) -> Any:
        """Runs one unit."""

        async def run() -> Any:
            return await self.store.write(unit)

        return self.loop.run_until_complete(run())

    def heads(self) -> set[int]:
        """The oldest pending delivery of each line, and all that are in no line."""
        pending = [n for n in sorted(self.states) if self.states[n] not in schema.FINAL]
        first: dict[tuple[str, str], int] = {}
        for n in pending:
            station, key = self.lines[n]
            if key is not None:
                first.setdefault((station, key), n)
        return {n for n in pending if self.lines[n][1] is None or n in first.values()}

    def release(self) -> None:
        """What the model expects of the next in each line."""
        for n in self.heads():
            if self.states[n] == "held":
                self.states[n] = "ready"

    @rule(target=deliveries, key=st.sampled_from([None, "a", "b"]), station=st.sampled_from(STATIONS))
    def accept(self, key: str | None, station: str) -> int:
        """A message for one station."""
        message = Message(f"m{next(self.numbers)}", "r", b"x", received_at=1.0)
        entry = Entry(message, (station,), order_key=key)
        (work,) = self.write(lambda tx: journal.store(tx, entry, self.store.vault))
        waits = any(self.lines[n] == (station, key) and state not in schema.FINAL for n, state in self.states.items())
        self.states[work.id] = "held" if key is not None and waits else "ready"
        self.lines[work.id] = (station, key)
        self.counts["accepted"] += 1
        number: int = work.id
        return number

    @rule(delivery=consumes(deliveries), state=ENDS)
    def end(self, delivery: int, state: str) -> None:
        """An end counts once; a second one changes nothing."""
        error = Refused("no") if state == "dead" else None
        outcome = Outcome(state, error=error, code=error.code if error else None)
        before = self.states[delivery]
        ended = self.write(lambda tx: journal.end(tx, self.work(tx, delivery), outcome, self.store.vault))
        again = self.write(lambda tx: journal.end(tx, self.work(tx, delivery), Outcome("delivered"), self.store.vault))
        assert (ended, again) == (before not in schema.FINAL, False)
        self.states[delivery] = state
        self.counts[state] += 1
        self.release()

    @rule(delivery=deliveries, state=st.sampled_from(["retry", "uncertain"]))
    def put_off(self, delivery: int, state: str) -> None:
        """Only what may go can wait for its next try; its line waits with it."""
        if self.states[delivery] not in ("ready", "retry", "uncertain"):
            return
        outcome = Outcome(state, next_at=self.clock.now() + 10)
        assert self.write(lambda tx: journal.put_off(tx, self.work(tx, delivery), outcome, self.store.vault))
        self.states[delivery] = state

    @rule(delivery=deliveries)
    def make_ready(self, delivery: int) -> None:
        """A waiting one goes at once."""
        if self.states[delivery] in ("retry", "uncertain"):
            assert self.write(lambda tx: journal.make_ready(tx, delivery, "now"))
            self.states[delivery] = "ready"

    @rule()
    def restart(self) -> None:
        """Everything is as it was."""
        self.loop.run_until_complete(self.store.close())
        self.open()

    def work(self, tx: Tx, delivery: int) -> Any:
        """The delivery as the engine has it in hands."""
        ((work,), _) = self.store.loader.works(tx.connection, schema.delivery.c.id == delivery)
        return work

    @invariant()
    def agrees(self) -> None:
        """States, the one that may go in each line, and the ledger are as the model says."""

        async def read() -> Any:
            return await self.store.read(
                lambda c: (
                    {row.id: row.state for row in c.execute(select(schema.delivery.c.id, schema.delivery.c.state))},
                    {row.name: row.n for row in c.execute(select(schema.ledger))},
                )
            )

        states, ledger = self.loop.run_until_complete(read())
        assert states == self.states
        assert all(states[n] == "held" for n in states if states[n] not in schema.FINAL and n not in self.heads())
        assert all(state != "held" for n, state in states.items() if n in self.heads())
        assert ledger == {name: n for name, n in self.counts.items() if n}

    def teardown(self) -> None:
        """Closes what was opened."""
        self.loop.run_until_complete(self.store.close())
        self.loop.close()
        self.folder.cleanup()


class TestJournal(Journal.TestCase):  # type: ignore[misc,valid-type]
    """Runs the machine."""

    settings = settings(max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
