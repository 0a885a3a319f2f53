"""The same world in Hypothesis' hands: it looks for the shortest way to a broken promise by itself."""

from __future__ import annotations

import gc
import os
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.simulator.looking import look, watch
from tests.simulator.partners import MOODS
from tests.simulator.playing import do, heal
from tests.simulator.revisions import HOUSES, NAMES
from tests.simulator.schedule import CRASHES, PARTNERS, Operation, letter
from tests.simulator.world import Broken, World

PICK = st.integers(0, 999)
THEN = st.sampled_from((0.0, 0.003, 0.03, 0.5, 3.0))
HOUSE = st.shared(st.sampled_from(list(HOUSES)), key="house")


class Gateway(RuleBasedStateMachine):
    """One gateway, its clients, its partners and the people who look after it."""

    world: World | None = None

    @initialize(house=HOUSE, seed=st.integers(0, 2**32))
    def begin(self, house: str, seed: int) -> None:
        """A first start on an empty folder."""
        gc.disable()  # see `play`
        self.house, self.world = house, World(seed, house)
        self.world.outside.watch = watch(self.world)

    def _do(self, kind: str, then: float, **facts: Any) -> None:
        assert self.world is not None
        do(self.world, Operation(kind, then, facts))

    @rule(chance=PICK, count=st.integers(1, 4), then=THEN)
    def submit(self, chance: int, count: int, then: float) -> None:
        """Clients hand in at the same time."""
        self._do("submit", then, letters=[letter(Random(f"{chance}/{n}"), self.house) for n in range(count)])

    @rule(pick=PICK, forged=st.booleans(), then=THEN)
    def repeat(self, pick: int, forged: bool, then: float) -> None:
        """A client hands in again."""
        self._do("repeat", then, pick=pick, forged=forged, times=2)

    @rule(how=st.sampled_from(CRASHES), steps=st.integers(1, 300), then=THEN)
    def crash(self, how: str, steps: int, then: float) -> None:
        """The process dies, now or soon."""
        self._do("crash", then, how=how, steps=steps)

    @rule(partner=st.sampled_from(PARTNERS), mood=st.sampled_from(list(MOODS)), then=THEN)
    def turn(self, partner: str, mood: str, then: float) -> None:
        """A partner changes its ways."""
        self._do("mood", then, partner=partner, mood=mood)

    @rule(then=THEN)
    def mend(self, then: float) -> None:
        """All partners are well, and the disk is."""
        for partner in PARTNERS:
            self._do("mood", 0.0, partner=partner, mood="well")
        self._do("full", then, on=False)

    @rule(then=THEN)
    def fill(self, then: float) -> None:
        """The disk is full."""
        self._do("full", then, on=True)

    @rule(kind=st.sampled_from(("replay", "discard", "resolve")), pick=PICK, then=THEN)
    def decide(self, kind: str, pick: int, then: float) -> None:
        """A person looks after what has stopped."""
        self._do(kind, then, pick=pick)

    @rule(kind=st.sampled_from(("pause", "resume")), name=st.sampled_from(PARTNERS[:4]), then=THEN)
    def switch_connection(self, kind: str, name: str, then: float) -> None:
        """A connection is paused or resumed."""
        self._do(kind, then, name=name)

    @rule(kind=st.sampled_from(("pause", "drain", "resume")), pick=PICK, then=THEN)
    def switch_route(self, kind: str, pick: int, then: float) -> None:
        """A route is paused, drained or resumed."""
        self._do(kind, then, name=HOUSES[self.house][pick % len(HOUSES[self.house])])

    @rule(to=st.sampled_from(NAMES), orphans=st.sampled_from(("keep", "dead")), then=THEN)
    def reload(self, to: str, orphans: str, then: float) -> None:
        """Another configuration is taken up."""
        self._do("reload", then, to=to, orphans=orphans)

    @rule(seconds=st.sampled_from((1.0, 5.0, 30.0)))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self._do("pass", seconds)

    @invariant()
    def promises_hold(self) -> None:
        """What must hold after every step."""
        if self.world is not None:
            assert look(self.world) == []

    def teardown(self) -> None:
        """All is healed, and the outside ledger is drawn up."""
        world, self.world = self.world, None
        try:
            if world is not None:
                assert heal(world) == []
        except Broken as broken:
            raise AssertionError(str(broken)) from broken
        finally:
            if world is not None:
                world.end()
            gc.enable()


DEEP = os.environ.get("PIPE_DEEP") == "1"
TestGateway = pytest.mark.timeout(900)(Gateway.TestCase)
TestGateway.settings = settings(
    max_examples=1000 if DEEP else 60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
