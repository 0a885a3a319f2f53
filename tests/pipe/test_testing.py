"""The fakes keep the engine's promises, and the suites tell a good adapter from a bad one."""

import asyncio
from typing import Any, ClassVar

import pytest

from pipe.contract import Arrival, Message, Outgoing, Receipt, Timeout, turns
from pipe.errors import PeerFailed, StoreUnavailable, TooLarge, Unreachable
from pipe.testing import FakeClock, FakeDoor, FakeDoors, FakeServices, MemorySink, MemorySource
from pipe.testing.memory import MemorySinkConfig, MemorySourceConfig, MemorySubscription, MemoryTarget
from pipe.testing.suites import CallerContract, SourceContract


class MemorySourcePeer:
    """A test that puts messages in."""

    options = MemorySubscription()

    def __init__(self, kind: type[MemorySource] = MemorySource) -> None:
        self.kind = kind
        self.sources: list[MemorySource] = []
        self.puts: dict[bytes, asyncio.Task[Any]] = {}

    def make(self) -> MemorySource:
        """A new adapter that leads here."""
        self.sources.append(self.kind("in", MemorySourceConfig(type="memory_source"), FakeServices()))
        return self.sources[-1]

    async def leave(self) -> None:
        """Nobody is here any more."""
        self.sources[-1].lost = True

    async def offer(self, body: bytes) -> None:
        """One message more to take."""
        self.puts[body] = asyncio.create_task(self.sources[-1].put(body))

    async def tick(self) -> None:
        """Time for the next look."""

    async def told(self, body: bytes) -> bool:
        """Whether it was confirmed."""
        put = self.puts[body]
        return put.done() and not put.cancelled() and put.exception() is None


class TestMemorySource(SourceContract):
    """MemorySource keeps the promises of a source."""

    @pytest.fixture
    def peer(self) -> MemorySourcePeer:
        """Fresh for each promise."""
        return MemorySourcePeer()


class MemorySinkPeer:
    """Looks into what MemorySink kept."""

    target = MemoryTarget()
    answer: ClassVar = {"ok": True}

    def __init__(self, kind: type[MemorySink] = MemorySink) -> None:
        self.kind = kind
        self.sinks: list[MemorySink] = []

    def make(self) -> MemorySink:
        """A new adapter that leads here."""
        self.sinks.append(self.kind("out", MemorySinkConfig(type="memory_sink"), FakeServices()))
        return self.sinks[-1]

    async def leave(self) -> None:
        """Nobody is here any more."""
        self.sinks[-1].failures = [Unreachable() for _ in range(9)]

    async def received(self) -> list[bytes]:
        """What arrived."""
        return [body for sink in self.sinks for body in sink.bodies]


class TestMemorySink(CallerContract):
    """MemorySink keeps the promises of a caller."""

    @pytest.fixture
    def peer(self) -> MemorySinkPeer:
        """Fresh for each promise."""
        return MemorySinkPeer()


class Hasty(MemorySource):
    """A bad source: it confirms before the door has said anything."""

    async def run(self, doors: Any) -> None:
        """Confirms, then asks."""
        while True:
            topic, arrival, answer = await self._waiting.get()
            answer.set_result(None)  # type: ignore[arg-type]
            await self._door(doors, topic).accept(arrival)


async def test_the_suite_finds_a_source_that_confirms_too_early() -> None:
    """A suite that no adapter can fail proves nothing."""
    peer = MemorySourcePeer(Hasty)
    with pytest.raises(AssertionError):
        await SourceContract().test_the_peer_is_told_only_after_the_message_is_safe(peer)


class Deaf(MemorySink):
    """A bad sink: it says it has sent what it has dropped."""

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Sends nothing."""
        return self.reply


async def test_the_suite_finds_a_sink_that_drops() -> None:
    """Nothing arrived, whatever the receipt says."""
    peer = MemorySinkPeer(Deaf)
    with pytest.raises(AssertionError):
        await CallerContract().test_what_is_sent_arrives(peer)


# --- FakeClock


async def test_sleepers_wake_in_order_at_their_own_time() -> None:
    """One long step is as many short ones."""
    clock = FakeClock(now=1000)
    woke: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float, times: int = 1) -> None:
        for _ in range(times):
            await clock.sleep(seconds)
            woke.append((name, clock.now()))

    tasks = [asyncio.create_task(sleeper("b", 5)), asyncio.create_task(sleeper("a", 2, times=3))]
    await clock.sleeping(2)
    await clock.advance(10)
    assert woke == [("a", 1002), ("a", 1004), ("b", 1005), ("a", 1006)]
    assert (clock.now(), clock.asleep) == (1010, 0)
    await asyncio.gather(*tasks)


async def test_the_wall_clock_can_be_set_alone() -> None:
    """Nobody wakes, the monotonic clock stands."""
    clock = FakeClock(now=1000)
    before = clock.monotonic()
    clock.step(-3600)
    assert (clock.now(), clock.monotonic()) == (-2600, before)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    """It neither counts nor wakes."""
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(5))
    await clock.sleeping()
    task.cancel()
    await asyncio.wait([task])
    assert clock.asleep == 0
    await clock.advance(10)


# --- FakeDoor, FakeServices


async def test_a_door_takes_an_identity_once() -> None:
    """Like the real one: the repetition gets the same id."""
    door = FakeDoor()
    first = await door.accept(Arrival(b"a", identity="7"))
    again = await door.accept(Arrival(b"a", identity="7"))
    assert (again.id, again.replayed, door.bodies) == (first.id, True, [b"a"])


async def test_a_door_stores_nothing_of_what_it_refuses() -> None:
    """And takes it when it comes again."""
    door = FakeDoor()
    door.refusals = [StoreUnavailable()]
    with pytest.raises(StoreUnavailable):
        await door.accept(Arrival(b"a", identity="7"))
    assert not (await door.accept(Arrival(b"a", identity="7"))).replayed


async def test_a_spool_has_a_limit(tmp_path: Any) -> None:
    """At the limit it is taken, past it TooLarge; large ones are files."""
    services = FakeServices(folder=tmp_path)
    spool = services.spool(2 << 20)
    await spool.write(b"x" * (2 << 20))
    with pytest.raises(TooLarge):
        await spool.write(b"x")
    body = await spool.finish()
    assert not isinstance(body, bytes)
    assert body.read() == b"x" * (2 << 20)


# --- MemorySink


async def test_a_sink_fails_as_it_is_told() -> None:
    """Unreachable keeps nothing; what failed after it was sent has reached the partner."""
    sink = MemorySinkPeer().make()
    sink.failures = [Unreachable(), PeerFailed()]
    out = Outgoing(Message("m", "r", b"x"), MemoryTarget.model_validate({"put": "a/${message.id}"}), "d", 1, Timeout())
    for kind in (Unreachable, PeerFailed):
        with pytest.raises(kind):
            await sink.send(out)
    await sink.send(out)
    assert (sink.bodies, sink.names) == ([b"x", b"x"], ["a/m", "a/m"])


# --- turns


async def test_turns_come_at_once_and_then_at_their_pace() -> None:
    """A door that a reload adds has its turn at once; one that is gone has none."""
    clock = FakeClock()

    class Every:
        def __init__(self, every: float) -> None:
            self.every = every

    doors = FakeDoors(FakeDoor(Every(10), route="a"), FakeDoor(Every(25), route="b"))
    seen: list[tuple[str, float]] = []
    start = clock.monotonic()

    async def follow() -> None:
        async for door in turns(doors, clock):
            seen.append((door.route, clock.monotonic() - start))  # noqa: PERF401  it never ends

    task = asyncio.create_task(follow())
    await clock.sleeping()
    await clock.advance(26)
    await doors.replace([FakeDoor(Every(100), route="c")])
    await clock.advance(30)
    task.cancel()
    await asyncio.wait([task])
    assert seen == [("a", 0), ("b", 0), ("a", 10), ("a", 20), ("b", 25), ("c", 26)]
