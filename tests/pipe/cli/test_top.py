"""`pipe top`: as much of how it is as fits, with rates."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pipe.cli.frame import Frame
from pipe.cli.top import screen
from pipe.errors import Refused
from tests.pipe.cli.test_commands import gateway, pipe, url
from tests.pipe.house import House
from tests.pipe.operations.hosts import do

__all__ = ["gateway", "url"]


async def look(house: House, *alerts: dict[str, Any]) -> dict[str, Any]:
    """One look, as the command gets it."""
    return {**await do(house, "status"), "alerts": list(alerts)}


async def test_a_look_has_the_verdict_rates_and_the_worst_first(gateway: House) -> None:
    """No more lines than fit, none longer than fits."""
    first = await look(gateway)
    gateway.partner("out").script = [Refused("no such street")]
    await gateway.put('{"k": 1}')
    await gateway.put('{"k": 2}')
    await gateway.done(2)
    gateway.engine.connections["out"]._close(60.0, "down", "it sleeps", "PIPE-2001")
    alert = {"state": "firing", "severity": "critical", "text": "out is down", "began_at": gateway.clock.now()}
    second = {**await look(gateway, alert), "now": first["now"] + 4}
    rows = screen(second, first, 200, 50)
    assert "first of all: out is down: it sleeps" in rows[0]
    assert rows[2].startswith("2 accepted (0.5/s), 1 done (0.2/s), 0 on their way, 1 dead, ")
    assert "CRITICAL: out is down" in rows[4]
    assert [row.split()[:2] for row in rows if row.startswith(("in ", "out "))] == [["out", "down"], ["in", "up"]]
    small = screen(second, first, 20, 5)
    assert (len(small), max(map(len, small)), small[-1]) == (5, 20, "… 8 more lines"[:20])


async def test_it_looks_once_where_nobody_watches(gateway: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """For programs a line of JSON each time."""
    ask = Frame.ask

    def asked(frame: Any, operation: str, **arguments: Any) -> Any:
        return {"alerts": []} if operation == "alerts.list" else ask(frame, operation, **arguments)

    monkeypatch.setattr(Frame, "ask", asked)  # monitoring is not built into this house
    shown = await pipe(gateway, "top")
    assert "All is well: 1 route, 2 connections, nothing waits." in shown.stdout
    assert "\x1b" not in shown.stdout

    def enough(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipe.cli.top.time.sleep", enough)
    told = await pipe(gateway, "top", "--json")
    assert [orjson.loads(line)["well"] for line in told.stdout.splitlines()] == [True]
