"""The adapter of docs/howto/own-adapter.md behind a bad network."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pipe.contract import Duration, Timeout
from pipe.errors import NoAnswer, PipeError, Unreachable
from pipe.testing import FakeServices, FaultProxy, faults
from pipe.testing.suites import outgoing
from tests.docs.tcp_frames import FramesConfig, TcpFrames
from tests.docs.test_tcp_frames import Till

QUICK = Timeout(connect=Duration(0.5), read=Duration(0.2), total=Duration(0.5))


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    """The partner."""
    running = Till()
    await running.start()
    yield running
    await running.leave()


@pytest.fixture
async def proxy(till: Till) -> AsyncIterator[FaultProxy]:
    """What stands between."""
    async with FaultProxy(("127.0.0.1", till.port)) as proxy:
        yield proxy


async def sent(proxy: FaultProxy) -> str:
    """What one attempt through the proxy brings: an answer, or the name of the error."""
    config = FramesConfig(type="tcp_frames", host="127.0.0.1", port=proxy.port)
    adapter = TcpFrames("till", config, FakeServices())
    try:
        return str((await adapter.send(outgoing(b"one", Till.target)._replace(timeout=QUICK))).body)
    except PipeError as error:
        return type(error).__name__


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (faults.Refuse(), Unreachable),  # nothing was sent
        (faults.AcceptThenClose(), NoAnswer),
        (faults.Cut(after=1), NoAnswer),  # "O": half an answer is none
        (faults.Reset(after=1), NoAnswer),
        (faults.Cut(after=4, towards="server"), NoAnswer),
        (faults.Delay(2, towards="client"), NoAnswer),
        (faults.Rate(2, towards="client"), NoAnswer),  # never silent for long, and never done in time
        (faults.Swallow(), NoAnswer),
        (faults.HalfOpen(), NoAnswer),
    ],
)
async def test_each_fault_has_its_name(proxy: FaultProxy, fault: faults.Fault, name: type[PipeError]) -> None:
    """The name decides whether the engine may send again; healed, the next attempt succeeds."""
    await proxy.turn(fault)
    assert await sent(proxy) == name.__name__
    await proxy.heal()
    assert await sent(proxy) == "OK"


async def test_no_byte_of_an_answer_is_a_success(proxy: FaultProxy) -> None:
    """Wherever it breaks off."""
    for after in range(len(b"OK\n")):
        await proxy.turn(faults.Reset(after=after))
        assert await sent(proxy) == "NoAnswer"
