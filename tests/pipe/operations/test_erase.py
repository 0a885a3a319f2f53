"""A person's data goes: all of it, now and in every copy that is restored later; the books still balance."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, String, Table, insert, select

from pipe.contract import Message, Receipt, Transaction
from pipe.errors import BackupDamaged, BadRequest, PeerFailed, Refused
from pipe.store import erasures, schema
from pipe.store.erasures import Erasure
from pipe.store.vault import Vault
from pipe.testing import FakeClock
from tests.pipe.house import House, Partner
from tests.pipe.operations.hosts import audited, begin, do
from tests.pipe.operations.test_backup import dump, folder, load, restored

PHONE = "+380671234567"
CANARY = "water tower"
PEOPLE = Table("person", MetaData(), Column("message", String, primary_key=True), Column("text", String))
ROUTE = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in, max_body: 4MiB}
    subject: body.phone
    order_by: body.phone
    idempotency: {key: headers.key, required: false}
    retry: {attempts: 2, first: 10s}
    steps: [{decode: json}]
    to: {connection: out, put: x}
"""
FLOW = ROUTE.replace("    steps: [{decode: json}]", "    steps: [{decode: json}, {flow: test.person}]")
FILE = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
  result: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in}
    subject: body.phone
    retry: {attempts: 2, first: 10s}
    steps:
      - decode: json
      - split: {items: body}
    to: {connection: out, put: x}
    gather: {within: 1h, to: {connection: result, put: y}}
"""


def appeal(phone: str = PHONE, text: str = CANARY) -> str:
    """What a person sends."""
    return json.dumps({"phone": phone, "text": text})


def person(message: Message, tx: Transaction) -> Iterable[Message]:
    """A flow that keeps something of people."""
    tx.execute(insert(PEOPLE).values(message=message.id, text=message.body["text"]))
    yield message


async def everything(house: House) -> str:
    """All that the tables hold, as text."""
    found = []
    for table in schema.metadata.sorted_tables:
        for row in await house.rows(select(table)):
            found += [_text(value) for value in row.values()]
    return "\n".join(found)


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


async def erased(house: House, subject: str = PHONE, **how: Any) -> dict[str, Any]:
    """Erases as a person would."""
    done: dict[str, Any] = await do(house, "erase", subject=subject, reason="asked in writing", **how)
    return done


async def test_nothing_of_a_subject_is_left_but_states_and_totals(house: House) -> None:
    """Bodies, keys, answers, dead letters and what the flow kept go; others' stay; the books balance."""
    house.migrations, house.subjects = (PEOPLE.create,), [("person", "message")]
    house.flows["test.person"] = person
    await begin(house, FLOW)
    house.partner("out").script = [
        PeerFailed(CANARY),
        PeerFailed(CANARY),
        Refused(CANARY, reply=Receipt(400, body=CANARY)),
    ]
    await house.put(appeal(), headers={"key": "k1"})
    await house.done(2)
    await house.put(appeal(), headers={"key": "k2"})
    await house.put(appeal("+380500000000", "another"), headers={"key": "k3"})
    await house.done(6)
    before = await house.ledger()
    assert CANARY in await everything(house)
    told = await erased(house)
    assert (told["messages"], told["waiting"], told["discarded"]) == (4, 0, 0)
    assert CANARY not in await everything(house)
    assert await house.ledger() == before
    assert (await do(house, "ledger.verify"))["good"]
    assert [row["text"] for row in await house.rows(select(PEOPLE))] == ["another"]
    assert await house.count(schema.idempotency) == 1
    assert await do(house, "search", subject=PHONE) == []
    assert len(await do(house, "search", subject="+380500000000")) == 2


async def test_who_erased_is_audited_and_whom_is_not(house: House) -> None:
    """The row says who, why and how much; neither the value nor its hash stands in it."""
    await begin(house, ROUTE)
    await house.put(appeal())
    await house.done(1)
    told = await erased(house)
    [row] = await audited(house, "subject.erased")
    assert (row["actor"], row["target"]) == ("olena", told["erasure"])
    written = json.dumps({name: str(value) for name, value in row.items()})
    assert "asked in writing" in written
    assert PHONE not in written
    assert house.store.vault.hash("subject", PHONE) not in written


async def test_an_erasure_needs_a_reason_and_a_subject(house: House) -> None:
    """Without either nothing is done."""
    await begin(house, ROUTE)
    for arguments in ({"subject": PHONE, "reason": " "}, {"subject": " ", "reason": "asked"}):
        with pytest.raises(BadRequest):
            await do(house, "erase", **arguments)
    assert await house.count(schema.erasure) == 0


async def test_what_is_on_its_way_is_not_erased_unless_it_is_said(house: House) -> None:
    """The error names it, and nothing is changed."""
    await begin(house, ROUTE)
    house.partner("out").script = [PeerFailed("later")]
    accepted = await house.put(appeal())
    await house.reaches("retry")
    with pytest.raises(BadRequest, match=f"1 delivery of this subject still wait: {accepted.id}; nothing was erased"):
        await erased(house)
    assert CANARY in await everything(house)
    assert await house.count(schema.erasure) == 0


async def test_what_is_discarded_is_never_sent(house: House, clock: FakeClock) -> None:
    """Waiting, held behind it, and in memory: all of it ends, and the next of other people goes on."""
    await begin(house, ROUTE)
    partner = house.partner("out")
    partner.script = [PeerFailed("later")]
    for n in range(3):
        await house.put(appeal(text=f"{CANARY} {n}"))
    await house.put(appeal("+380500000000", "another"))
    await house.until(lambda: _sent(house, 1))
    asked = len(partner.asked)
    told = await erased(house, pending=True)
    assert told["discarded"] == 3
    await clock.advance(3600)
    assert {row["state"] for row in await house.done(4)} == {"discarded", "delivered"}
    assert len(partner.asked) == asked
    assert CANARY not in await everything(house)
    assert (await do(house, "ledger.verify"))["good"]


async def _sent(house: House, n: int) -> bool:
    return len(house.partner("out").taken) >= n


async def test_what_waits_in_memory_is_withdrawn(house: House) -> None:
    """Deliveries that are queued behind others in memory are not sent after their data went."""
    await begin(house, ROUTE.replace("    order_by: body.phone\n", "    concurrency: 1\n"))
    partner = house.partner("out")
    partner.hold()
    await house.put(appeal("+380500000000", "first"))
    await partner.reached(1)
    for _ in range(5):
        await house.put(appeal())
    told = await erased(house, pending=True)
    assert told["discarded"] == 5
    partner.release()
    await house.put(appeal("+380500000000", "last"))
    await house.done(7)
    assert [json.loads(body)["text"] for body in partner.bodies] == ["first", "last"]


async def test_what_is_being_sent_just_now_is_not_erased(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can call it back: the command says so, changes nothing, and the route goes on."""
    monkeypatch.setattr("pipe.operations.erasing.PATIENCE_S", 0.1)
    await begin(house, ROUTE)
    partner = house.partner("out")
    partner.hold()
    await house.put(appeal())
    await partner.reached(1)
    with pytest.raises(BadRequest, match="is being sent just now"):
        await erased(house, pending=True)
    partner.release()
    await house.done(1)
    assert (await erased(house))["messages"] == 1


async def test_of_a_file_the_persons_line_and_the_file_go_and_others_lines_stay(house: House) -> None:
    """The file that was split and what was gathered of it hold the data too; each other line is its own person's."""
    await begin(house, FILE)
    await house.put(json.dumps([{"phone": f"+38050000000{n}", "text": f"{CANARY} {n}"} for n in range(3)]))
    await house.done(5)
    told = await erased(house, "+380500000001")
    assert (told["messages"], told["shared"], told["waiting"]) == (3, 2, 0)
    left = await everything(house)
    assert f"{CANARY} 1" not in left
    assert f"{CANARY} 0" in left
    assert f"{CANARY} 2" in left
    assert (await do(house, "ledger.verify"))["good"]


async def test_a_file_that_is_still_on_its_way_goes_when_it_is_done(house: House, clock: FakeClock) -> None:
    """What holds others' data too is never discarded for one; the erasure waits for it, and status says so."""
    await begin(house, FILE)
    house.partner("result").hold()
    await house.put(json.dumps([{"phone": f"+38050000000{n}", "text": f"{CANARY} {n}"} for n in range(3)]))
    await house.partner("result").reached(1)
    told = await erased(house, "+380500000001")
    assert told["waiting"] == 1
    status = await do(house, "status")
    assert any("1 erasures wait" in trouble for trouble in status["troubles"])
    house.partner("result").release()
    await house.done(5)
    await go_on(house)
    assert f"{CANARY} 1" not in await everything(house)
    assert (await do(house, "status"))["troubles"] == []


async def go_on(house: House) -> None:
    """What the gateway does at its start and every ten minutes."""
    from pipe.erasing import Erasing

    await Erasing(house.store, lambda: house.engine.outcomes, house.subjects).go_on()


async def test_an_erasure_that_was_cut_off_is_gone_on_with(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """K6: once it is noted, a crash between two commits leaves nothing behind after the next start."""
    monkeypatch.setattr("pipe.store.wiping.AT_ONCE", 2)
    await begin(house, ROUTE)
    for n in range(5):
        await house.put(appeal(text=f"{CANARY} {n}"))
    await house.done(5)
    from pipe.erasing import Erasing

    inner = Erasing._wipe
    times: list[int] = []

    async def dies(self: Erasing, *arguments: Any) -> int:
        if times:
            raise ZeroDivisionError
        times.append(1)
        return await inner(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Erasing, "_wipe", dies)
        with pytest.raises(ZeroDivisionError):
            await erased(house)
    assert CANARY in await everything(house)
    await house.crash()
    await begin(house, ROUTE)
    await go_on(house)
    assert CANARY not in await everything(house)
    [row] = await house.rows(select(schema.erasure))
    assert row["messages"] == 5
    assert row["done_at"] is not None


async def test_a_restored_copy_forgets_what_was_erased_after_its_backup(house: House, clock: FakeClock) -> None:
    """The list lies beside the backups; what was pending then is not sent, and the books balance."""
    await begin(house, ROUTE)
    house.partner("out").script = [PeerFailed("later")]
    await house.put(appeal())
    await house.put(appeal("+380500000000", "another"))
    await house.reaches("retry", "delivered")
    if house.url is not None:
        dump(house, house.folder / "tables.dump")
    found = await do(house, "backup", path=str(folder(house, "safe")))
    await clock.advance(60)
    told = await erased(house, pending=True)
    assert told["noted"] == [str(house.folder / "safe" / "erasures.jsonl")]
    assert PHONE.encode() not in (house.folder / "safe" / "erasures.jsonl").read_bytes()
    await house.stop()
    if house.url is not None:
        load(house, house.folder / "tables.dump")
    copy = await restored(house, found["file"])
    assert (copy["erasures"], copy["wiped"], copy["pending"]) == (1, 1, [])
    partner = house.partners["out"] = Partner()
    house.data = house.folder / "copy"
    await begin(house, ROUTE)
    assert CANARY not in await everything(house)
    assert "another" in await everything(house)
    await do(house, "resume.all")
    await clock.advance(3600)
    assert partner.asked == []
    assert (await do(house, "ledger.verify"))["good"]


async def test_a_list_that_a_person_keeps_elsewhere_counts_too(house: House) -> None:
    """`--erasures` writes it and a restore reads it, though it does not lie beside the backup."""
    await begin(house, ROUTE)
    await house.put(appeal())
    await house.done(1)
    if house.url is not None:
        dump(house, house.folder / "tables.dump")
    found = await do(house, "backup", path=str(folder(house, "safe")))
    (folder(house, "usb"))
    listed = house.folder / "usb" / "forgotten.jsonl"
    await erased(house, lists=[str(listed)])
    (house.folder / "safe" / "erasures.jsonl").unlink()
    await house.stop()
    if house.url is not None:
        load(house, house.folder / "tables.dump")
    copy = await restored(house, found["file"], lists=[listed])
    assert (copy["erasures"], copy["wiped"]) == (1, 1)


async def test_a_list_out_of_reach_is_told_and_brought_up_to_date_by_the_next_backup(house: House) -> None:
    """An erasure is done though a disk is not there; the next backup there writes the whole list."""
    await begin(house, ROUTE)
    safe = folder(house, "safe")
    await do(house, "backup", path=str(safe / "1.backup"))
    safe.rename(house.folder / "away")
    told = await erased(house)
    assert list(told["not_noted"]) == [str(safe / "erasures.jsonl")]
    (house.folder / "away").rename(safe)
    await do(house, "backup", path=str(safe / "2.backup"))
    assert len(erasures.read(safe / "erasures.jsonl", house.store.vault)) == 1


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """A master key."""
    return Vault(tmp_path / "keys" / "master.keys")


def test_a_list_grows_by_what_it_lacks(tmp_path: Path, vault: Vault) -> None:
    """Writing twice changes nothing."""
    path, first, second = tmp_path / "list", Erasure(1.5, "a" * 32), Erasure(2.5, "b" * 32)
    assert [erasures.note(path, [first], vault), erasures.note(path, [first, second], vault)] == [1, 1]
    assert erasures.note(path, [first, second], vault) == 0
    assert erasures.read(path, vault) == [first, second]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_list_that_was_cut_off_while_it_was_written_is_mended(tmp_path: Path, vault: Vault) -> None:
    """Whatever bytes of the last line are there, the lines before count and the next one is whole."""
    path, first, second = tmp_path / "list", Erasure(1.5, "a" * 32), Erasure(2.5, "b" * 32)
    erasures.note(path, [first], vault)
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole + whole[:cut])
        assert erasures.read(path, vault) == [first]
        erasures.note(path, [second], vault)
        assert erasures.read(path, vault) == [first, second]


def test_a_line_that_others_wrote_is_refused(tmp_path: Path, vault: Vault) -> None:
    """Nobody can have data erased by writing into the list."""
    path = tmp_path / "list"
    erasures.note(path, [Erasure(1.5, "a" * 32)], vault)
    path.write_bytes(path.read_bytes().replace(b"aaaa", b"bbbb"))
    with pytest.raises(BackupDamaged, match="list:1 was not written by a gateway with this master key"):
        erasures.read(path, vault)
    path.write_bytes(b"rubbish\n")
    with pytest.raises(BackupDamaged, match="list:1 is no erasure"):
        erasures.read(path, vault)


async def test_large_bodies_go_with_their_files(house: House) -> None:
    """The key stands in the row and is gone with it; the file follows."""
    await begin(house, ROUTE)
    data = json.dumps({"phone": PHONE, "text": CANARY * 150_000}).encode()
    spool = house.store.spool(4 << 20)
    await spool.write(data)
    body: Any = await spool.finish()
    await house.put(body)
    await house.done(1)
    assert len(list(house.store.blobs.iterdir())) == 1
    await erased(house)
    assert list(house.store.blobs.iterdir()) == []


class TestEmbedded:
    """Of the one file that holds everything."""

    @pytest.fixture
    def url(self) -> Any:
        """PostgreSQL's vacuum does this there."""
        return lambda: None

    async def test_the_bytes_themselves_are_gone(self, house: House) -> None:
        """Neither the file nor its log holds a word of it, in free pages or behind the ends of rows."""
        await begin(house, ROUTE)
        for n in range(50):
            await house.put(appeal(text=f"{CANARY} {n} " * (n * 7 + 1)))
            await house.put(appeal("+380500000000", f"another {n}"))
        await house.done(100)
        await erased(house)
        files = [path.read_bytes() for path in house.data.glob("pipe.db*")]
        assert [data for data in files if CANARY.encode() in data] == []
        assert any(b"another 7" in data for data in files)
        with sqlite3.connect(house.data / "pipe.db") as connection:
            assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        connection.close()

    async def test_traffic_goes_on_meanwhile(self, house: House) -> None:
        """A thousand messages of one person go in commits of a hundred; others wait for no more than one of them."""
        await begin(house, ROUTE.replace("    order_by: body.phone\n", ""))
        for _ in range(4):
            await asyncio.gather(*(house.put(appeal()) for _ in range(250)))
        await house.done(1000)
        work = asyncio.create_task(erased(house))
        sent = 0
        while not work.done():
            await house.put(appeal("+380500000000", "another"))
            sent += 1
        assert (await work)["messages"] == 1000
        assert sent > 5
        await house.done(1000 + sent)
