"""What holds for every test: where nothing may be skipped, when the long sweeps run, and the one PostgreSQL server."""

import gc
import os
from collections.abc import Generator, Iterator

import pytest

from tests import order

MUST_RUN = os.environ.get("PIPE_NO_SKIP") == "1"
DEEP = os.environ.get("PIPE_DEEP") == "1"


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[str]:
    """One PostgreSQL server for all tests of a process. It stands here, as pytest makes one of it for each conftest."""
    from tests.pipe import postgres

    with postgres.server() as folder:
        yield folder


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Ten thousand tests are no garbage: looking for some while they are collected takes as long as to collect them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many workers `-n auto` means."""
    return order.workers()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long files first; leaves the long sweeps out unless they are asked for (`./dev test --deep`)."""
    items.sort(key=lambda item: order.place(item.nodeid))
    if DEEP:
        return
    deep = [item for item in items if item.get_closest_marker("deep")]
    if deep:
        config.hook.pytest_deselected(items=deep)
        items[:] = [item for item in items if item not in deep]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skipped test into a failed one where PIPE_NO_SKIP=1; an expected failure stays one."""
    report = yield
    if not hasattr(report, "wasxfail"):
        refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Does the same for a module that skips itself while it is collected."""
    report = yield
    refuse_skip(report)
    return report


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Changes a skip into a failure that still tells the reason of the skip."""
    if MUST_RUN and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} must run here (PIPE_NO_SKIP=1) but was skipped: {reason}"
