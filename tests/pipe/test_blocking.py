"""Synchronous libraries in threads: bounded, apart from one another, and never longer than their time."""

import asyncio
import contextvars
import threading
from collections.abc import Iterator

import pytest

from pipe import blocking
from pipe.errors import Unreachable


@pytest.fixture(autouse=True)
def no_pools() -> Iterator[None]:
    """Leaves no threads to the next test."""
    yield
    blocking.close_all()


async def test_a_call_returns_what_the_function_returns() -> None:
    """From a thread named after its pool."""
    assert await blocking.run("p", lambda a, b: (threading.current_thread().name.split("_")[0], a + b), 1, 2) == (
        "p",
        3,
    )


async def test_a_call_raises_what_the_function_raises() -> None:
    """The very exception."""
    with pytest.raises(ZeroDivisionError):
        await blocking.run("p", lambda: 1 // 0)


async def test_context_reaches_the_thread() -> None:
    """Whatever logs carry along."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("here")
    assert await blocking.run("p", variable.get) == "here"


async def test_a_pool_is_bounded() -> None:
    """No more than THREADS at the same time; the others wait for their turn."""
    running, most, lock = 0, 0, threading.Lock()
    full, release = threading.Event(), threading.Event()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == blocking.THREADS:
                full.set()
        release.wait(10)
        with lock:
            running -= 1

    calls = [asyncio.create_task(blocking.run("p", work)) for _ in range(3 * blocking.THREADS)]
    await blocking.run("other", full.wait, 10)
    release.set()
    await asyncio.gather(*calls)
    assert most == blocking.THREADS


async def test_a_full_pool_holds_up_no_other() -> None:
    """One partner that hangs is one partner that hangs."""
    release = threading.Event()
    stuck = [asyncio.create_task(blocking.run("stuck", release.wait, 10)) for _ in range(2 * blocking.THREADS)]
    assert await blocking.run("well", lambda: "done", timeout=5) == "done"
    release.set()
    await asyncio.gather(*stuck)


async def test_a_call_ends_with_its_time() -> None:
    """The caller is free; the thread works on."""
    release = threading.Event()
    with pytest.raises(TimeoutError):
        await blocking.run("p", release.wait, 10, timeout=0.01)
    release.set()


async def test_the_wait_for_a_thread_counts() -> None:
    """A call that never began ends with its time too, and never begins afterwards."""
    release, began = threading.Event(), threading.Event()
    stuck = [asyncio.create_task(blocking.run("p", release.wait, 10)) for _ in range(blocking.THREADS)]
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await blocking.run("p", began.set, timeout=0.01)
    release.set()
    await asyncio.gather(*stuck)
    assert not began.is_set()


async def test_a_closed_pool_drops_what_waits() -> None:
    """What runs ends by itself; closing again, or what never was, is harmless."""
    release = threading.Event()
    running = [asyncio.create_task(blocking.run("p", release.wait, 10)) for _ in range(blocking.THREADS)]
    waiting = asyncio.create_task(blocking.run("p", lambda: None))
    await asyncio.sleep(0)
    blocking.close("p")
    blocking.close("p")
    with pytest.raises(Unreachable):
        await waiting
    release.set()
    assert await asyncio.gather(*running) == [True] * blocking.THREADS


async def test_a_cancelled_caller_is_cancelled() -> None:
    """Not mistaken for a closed pool."""
    release = threading.Event()
    call = asyncio.create_task(blocking.run("p", release.wait, 10, timeout=60))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    release.set()


async def test_a_closed_pool_may_be_used_again() -> None:
    """A restarted connection has the same name."""
    await blocking.run("p", lambda: None)
    blocking.close("p")
    assert await blocking.run("p", lambda: "again") == "again"
