"""The door: what is refused leaves nothing, what is accepted is on disk, and repetitions are recognised."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from pipe.contract import Arrival
from pipe.errors import (
    Draining,
    KeyMissing,
    KeyReused,
    MappingFailed,
    NoCredentials,
    PipeError,
    QueueFull,
    SchemaMismatch,
    StoreFull,
    TooLarge,
    Undecodable,
)
from pipe.store import schema
from pipe.store.batch import Rows
from pipe.store.codec import unpack
from tests.pipe.house import House

HEAD = """
connections:
  in: {type: memory_source}
  files: {type: folder}
  out: {type: memory_sink, breaker: false}
limits: {disk_floor: 1B}
"""
STEPS = """
    steps: [{decode: json}, {check: a.json}]
    to: {connection: out, put: x}
"""
PLAIN = HEAD + "routes:\n  r:\n    from: {connection: in, max_body: 1KiB}" + STEPS
TABLES = (
    schema.message,
    schema.delivery,
    schema.idempotency,
    schema.identity,
    schema.dead_letter,
    schema.ledger,
    schema.attempt,
)


async def rows(house: House) -> int:
    """How many rows there are in all tables that a message touches."""
    return sum([await house.count(table) for table in TABLES])


async def hold(house: House) -> None:
    """Lets everything in and nothing out."""
    house.engine.switches.routes.add("r")


@pytest.mark.parametrize(
    ("body", "error"),
    [(b"{", Undecodable), (b'{"b": 1}', SchemaMismatch), (b'{"a": "' + b"x" * 1100 + b'"}', TooLarge)],
)
async def test_what_is_refused_leaves_nothing(house: House, body: bytes, error: type[PipeError]) -> None:
    """Decode, check and the limit come before the commit."""
    await house.start(PLAIN)
    with pytest.raises(error):
        await house.put(body, identity="i")
    assert await rows(house) == 0


async def test_a_key_of_order_that_cannot_be_computed_refuses(house: House) -> None:
    """Nothing may be stored as accepted whose order is not known."""
    await house.start(PLAIN.replace("    steps:", '    order_by: "to_int(body.a)"\n    steps:'))
    with pytest.raises(MappingFailed):
        await house.put(b'{"a": "x"}')
    assert await rows(house) == 0


async def test_a_source_that_cannot_be_refused_leaves_a_dead_letter_with_the_original(house: House) -> None:
    """What a file says is kept as it came, with the step that refused it; the same file is taken once."""
    await house.start(PLAIN.replace("connection: in", "connection: files"))
    first = await house.put(b'{"b": 1}', identity="file 1")
    again = await house.put(b'{"b": 1}', identity="file 1")
    (row,) = await house.done(1)
    (dead,) = await house.rows(select(schema.dead_letter))
    (message,) = await house.rows(select(schema.message))
    assert (row["state"], row["attempts"], again.id) == ("dead", 0, first.id)
    assert (dead["class"], dead["step"]) == ("schema_mismatch", "routes.r.steps[1]")
    assert unpack(message["kind"], message["body"], house.store.blobs, house.store.vault, message["id"]) == b'{"b": 1}'
    assert await house.rows(select(schema.attempt)) == []


@pytest.mark.key("routes.queue", "routes.queue.messages")
async def test_a_full_route_refuses_and_says_when_to_come_back(house: House) -> None:
    """`queue: messages` counts pending deliveries; there is room again once one is delivered."""
    await house.start(PLAIN.replace("    steps:", "    queue: {messages: 2}\n    steps:"))
    await hold(house)
    for _ in range(2):
        await house.put(b'{"a": 1}')
    with pytest.raises(QueueFull) as refused:
        await house.put(b'{"a": 1}')
    assert refused.value.retry_after == 5
    await house.engine.switches.set("route", "r", None)
    await house.done(2)
    await house.put(b'{"a": 1}')


@pytest.mark.key("routes.queue.bytes")
async def test_a_route_full_of_bytes_refuses(house: House) -> None:
    """`queue: bytes` counts the bodies."""
    await house.start(PLAIN.replace("    steps:", "    queue: {bytes: 20B}\n    steps:"))
    await hold(house)
    await house.put(b'{"a": 123456}')
    with pytest.raises(QueueFull, match="13 bytes"):
        await house.put(b'{"a": 1}')


@pytest.mark.key("top.limits", "limits.pending", "limits.pending.messages")
async def test_the_gateways_cap_counts_all_routes(house: House) -> None:
    """`limits: pending` holds over routes, and over a restart."""
    text = (
        PLAIN.replace("{disk_floor: 1B}", "{disk_floor: 1B, pending: {messages: 1}}")
        + "  s:\n    from: {connection: in, topic: s}"
        + STEPS
    )
    await house.start(text)
    await hold(house)
    await house.put(b'{"a": 1}')
    with pytest.raises(QueueFull, match="in the gateway"):
        await house.put(b'{"a": 1}', "s")
    await house.crash()
    await house.start(text.replace("    to:", "    deadline: 1s\n    to:"))
    assert house.engine.room.load("r").messages + house.engine.room.load("s").messages >= 0


@pytest.mark.key("limits.disk_floor")
async def test_below_the_disk_floor_nothing_is_accepted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """StoreFull with a time to come back; accepting goes on by itself when there is room."""
    await house.start(PLAIN.replace("1B}", "1MiB}"))
    monkeypatch.setattr(house.store, "free_bytes", lambda: 1000)
    await house.until(lambda: _looked(house, 1000))
    with pytest.raises(StoreFull, match="1000 bytes are free") as refused:
        await house.put(b'{"a": 1}')
    assert refused.value.retry_after == 30
    monkeypatch.undo()
    await house.until(lambda: _looked(house, None))
    await house.put(b'{"a": 1}')
    await house.done(1)


async def _looked(house: House, low: int | None) -> bool:
    await house.pass_time(6)
    return house.engine.room.disk_low == low


async def test_a_stopping_gateway_takes_nothing(house: House) -> None:
    """Draining, and nothing is stored."""
    await house.start(PLAIN)
    house.engine.draining = True
    with pytest.raises(Draining) as refused:
        await house.put(b'{"a": 1}')
    assert (refused.value.retry_after, await rows(house)) == (5, 0)


KEYED = PLAIN.replace("    steps:", "    idempotency: {key: headers.k, window: 1h}\n    steps:")


@pytest.mark.key("routes.idempotency", "routes.idempotency.key")
async def test_the_same_key_with_the_same_body_is_the_same_message(house: House) -> None:
    """D1: one id, one delivery, however often and however much at once."""
    await house.start(KEYED)
    answers = await asyncio.gather(*(house.put(b'{"a": 1}', headers={"k": "1"}) for _ in range(50)))
    answers.append(await house.put(b'{"a": 1}', headers={"k": "1"}))
    await house.done(1)
    assert len({answer.id for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert len(house.partner("out").asked) == 1


async def test_the_same_key_with_another_body_is_refused(house: House) -> None:
    """Also where it came to another path; nothing more is stored."""
    await house.start(KEYED)
    await house.put(b'{"a": 1}', headers={"k": "1"}, fingerprint="POST /a")
    for body, fingerprint in ((b'{"a": 2}', "POST /a"), (b'{"a": 1}', "POST /b")):
        with pytest.raises(KeyReused):
            await house.put(body, headers={"k": "1"}, fingerprint=fingerprint)
    await house.done(1)


async def test_keys_of_two_callers_are_two_keys(house: House) -> None:
    """The scope is route and caller."""
    await house.start(KEYED)
    ids = {(await house.put(b'{"a": 1}', headers={"k": "1"}, caller=caller)).id for caller in ("a", "b", None)}
    assert len(ids) == 3


@pytest.mark.key("routes.idempotency.window")
async def test_a_key_is_forgotten_after_its_window(house: House) -> None:
    """Then the same key is a new message."""
    await house.start(KEYED)
    first = await house.put(b'{"a": 1}', headers={"k": "1"})
    await house.pass_time(3590)
    assert (await house.put(b'{"a": 1}', headers={"k": "1"})).id == first.id
    await house.pass_time(20)
    assert (await house.put(b'{"a": 2}', headers={"k": "1"})).id != first.id


async def test_a_key_survives_a_restart(house: House) -> None:
    """L4: after a crash the same key is still the same message."""
    await house.start(KEYED)
    first = await house.put(b'{"a": 1}', headers={"k": "1"})
    await house.crash()
    await house.start(KEYED)
    assert (await house.put(b'{"a": 1}', headers={"k": "1"})).id == first.id


async def test_a_key_is_kept_with_its_message_or_not_at_all(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that fails after the message was written leaves neither."""
    await house.start(KEYED)
    monkeypatch.setattr("pipe.door._KEYS", Rows("no_such_table", "scope", "message", "fingerprint", "expires_at"))
    with pytest.raises(Exception, match="no_such_table"):
        await house.put(b'{"a": 1}', headers={"k": "1"})
    assert await rows(house) == 0
    monkeypatch.undo()
    assert not (await house.put(b'{"a": 1}', headers={"k": "1"})).replayed


@pytest.mark.key("routes.idempotency.required")
async def test_a_missing_key_is_refused_where_it_is_demanded(house: House) -> None:
    """`required: true`."""
    await house.start(KEYED.replace("window: 1h", "required: true"))
    with pytest.raises(KeyMissing):
        await house.put(b'{"a": 1}')
    assert await rows(house) == 0


async def test_the_protocols_own_name_of_an_arrival_is_taken_once(house: House) -> None:
    """A webhook that is repeated gets the same id; another name is another message."""
    await house.start(PLAIN)
    first = await house.put(b'{"a": 1}', identity="update 1")
    again = await house.put(b'{"a": 1}', identity="update 1")
    other = await house.put(b'{"a": 1}', identity="update 2")
    assert (again.id, again.replayed, other.replayed) == (first.id, True, False)
    await house.done(2)


TWO_ROUTES = PLAIN + PLAIN.partition("routes:\n")[2].replace("  r:", "  s:", 1)


async def test_what_may_be_used_once_is_refused_the_second_time_even_after_a_crash(house: House) -> None:
    """A nonce: whatever the route, the second leaves nothing, another passes, one that was refused is not used up."""
    await house.start(TWO_ROUTES)
    with pytest.raises(Undecodable):
        await house.put(b"{", once="nonce 1")
    await house.put(b'{"a": 1}', once="nonce 1")
    await house.crash()
    await house.start(TWO_ROUTES)
    for route in ("r", "s"):
        with pytest.raises(NoCredentials):
            await house.put(b'{"a": 1}', route=route, once="nonce 1")
    await house.put(b'{"a": 1}', route="s", once="nonce 2")
    assert len(await house.states()) == 2


async def test_a_message_without_a_key_of_order_is_unordered(house: House) -> None:
    """Null is no key: a waiting message holds nobody up."""
    from pipe.errors import PeerFailed

    await house.start(PLAIN.replace("    steps:", "    order_by: body.k\n    steps:"))
    house.partner("out").script = [PeerFailed("no")]
    await house.put(b'{"a": 1}')
    await house.reaches("retry")
    await house.put(b'{"a": 2}')
    await house.reaches("retry", "delivered")


async def test_the_deadline_is_set_at_acceptance(house: House) -> None:
    """Absolute, so that it survives everything."""
    await house.start(PLAIN.replace("    steps:", "    deadline: 6h\n    steps:"))
    await hold(house)
    await house.put(b'{"a": 1}')
    (row,) = await house.deliveries()
    assert row["expires_at"] == house.clock.now() + 6 * 3600


async def test_a_store_that_refuses_accepts_nothing(house: House) -> None:
    """Never an acknowledgement: the caller hears of the store's failure."""
    await house.start(PLAIN)
    house.store.writer.failed = StoreFull("no room")  # type: ignore[assignment]
    with pytest.raises(StoreFull):
        await house.put(b'{"a": 1}')
    house.store.writer.failed = None
    assert await rows(house) == 0


async def test_a_caller_that_goes_away_leaves_its_message(house: House) -> None:
    """The commit may have happened: the message is worked on, as nobody can tell otherwise."""
    await house.start(PLAIN)
    task = asyncio.create_task(house.put(b'{"a": 1}'))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await house.done(1)
    assert len(house.partner("out").taken) == 1


async def test_a_message_that_arrives_while_its_route_is_removed_is_refused(house: House) -> None:
    """A door of yesterday's configuration leads nowhere, politely."""
    await house.start(PLAIN + "  s:\n    from: {connection: in, topic: s}" + STEPS)
    door = house.door("s")
    await house.reload(PLAIN)
    with pytest.raises(PipeError):
        await door.accept(Arrival(b'{"a": 1}'))
