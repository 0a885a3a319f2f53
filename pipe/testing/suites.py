"""Promises that every adapter keeps, as tests to inherit. They need pytest; the fakes beside them do not.

A suite asks a `peer` fixture for the adapter and for the other end of its protocol, the real one wherever possible:

    class TestFtp(FileSinkContract):
        @pytest.fixture
        async def peer(self, ftp_server):
            yield FtpPeer(ftp_server)

Each peer is a class of the test's own that fulfils SourcePeer, SinkPeer, CallerPeer or FilePeer.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self

import pytest

from pipe.contract import Adapter, Duration, Health, Message, Options, Outgoing, Receipt, Sink, Source, Timeout
from pipe.errors import BadHeader, PipeError, StoreUnavailable, Verdict
from pipe.testing.doors import FakeDoor, FakeDoors

__all__ = [
    "CallerContract",
    "CallerPeer",
    "FilePeer",
    "FileSinkContract",
    "SinkContract",
    "SinkPeer",
    "SourceContract",
    "SourcePeer",
]

_DESCRIPTORS = Path("/proc/self/fd")
PATIENCE = 10.0
"""seconds that a promise may take to come true"""


class AdapterPeer(Protocol):
    """The adapter under test and its other end."""

    def make(self) -> Adapter:
        """A new adapter that leads to this peer; not opened."""

    async def leave(self) -> None:
        """The other end goes away: from now on nobody answers."""


class SourcePeer(AdapterPeer, Protocol):
    """Somebody who has messages to give."""

    def make(self) -> Source:
        """A new source that leads to this peer; not opened."""

    @property
    def options(self) -> Options:
        """An instance of the source's Subscription that finds what is offered."""

    async def offer(self, body: bytes) -> None:
        """Puts one message where the source takes it; does not wait until it is taken."""

    async def tick(self) -> None:
        """Lets the time pass that a polling source waits for; nothing to do for others."""

    async def told(self, body: bytes) -> bool:
        """Whether the peer has been told that this message is safe. Asked again and again; does not wait."""

    # Where the protocol carries values: `bytes_of(body)` gives what was offered out of the body that the door got.


class SinkPeer(AdapterPeer, Protocol):
    """Somebody who takes messages."""

    def make(self) -> Sink:
        """A new sink that leads to this peer; not opened."""

    @property
    def target(self) -> Options:
        """An instance of the sink's Target; it may use `message.id`, which differs from message to message."""

    async def received(self) -> list[bytes]:
        """The bodies that arrived so far, in whatever order."""

    # Where the sink takes values: `body_of(bytes)` gives the values that carry these bytes.


class CallerPeer(SinkPeer, Protocol):
    """Somebody who answers."""

    @property
    def answer(self) -> Any:
        """The body of the receipt that its answer becomes."""


class FilePeer(SinkPeer, Protocol):
    """A place where files are put."""

    def put(self, template: str) -> Options:
        """A target that puts to this path."""

    async def files(self) -> dict[str, bytes]:
        """All files there by path, temporary ones too; nothing that the test itself did not cause."""


def outgoing(body: Any, target: Any, number: int = 1, **fields: Any) -> Outgoing:
    """The attempt to deliver one message; `fields` are further fields of Message."""
    message = Message(
        id=f"message-{number}", route="route", body=body, content_type="application/octet-stream", **fields
    )
    timeout = Timeout(connect=Duration(2), read=Duration(2), total=Duration(4))
    return Outgoing(message=message, target=target, id=f"delivery-{number}", attempt=1, timeout=timeout)


def _carried(peer: Any, body: bytes) -> Any:
    """The body as the sink takes it."""
    return peer.body_of(body) if hasattr(peer, "body_of") else body


def _offered(peer: Any, bodies: list[bytes]) -> list[bytes]:
    """What was offered, by what the door got."""
    return [peer.bytes_of(body) for body in bodies] if hasattr(peer, "bytes_of") else bodies


async def _true(question: Callable[[], Any], peer: Any = None) -> None:
    """Returns once the answer is true; fails after PATIENCE."""
    async with asyncio.timeout(PATIENCE):
        while not await question():
            if hasattr(peer, "tick"):
                await peer.tick()
            await asyncio.sleep(0.01)


def _descriptors() -> list[str]:
    """What is open in this process, as far as the system tells."""
    gc.collect()
    opened = []
    for name in _DESCRIPTORS.iterdir() if _DESCRIPTORS.is_dir() else ():
        try:
            opened.append(str(name.readlink()))
        except OSError:
            continue  # the listing itself
    return sorted(opened)


class _AdapterContract:
    """What holds for sources and sinks alike."""

    async def test_closing_before_open_and_twice_is_harmless(self, peer: AdapterPeer) -> None:
        """The engine closes whatever it made, however far it came."""
        adapter = peer.make()
        await adapter.close()
        await adapter.close()
        adapter = peer.make()
        await adapter.open()
        await adapter.close()
        await adapter.close()

    async def test_check_answers_at_any_time(self, peer: AdapterPeer) -> None:
        """Before open, open, closed: a Health, never an exception."""
        adapter = peer.make()
        answers = [await adapter.check()]
        await adapter.open()
        answers.append(await adapter.check())
        await adapter.close()
        answers.append(await adapter.check())
        assert [type(answer) for answer in answers] == [Health] * 3
        assert answers[1] == Health("up")

    async def test_check_tells_that_the_peer_is_gone(self, peer: AdapterPeer) -> None:
        """Down, with a reason for people."""
        adapter = peer.make()
        await adapter.open()
        try:
            await peer.leave()
            health = await adapter.check()
        finally:
            await adapter.close()
        assert (health.state, health.reason != "") == ("down", True)


class SourceContract(_AdapterContract):
    """What every source promises: it tells the peer that a message is safe after `accept` returned, and never else."""

    async def test_what_is_accepted_is_what_was_offered(self, peer: SourcePeer) -> None:
        """Byte for byte, each once, and the peer is told."""
        door = FakeDoor(peer.options)
        async with _Running(peer, door):
            for body in (b"one", b"\x00\xff\r\n two", b"three"):
                await peer.offer(body)
            await _true(lambda: _counted(door, 3), peer)
            await _true(lambda: peer.told(b"three"), peer)
        assert sorted(_offered(peer, door.bodies)) == sorted([b"one", b"\x00\xff\r\n two", b"three"])

    async def test_the_peer_is_told_only_after_the_message_is_safe(self, peer: SourcePeer) -> None:
        """While the store works nobody is told anything."""
        door = FakeDoor(peer.options)
        door.held = asyncio.Event()
        async with _Running(peer, door):
            await peer.offer(b"one")
            await _true(lambda: _knocked(door, 1), peer)
            await asyncio.sleep(0.05)
            before = await peer.told(b"one")
            door.held.set()
            await _true(lambda: peer.told(b"one"), peer)
        assert (before, _offered(peer, door.bodies)) == (False, [b"one"])

    async def test_a_message_that_the_store_refuses_is_not_confirmed(self, peer: SourcePeer) -> None:
        """No acknowledgement for what was not stored."""
        door = FakeDoor(peer.options)
        door.refusals = [StoreUnavailable() for _ in range(10_000)]
        async with _Running(peer, door, may_fail=True):
            await peer.offer(b"one")
            await _true(lambda: _knocked(door, 1), peer)
            await asyncio.sleep(0.05)
            assert not await peer.told(b"one")
        assert door.arrivals == []

    async def test_a_stopped_source_confirms_nothing_more(self, peer: SourcePeer) -> None:
        """Cancelled while the store works: the peer is not told, and gives the message again later."""
        door = FakeDoor(peer.options)
        door.held = asyncio.Event()
        async with _Running(peer, door) as running:
            await peer.offer(b"one")
            await _true(lambda: _knocked(door, 1), peer)
            await running.stop()
            door.held.set()
            await asyncio.sleep(0.05)
            assert not await peer.told(b"one")

    async def test_a_stopped_source_leaves_nothing_open(self, peer: SourcePeer) -> None:
        """No task, no file, no socket survives `close`."""
        before, tasks = _descriptors(), asyncio.all_tasks()
        door = FakeDoor(peer.options)
        async with _Running(peer, door):
            await peer.offer(b"one")
            await _true(lambda: peer.told(b"one"), peer)
        await _true(lambda: _quiet(before, tasks))


class _Running:
    """A source at work for one test."""

    def __init__(self, peer: SourcePeer, door: FakeDoor, *, may_fail: bool = False) -> None:
        self.source, self._doors, self._may_fail = peer.make(), FakeDoors(door), may_fail
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.source.open()
        self._task = asyncio.create_task(self.source.run(self._doors))
        return self

    async def stop(self) -> None:
        """Cancels `run`, as the engine does, and waits for it."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        harmless = isinstance(ended, asyncio.CancelledError) or (self._may_fail and isinstance(ended, PipeError))
        assert harmless, f"run() must end by cancellation or a PipeError, not by {ended!r}"

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.stop()
        finally:
            await self.source.close()


class SinkContract(_AdapterContract):
    """What every sink promises: one attempt is one attempt, and its failure has a name."""

    async def test_what_is_sent_arrives(self, peer: SinkPeer) -> None:
        """Byte for byte."""
        bodies = [b"one", b"\x00\xff\r\n two", "їжак".encode()]
        receipts = await _sent(peer, bodies)
        assert [type(receipt) for receipt in receipts] == [Receipt] * 3
        assert sorted(await peer.received()) == sorted(bodies)

    async def test_many_at_once_all_arrive(self, peer: SinkPeer) -> None:
        """The engine sends as many at the same time as `concurrency` says."""
        bodies = [b"body %d" % number for number in range(8)]
        sink = peer.make()
        await sink.open()
        try:
            await asyncio.gather(
                *(sink.send(outgoing(_carried(peer, body), peer.target, n)) for n, body in enumerate(bodies))
            )
        finally:
            await sink.close()
        assert sorted(await peer.received()) == bodies

    async def test_a_peer_that_is_gone_is_a_named_error(self, peer: SinkPeer) -> None:
        """A PipeError whose verdict keeps the message: nothing was sent, so nothing is uncertain."""
        sink = peer.make()
        await sink.open()
        try:
            await peer.leave()
            with pytest.raises(PipeError) as caught:
                await sink.send(outgoing(_carried(peer, b"one"), peer.target))
        finally:
            await sink.close()
        assert caught.value.verdict in {Verdict.RETRY, Verdict.STOP}

    async def test_whether_repeating_is_harmless_is_known(self, peer: SinkPeer) -> None:
        """A plain yes or no, before anything is sent."""
        assert peer.make().natural(peer.target) in {True, False}

    async def test_a_closed_sink_leaves_nothing_open(self, peer: SinkPeer) -> None:
        """No task, no file, no socket survives `close`."""
        before, tasks = _descriptors(), asyncio.all_tasks()
        await _sent(peer, [b"one"])
        await _true(lambda: _quiet(before, tasks))


class CallerContract(SinkContract):
    """What every caller promises besides: the peer's answer is in the receipt."""

    async def test_the_receipt_holds_the_answer(self, peer: CallerPeer) -> None:
        """As plain values where the adapter understands its content type."""
        sink: Any = peer.make()
        assert sink.answers is True
        (receipt,) = await _sent(peer, [b"one"])
        assert receipt.body == peer.answer


class FileSinkContract(SinkContract):
    """What every sink of files promises besides: whole or not at all, under the name that was meant."""

    async def test_the_same_file_twice_is_one_file(self, peer: FilePeer) -> None:
        """A repeated attempt replaces what the first one put there."""
        await _sent(peer, [b"first", b"second"], peer.put("out/same.txt"))
        assert await peer.files() == {"out/same.txt": b"second"}

    @pytest.mark.parametrize(
        "name",
        [
            "../up", "..", ".", "", "/etc/passwd", "a/b", "a\\b", "..\\up", "a\0b", "a\nb", "a\x7fb", "~root", "CON",
            "nul.txt", "a" * 300,
        ],
    )  # fmt: skip
    async def test_a_name_from_data_stays_a_name(self, peer: FilePeer, name: str) -> None:
        """What would be a path, a device or no name at all is refused, and nothing is put anywhere."""
        sink = peer.make()
        await sink.open()
        try:
            with pytest.raises(BadHeader):
                await sink.send(outgoing(b"x", peer.put("out/${params.name}"), params={"name": name}))
        finally:
            await sink.close()
        assert await peer.files() == {}

    async def test_a_harmless_name_from_data_is_kept(self, peer: FilePeer) -> None:
        """Letters of any alphabet, blanks, dots."""
        sink = peer.make()
        await sink.open()
        try:
            await sink.send(outgoing(b"x", peer.put("out/${params.name}"), params={"name": "звіт №1.v2 (a).txt"}))
        finally:
            await sink.close()
        assert await peer.files() == {"out/звіт №1.v2 (a).txt": b"x"}


async def _sent(peer: SinkPeer, bodies: list[bytes], target: Any = None) -> list[Receipt]:
    sink = peer.make()
    await sink.open()
    try:
        meant = target or peer.target
        return [await sink.send(outgoing(_carried(peer, body), meant, n)) for n, body in enumerate(bodies, 1)]
    finally:
        await sink.close()


async def _counted(door: FakeDoor, count: int) -> bool:
    return len(door.arrivals) >= count


async def _knocked(door: FakeDoor, count: int) -> bool:
    return door.asked >= count


async def _quiet(descriptors: list[str], tasks: set[asyncio.Task[Any]]) -> bool:
    """Whether no more is open and running than then; the peer's own ends count until it has noticed."""
    return len(_descriptors()) <= len(descriptors) and not {task for task in asyncio.all_tasks() - tasks if _ours(task)}


def _ours(task: asyncio.Task[Any]) -> bool:
    return task is not asyncio.current_task()
