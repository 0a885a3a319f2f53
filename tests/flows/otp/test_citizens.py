"""Codes for whoever a company's functions are for: bound by number, tried here or in the chat, opened for a session."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from flows.otp import bindings, codes, settings, tables
from partners.manners import manner
from pipe.operations import perform
from pipe.operations.restoring import restored
from pipe.store.schema import delivery
from pipe.store.store import Store
from tests.adapters.telegram_bench import true
from tests.flows.otp.house import COMPANY, OTHER, SESSION, House, gateway, house

PHONE = "+380671234567"


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[House]:
    """A gateway and its Telegram."""
    async with house(tmp_path) as found:
        yield found


async def test_a_code_comes_to_the_chat_and_opens_the_company(made: House) -> None:
    """The whole way: number shared, code sent, typed, message gone, function open for this session alone."""
    await made.share_number()
    asked = await made.ask(COMPANY, phone="067 123-45-67", session=SESSION)
    assert (asked["state"], asked["digits"], asked["left"]) == ("asked", 6, 3)
    code = await made.code()
    assert await made.ask(f"{COMPANY}/state", challenge=asked["challenge"], session=SESSION) is not None
    wrong = f"{(int(code) + 1) % 10**6:06}"
    tried = await made.ask(f"{COMPANY}/check", challenge=asked["challenge"], session=SESSION, code=wrong)
    assert (tried["result"], tried["left"], tried["open_until"]) == ("wrong", 2, None)
    right = await made.ask(f"{COMPANY}/check", challenge=asked["challenge"], session=SESSION, code=code)
    assert right["result"] == "right"
    assert right["open_until"] is not None
    again = await made.ask(f"{COMPANY}/check", challenge=asked["challenge"], session=SESSION, code=code)
    assert again["result"] == "over"
    events = await made.audited()
    assert [each for each in events if each != "otp.setting_changed"] == [
        "otp.bound", "otp.requested", "otp.sent", "otp.failed", "otp.verified",
    ]  # fmt: skip


async def ask(made: House, phone: str = PHONE, session: str = SESSION, **more: str) -> tuple[str, str]:
    """A challenge and the code that came for it."""
    last = max((line.id for line in made.person.lines), default=0)
    asked = await made.ask(COMPANY, phone=phone, session=session, **more)
    return asked["challenge"], await made.code(after=last)


async def check(made: House, challenge: str, code: str, **other: str) -> tuple[str, int]:
    """What a code is worth."""
    company = other.pop("company", COMPANY)
    body = {"challenge": challenge, "code": code, "session": SESSION, **other}
    told = await made.ask(f"{company}/check", **body)
    return told["result"], told["left"]


async def call(made: House, session: str = SESSION, company: str = COMPANY) -> int:
    """Asks a function of the company; the status."""
    async with made.client.post(
        f"{made.address}/pipe/companies/{company}/pension", json={"a": 1}, headers={"OTP-Session": session}
    ) as answer:
        return answer.status


def other(code: str) -> str:
    """A code that is not this one."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"


async def test_a_hundred_right_codes_at_once_are_one_success(made: House) -> None:
    """Whoever is first; the others find it over."""
    await made.share_number()
    challenge, code = await ask(made)
    results = await asyncio.gather(*(check(made, challenge, code) for _ in range(100)))
    assert Counter(result for result, _ in results) == {"right": 1, "over": 99}
    assert (await made.state(challenge))[0].tries == 1


async def test_a_hundred_wrong_codes_at_once_are_three_tries(made: House) -> None:
    """The fourth and all after it are not even looked at, and the right code does not help any more."""
    await made.share_number()
    challenge, code = await ask(made)
    results = await asyncio.gather(*(check(made, challenge, other(code)) for _ in range(100)))
    assert Counter(result for result, _ in results) == {"wrong": 2, "burned": 1, "over": 97}
    row = (await made.state(challenge))[0]
    assert (row.tries, row.state, row.hash) == (3, "burned", None)
    assert await check(made, challenge, code) == ("over", 0)


async def test_a_code_is_good_for_one_session_purpose_and_company(made: House) -> None:
    """Elsewhere it is none at all, and no try is counted."""
    await made.share_number()
    challenge, code = await ask(made)
    for elsewhere in ({"session": "another-browser-of-its-own"}, {"purpose": "pay"}, {"company": OTHER}):
        assert await check(made, challenge, code, **elsewhere) == ("over", 0)
    assert await check(made, "no-such-challenge", code) == ("over", 0)
    assert (await made.state(challenge))[0].tries == 0
    assert await check(made, challenge, code) == ("right", 2)
    assert [await call(made), await call(made, "another-browser-of-its-own"), await call(made, company=OTHER)] == [
        200, 403, 403,
    ]  # fmt: skip


async def test_a_newer_code_voids_the_older_one(made: House) -> None:
    """One live code: the pause is kept, then the first code is worth nothing, and its message is gone."""
    await made.set(COMPANY, wait=10, wait_second=10)
    await made.share_number()
    challenge, code = await ask(made)
    told = await made.ask(COMPANY, phone=PHONE, session=SESSION)
    assert (told["state"], told["why"]) == ("wait", "again")
    await made.gateway.engine.act(lambda tx: codes.lift(tx, subject(tx)), "console")
    second, newer = await ask(made)
    assert await check(made, challenge, code) == ("over", 0)
    assert await check(made, second, newer) == ("right", 2)
    await true(lambda: not any(code in line.text or newer in line.text for line in made.person.lines if not line.mine))


def subject(tx: Any) -> str:
    """Of the person with the phone."""
    return bindings.phone(tx, PHONE)


async def test_a_code_may_come_back_in_the_chat(made: House) -> None:
    """Wrong ones are told with what is left; the right one opens the company for the session that asked."""
    await made.share_number()
    bot, person = made.telegram.bot, made.person
    bot.write(person, "123456")
    await made.said(lambda text: "не чекаю" in text)
    challenge, code = await ask(made)
    bot.write(person, other(code))
    await made.said(lambda text: "спроб: 2" in text)
    assert await call(made) == 403
    bot.write(person, f"{code[:3]} {code[3:]}")
    await made.said(lambda text: "правильний" in text)
    assert await call(made) == 200
    state = await made.ask(f"{COMPANY}/state", challenge=challenge, session=SESSION)
    assert state["state"] == "right"


async def test_known_and_unknown_numbers_get_the_same_answer(made: House) -> None:
    """Same words, same fields, the same work: nothing tells whether a number has a chat."""
    await made.share_number()
    known, unknown = [
        await made.ask(COMPANY, phone=phone, session=SESSION) for phone in (PHONE, "+380500000000")
    ]  # fmt: skip
    assert known.keys() == unknown.keys()
    same = ("state", "digits", "left", "bot")
    assert [known[name] for name in same] == [unknown[name] for name in same]
    await made.code()
    await made.until("failed", "unbound")
    states = [
        await made.ask(f"{COMPANY}/state", challenge=each["challenge"], session=SESSION) for each in (known, unknown)
    ]
    assert [each["state"] for each in states] == ["asked", "asked"]
    for result in (("wrong", 2), ("wrong", 1), ("burned", 0), ("over", 0)):
        assert [await check(made, each["challenge"], "000000x") for each in (known, unknown)] == [result] * 2
    states = [
        await made.ask(f"{COMPANY}/state", challenge=each["challenge"], session=SESSION) for each in (known, unknown)
    ]
    assert [each["state"] for each in states] == ["burned", "burned"]


async def test_known_and_unknown_numbers_take_the_same_time(made: House) -> None:
    """Asking and trying: medians of twenty each, in turn, lie closer together than half of what one takes."""
    await made.set(COMPANY, address_an_hour=1000, address_checks=10_000)
    known, unknown = ([f"+38067{kind}{n:06}" for n in range(20)] for kind in (1, 2))
    chats = {number: made.telegram.bot.chats.add("Хтось", number) for number in known}
    for person in chats.values():
        person.started = True

    def bound(tx: Any) -> None:
        for number, person in chats.items():
            bindings.bind(tx, bindings.phone(tx, number), "otp-bot", person.id, "uk")

    def lifted(tx: Any) -> None:
        for number in (*known, *unknown):
            codes.lift(tx, bindings.phone(tx, number))

    await made.gateway.engine.act(bound, "console")
    for _ in range(3):  # somebody else may load the machine
        asked, tried = await spent(made, known, unknown)
        if near(asked) and near(tried):
            break
        await made.gateway.engine.act(lifted, "console")
    assert near(asked), asked
    assert near(tried), tried


Seconds = tuple[list[float], list[float]]
"""of known numbers, and of unknown ones"""


def near(seconds: Seconds) -> bool:
    """Whether nothing tells the one from the other."""
    ours, theirs = (statistics.median(each) for each in seconds)
    return abs(ours - theirs) < max(ours, theirs) / 2


async def spent(made: House, known: list[str], unknown: list[str]) -> tuple[Seconds, Seconds]:
    """How long asking took, and trying a wrong code once all codes have gone where they go."""
    challenges: dict[str, str] = {}
    asked: Seconds = ([], [])
    tried: Seconds = ([], [])
    for pair in zip(known, unknown, strict=True):
        for number, seconds in zip(pair, asked, strict=True):
            began = time.perf_counter()
            told = await made.ask(COMPANY, phone=number, session=SESSION + number[1:])
            seconds.append(time.perf_counter() - began)
            challenges[number] = told["challenge"]
    async with asyncio.timeout(60):
        while True:
            if not any(row.state in ("waiting", "sending") for row in await made.state()):
                break
            await asyncio.sleep(0.05)
    for pair in zip(known, unknown, strict=True):
        for number, seconds in zip(pair, tried, strict=True):
            began = time.perf_counter()
            assert await check(made, challenges[number], "000000x", session=SESSION + number[1:]) == ("wrong", 2)
            seconds.append(time.perf_counter() - began)
    return asked, tried


async def test_a_blocked_bot_is_an_outcome_and_a_way_on(made: House) -> None:
    """Told by Telegram when it happens, or when a code is sent; after unblocking codes come again."""
    await made.share_number()
    made.telegram.bot.block(made.person)
    await made.ask(COMPANY, phone=PHONE, session=SESSION)
    await made.until("failed", "blocked")
    made.telegram.bot.admit(made.person)
    await made.gateway.engine.act(lambda tx: codes.lift(tx, subject(tx)), "console")
    await asyncio.sleep(0.1)
    _, code = await ask(made)
    assert len(code) == 6


async def test_only_ones_own_number_is_bound(made: House) -> None:
    """A contact of somebody else is asked for again; a link for another number binds nothing."""
    bot, person = made.telegram.bot, made.person
    bot.start(person)
    await made.said(lambda text: "номер" in text)
    bot.contact(person, "+380501111111", owner=5)
    await made.said(lambda text: "чужий" in text)
    bot.contact(person, "+380501111111")
    person.phone = "+380502222222"
    asked = await made.ask(COMPANY, phone="+380501111111", session=SESSION)
    await made.until("failed", "unbound")
    bot.start(person, asked["start"])
    await made.said(lambda text: "номер" in text, after=person.lines[-1].id)
    bot.contact(person)
    await made.said(lambda text: "інший" in text)
    assert "otp.bound" not in await made.audited()
    bot.start(person, asked["start"])
    await made.said(lambda text: "вже не діє" in text)
    bot.start(person)
    bot.contact(person)
    await made.said(lambda text: "Готово" in text)


async def test_tries_are_counted_over_a_restart(tmp_path: Path) -> None:
    """Two wrong ones, a new process, and the third burns it."""
    async with house(tmp_path) as first:
        await first.share_number()
        challenge, code = await ask(first)
        await first.until("sent")
        assert [await check(first, challenge, other(code)) for _ in range(2)] == [("wrong", 2), ("wrong", 1)]
        await first.gateway.stop()
        first.gateway.stop = nothing  # type: ignore[method-assign]
        async with gateway(tmp_path, first.telegram) as second:
            assert await check(second, challenge, other(code)) == ("burned", 0)


async def nothing() -> None:
    """It is stopped already."""


async def test_an_expired_code_is_never_sent_and_never_right(made: House) -> None:
    """A bot that is down holds a code back; when its time is over it is an outcome, and nothing is sent late."""
    await made.set(COMPANY, lasts=30)
    await made.share_number()
    made.telegram.behave(manner("fail", ["503"]))
    asked = await made.ask(COMPANY, phone=PHONE, session=SESSION)
    await made.until("sending")
    row = (await made.state(asked["challenge"]))[0]
    deliveries = await made.gateway.store.read(
        lambda connection: connection.execute(
            delivery.select().where(delivery.c.route == "otp-send", delivery.c.station == "otp-bot")
        ).all()
    )
    assert [each.expires_at for each in deliveries] == [row.expires_at]
    late = tables.challenge.update().values(expires_at=1.0)
    await made.gateway.store.write(lambda tx: tx.execute(late) and None)
    assert await check(made, asked["challenge"], "000000") == ("over", 0)
    await made.gateway.engine.act(codes.sweep, "console")
    assert (await made.state(asked["challenge"]))[0].state == "expired"
    made.telegram.behave(manner("well"))


@pytest.mark.parametrize(
    ("body", "status"),
    [({"phone": "none"}, 400), ({"session": "short"}, 400), ({"language": "de"}, 400), ({"purpose": "Two Words"}, 400)],
)
async def test_what_is_asked_wrongly_is_refused(made: House, body: dict[str, str], status: int) -> None:
    """With what to write instead."""
    told = await made.ask(COMPANY, **{"phone": PHONE, "session": SESSION, **body})
    assert told["status"] == status


async def test_a_company_that_does_not_use_them_says_so(made: House) -> None:
    """409, and 404 for none of that name."""
    await made.gateway.engine.act(
        lambda tx: settings.keep(tx, OTHER, enabled=False, bot="otp-bot", numbers={}, words={}), "console"
    )
    assert (await made.ask(OTHER, phone=PHONE, session=SESSION))["status"] == 409
    assert (await made.ask("nobody", phone=PHONE, session=SESSION))["status"] == 404


async def test_the_code_stands_nowhere_but_in_the_chat(made: House, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither in the database and its log, nor in what the gateway writes, shows on its pages, and counts."""
    await made.share_number()
    await made.person_of("officer@ukc.gov.ua", "audit.read", "otp.read", "otp.edit", "otp.unlock")
    challenge, code = await ask(made)
    await check(made, challenge, other(code))
    made.telegram.bot.write(made.person, code)
    await made.said(lambda text: "правильний" in text)
    async with made.client.get(f"{made.address}/metrics") as metrics:
        shown = await metrics.text()
    async with made.visitor() as officer:
        await officer.sign_in("officer@ukc.gov.ua")
        for path in ("/admin/audit", "/admin/otp", f"/admin/otp/{COMPANY}", "/api/v1/audit", f"/api/v1/otp/{COMPANY}"):
            page = await officer.get(path)
            assert page.status == 200, path
            shown += page.text
    assert "otp.verified" in shown
    host = made.gateway._host("test", lambda *_: None)
    for name, arguments in (("search", {"route": "otp-send"}), ("search", {"route": "otp-updates"})):
        for row in await perform(host, name, arguments):
            shown += str(row) + str(await perform(host, "messages.show", {"id": row["id"]}))
            shown += str(await perform(host, "explain", {"id": row["id"]}))
    data = made.gateway.settings.data
    files = [path for path in data.rglob("*") if path.is_file() and path.suffix != ".sock"]
    assert any(path.name.endswith("-wal") for path in files)
    held = [path.name for path in files if code.encode() in path.read_bytes()]
    captured = capfd.readouterr()
    assert (held, code in shown, code in captured.out + captured.err) == ([], False, False)
    assert "***" in shown


async def test_an_erased_number_is_in_no_table_and_in_no_restored_copy(made: House) -> None:
    """`pipe erase NUMBER` unbinds the chat, forgets codes, links and what they opened; a restored copy does again."""
    await made.share_number()
    challenge, code = await ask(made)
    assert await check(made, challenge, code) == ("right", 2)
    await made.gateway.engine.act(lambda tx: codes.lift(tx, bindings.phone(tx, PHONE)), "console")
    await made.gateway.engine.act(
        lambda tx: bindings.offer(tx, "otp-bot", bindings.phone(tx, PHONE), COMPANY), "console"
    )
    assert await held(made.gateway.store) == {name: 1 for name, _ in tables.SUBJECTS}
    host = made.gateway._host("console", lambda *_: None)
    (made.folder / "safe").mkdir()
    found = await perform(host, "backup", {"path": str(made.folder / "safe")})
    await true(lambda: not any(code in line.text for line in made.person.lines))
    await perform(host, "erase", {"subject": PHONE, "reason": "asked in writing", "pending": True})
    assert await held(made.gateway.store) == {}
    # Nobody is told that the chat was theirs: whoever asks now is one whom the bot does not know.
    again = await made.ask(COMPANY, phone=PHONE, session=SESSION)
    assert again["state"] == "asked"
    await made.until("failed", "unbound")
    data = made.folder / "copy"
    keys = made.gateway.settings.data / "keys" / "master.keys"
    told = await restored(Path(found["file"]), keys, data, [], "console", host.built, None, lambda *_: None)
    assert (told["erasures"], told["erasures_left"]) == (1, 0)
    copy = Store(data, url=None, clock=made.gateway.clock)
    await copy.open(host.built.migrations())
    try:
        assert await held(copy) == {}
    finally:
        await copy.close()


async def held(store: Store) -> dict[str, int]:
    """How many rows of the number each table has."""
    subject = store.vault.hash("subject", PHONE)

    def read(connection: Connection) -> dict[str, int]:
        counts = {
            name: connection.execute(
                text(f"SELECT count(*) FROM {name} WHERE {column} = :s"), {"s": subject}
            ).scalar_one()
            for name, column in tables.SUBJECTS
        }
        return {name: count for name, count in counts.items() if count}

    return await store.read(read)
