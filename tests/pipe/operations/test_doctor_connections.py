"""The doctor at a connection: which rung it ends at, how it does at work, and what no adapter can break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Literal

import pytest

from pipe.contract import ConnectionConfig, Health, Rung, Secret
from pipe.errors import NotFound, Unreachable
from pipe.operations.doctor import connections
from pipe.testing.memory import MemoryTarget
from tests.pipe import house as heart
from tests.pipe.house import House
from tests.pipe.operations.hosts import begin, do

ROUTES = """
connections:
  in: {type: memory_source}
  out: {type: laddered, token: "${secret:token}"}
  other: {type: memory_sink}
routes:
  r:
    from: {connection: in}
    to: [{connection: out, put: x}, {connection: out, put: x}, {connection: out, put: y}]
"""


class LadderedConfig(ConnectionConfig):
    """Can be examined."""

    type: Literal["laddered"] = "laddered"
    token: Secret


class Laddered(heart.Sink):
    """A sink whose examination does as the test says."""

    Config: ClassVar[type[ConnectionConfig]] = LadderedConfig
    Target: ClassVar[Any] = MemoryTarget
    rungs: ClassVar[Sequence[Rung]] = ()
    raises: ClassVar[Exception | None] = None
    hangs: ClassVar[bool] = False
    seen: ClassVar[list[Any]] = []
    open_now: ClassVar[int] = 0

    def __init__(self, name: str, config: Any, services: Any) -> None:
        super().__init__(name, config, services)
        Laddered.open_now += 1

    async def close(self) -> None:
        """Counts."""
        Laddered.open_now -= 1

    async def examine(self, uses: Sequence[Any]) -> AsyncIterator[Rung]:
        """The rungs; then it breaks or hangs."""
        self.seen.append([str(use.put) for use in uses])
        for rung in self.rungs:
            yield rung
        if self.raises is not None:
            raise self.raises
        if self.hangs:
            await asyncio.Event().wait()


@pytest.fixture
def laddered(monkeypatch: pytest.MonkeyPatch) -> type[Laddered]:
    """In the catalogue of the house."""
    monkeypatch.setattr(heart, "ADAPTERS", (*heart.ADAPTERS, Laddered))
    fresh: dict[str, Any] = {"rungs": (), "raises": None, "hangs": False, "seen": [], "open_now": 0}
    for name, value in fresh.items():
        monkeypatch.setattr(Laddered, name, value)
    return Laddered


def grades(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and grades."""
    return [(check["check"], check["grade"]) for check in told["checks"]]


async def test_it_says_where_the_ladder_ends(house: House, laddered: type[Laddered]) -> None:
    """The rungs as the adapter told them, how the connection does at work, and the uses of it, each once."""
    await begin(house, ROUTES)
    laddered.rungs = (Rung("name", "ok", "found"), Rung("tcp", "fail", "refused", "start it"))
    (told,) = await do(house, "doctor.connections", names=["out"])
    assert grades(told) == [("at work", "ok"), ("name", "ok"), ("tcp", "fail")]
    assert {name: told[name] for name in ("connection", "type", "well", "fails_at", "running", "failed", "warned")} == {
        "connection": "out", "type": "laddered", "well": False, "fails_at": "tcp", "running": True, "failed": 1,
        "warned": 0,
    }  # fmt: skip
    assert told["checks"][2] == {"check": "tcp", "grade": "fail", "text": "refused", "hint": "start it"}
    assert laddered.seen == [["x", "y"]]
    assert laddered.open_now == 1, "the one that works"


async def test_all_are_looked_at_also_those_that_cannot_be_examined(house: House, laddered: type[Laddered]) -> None:
    """They are opened and asked how they are."""
    await begin(house, ROUTES)
    house.partner("other").down = True
    found = await do(house, "doctor.connections")
    assert [(told["connection"], told["well"]) for told in found] == [("in", True), ("other", False), ("out", True)]
    assert grades(found[1]) == [("at work", "ok"), ("check", "fail")]


async def test_how_it_does_at_work_is_said_first(house: House, laddered: type[Laddered]) -> None:
    """Paused or down, whatever the rungs say now."""
    await begin(house, ROUTES)
    house.engine.connections["out"].note(Health("down", "it was gone"))
    (down,) = await do(house, "doctor.connections", names=["out"])
    assert (grades(down), down["checks"][0]["text"], down["well"]) == ([("at work", "warn")], "down: it was gone", True)
    house.engine.connections["out"].pause()
    (paused,) = await do(house, "doctor.connections", names=["out"])
    assert "pipe resume out" in paused["checks"][0]["hint"]


async def test_secrets_are_masked(house: House, laddered: type[Laddered]) -> None:
    """A partner that repeats our token does not get it onto the screen."""
    (house.folder / "token").write_text("s3cret-of-ours", encoding="utf-8")
    await begin(house, ROUTES.replace("secret:", f"file:{house.folder}/"))
    laddered.rungs = (Rung("sign-in", "fail", "it said: s3cret-of-ours is wrong", "renew s3cret-of-ours"),)
    (told,) = await do(house, "doctor.connections", names=["out"])
    assert ("s3cret" in str(told), told["checks"][1]["text"]) == (False, "it said: *** is wrong")


async def test_a_name_that_is_not_configured(house: House, laddered: type[Laddered]) -> None:
    """It says which there are; nothing is examined."""
    await begin(house, ROUTES)
    with pytest.raises(NotFound, match="there are: in, other, out"):
        await do(house, "doctor.connections", names=["out", "nope"])
    assert laddered.seen == []


@pytest.mark.parametrize(
    ("error", "words"),
    [(Unreachable("gone"), "gone"), (ZeroDivisionError("oops"), "a defect of the adapter: ZeroDivisionError: oops")],
)
async def test_what_an_examination_raises_is_a_finding(
    house: House, laddered: type[Laddered], error: Exception, words: str
) -> None:
    """One adapter's defect hides nothing of the others, and its own adapter is closed."""
    await begin(house, ROUTES)
    laddered.raises = error
    found = await do(house, "doctor.connections")
    assert [told["well"] for told in found] == [True, True, False]
    assert found[2]["checks"][-1] | {"hint": ""} == {"check": "examination", "grade": "fail", "text": words, "hint": ""}
    assert laddered.open_now == 1


async def test_an_examination_that_never_ends_is_ended(
    house: House, laddered: type[Laddered], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it found until then is told."""
    await begin(house, ROUTES)
    monkeypatch.setattr(connections, "PATIENCE_S", 0.05)
    laddered.rungs, laddered.hangs = (Rung("name", "ok", "found"),), True
    (told,) = await do(house, "doctor.connections", names=["out"])
    assert grades(told) == [("at work", "ok"), ("name", "ok"), ("examination", "fail")]
    assert laddered.open_now == 1
