"""People are found, created, changed, blocked and gone, each with its row of the audit."""

from __future__ import annotations

import json
from functools import partial

import pytest
from sqlalchemy import insert, select

from flows.access import people, tables
from flows.access.changes import TOPIC, Actor
from pipe.errors import BadRequest, NotFound
from pipe.store.schema import audit
from pipe.store.store import Store
from pipe.store.transaction import Tx
from tests.flows.access.conftest import audited, rows

ROOT = Actor("root")
WEB = Actor("person/olena", person="p1", address="10.1.2.3")


async def made(store: Store, login: str = "Olena.K", name: str = "Олена К.") -> people.Person:
    """A person with everything."""
    mail, phone = "olena@ukc.example", "067 123-45-67"
    return await store.write(lambda tx: people.create(tx, ROOT, login, name, email=mail, phone=phone, level=2))


async def test_a_person_is_found_however_the_login_is_written(store: Store) -> None:
    """Case and spaces do not matter; what cannot be a login finds nobody and raises nothing."""
    olena = await made(store)
    assert (olena.login, olena.phone, olena.state) == ("olena.k", "+380671234567", "active")
    for text, found in (("OLENA.K ", olena), ("olena.k", olena), ("taras", None), ("a b", None), ("", None)):
        assert await store.read(partial(people.find, login=text)) == found


async def test_a_login_is_taken_once(store: Store) -> None:
    """The second one is refused, and nothing of it stays."""
    await made(store)
    with pytest.raises(BadRequest, match="taken"):
        await made(store, "OLENA.K", "Інша")
    assert len(await rows(store, select(tables.person))) == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"login": "x"}, "login"),
        ({"login": "a/b"}, "login"),
        ({"name": " "}, "name"),
        ({"email": "nobody"}, "mail"),
        ({"phone": "12"}, "telephone"),
        ({"level": 4}, "level"),
        ({"level": True}, "level"),
        ({"language": "de"}, "language"),
        ({"company": "nowhere"}, "company"),
    ],
)
async def test_a_wrong_value_is_refused(small: Store, wrong: dict[str, object], says: str) -> None:
    """The refusal names what is wrong."""
    values = {"login": "olena", "name": "Олена"} | wrong
    with pytest.raises((BadRequest, NotFound), match=says):
        await small.write(lambda tx: people.create(tx, ROOT, **values))  # type: ignore[arg-type]


async def test_the_audit_tells_who_changed_what_but_no_personal_value(store: Store) -> None:
    """Before and after hold what differs; names, mail and telephones are digests, the same for the same value."""
    olena = await made(store)
    await store.write(lambda tx: people.change(tx, WEB, olena.id, name="Олена Коваль", level=1))
    await store.write(lambda tx: people.change(tx, WEB, olena.id, name="Олена К."))
    (created,), (first, second) = await audited(store, "person.created"), await audited(store, "person.changed")
    assert (created["actor"], created["target"], created["before"]) == ("root", "olena.k", None)
    assert first["actor"] == "person/olena"
    before, after = json.loads(first["before"]), json.loads(first["after"])
    assert (before["level"], after["level"], after["address"]) == (2, 1, "10.1.2.3")
    assert before["name"] == json.loads(second["after"])["name"] == json.loads(created["after"])["name"]
    text = json.dumps(await rows(store, select(audit)), ensure_ascii=False)
    assert [value for value in ("Олена", "olena@ukc", "380671234567") if value in text] == []


async def test_a_change_that_changes_nothing_leaves_no_trace(small: Store) -> None:
    """No row, no revision."""
    olena = await made(small)
    await small.write(lambda tx: people.change(tx, ROOT, olena.id, level=2))
    assert await audited(small, "person.changed") == []
    assert (await rows(small, select(tables.revision)))[0]["n"] == 1


async def test_a_blocked_person_is_shut_out_and_loses_every_session(store: Store) -> None:
    """Sessions end in the same transaction, and the feed says whose rights are different."""
    olena = await made(store)
    session = {"id": "s", "person": olena.id, "created_at": 1, "seen_at": 1, "expires_at": 9, "factors": "|password|"}
    await store.write(lambda tx: tx.execute(insert(tables.session), {**session, "address": "::1", "agent": "x"}))
    blocked = await store.write(lambda tx: people.block(tx, ROOT, olena.id, "lost telephone"))
    assert (blocked.state, blocked.shut_out(0)) == ("blocked", "blocked")
    (ended,) = await rows(store, select(tables.session))
    assert (ended["ended_by"], ended["ended_at"]) == ("root", store.clock.now())
    events = await store.follow(TOPIC, 0)
    assert [json.loads(event[2]) for event in events] == [
        {"revision": 1, "changed": [["person", olena.id]]},
        {"revision": 2, "changed": [["person", olena.id]]},
    ]
    again = await store.write(lambda tx: people.admit(tx, ROOT, olena.id, "found"))
    assert again.shut_out(0) is None


async def test_who_leaves_keeps_nothing(store: Store) -> None:
    """Positions, grants by name, keys and ways to sign in are gone; coming back gives none of it again."""
    olena = await made(store)

    def equip(tx: Tx) -> None:
        tx.execute(insert(tables.membership), {"person": olena.id, "kind": "group", "of": "g", "source": "manual"})
        tx.execute(insert(tables.password), {"person": olena.id, "hash": "x", "at": 1, "must_change": False})
        key = {"id": "k", "person": olena.id, "name": "k", "hash": "h", "permissions": "", "created_at": 1}
        tx.execute(insert(tables.key), {**key, "created_by": "root", "expires_at": 9})

    await store.write(equip)
    await store.write(lambda tx: people.dismiss(tx, ROOT, olena.id, "left the centre"))
    for table in (tables.membership, tables.password):
        assert await rows(store, select(table)) == []
    (key,) = await rows(store, select(tables.key))
    assert key["revoked_by"] == "root"
    with pytest.raises(BadRequest, match="left"):
        await store.write(lambda tx: people.block(tx, ROOT, olena.id, "twice"))


async def test_who_has_left_can_be_forgotten(store: Store) -> None:
    """Name, mail and telephone go, and the salt with them; the rows of the audit stay as they were."""
    olena = await made(store)
    with pytest.raises(BadRequest, match="has not left"):
        await store.write(lambda tx: people.forget(tx, ROOT, olena.id, "law"))
    await store.write(lambda tx: people.dismiss(tx, ROOT, olena.id, "left"))
    before = await audited(store, "person.created")
    gone = await store.write(lambda tx: people.forget(tx, ROOT, olena.id, "law"))
    assert (gone.name, gone.email, gone.phone, gone.login) == ("", None, None, "olena.k")
    assert (await rows(store, select(tables.person)))[0]["salt"] == ""
    assert await audited(store, "person.created") == before


async def test_time_shuts_out_too(small: Store) -> None:
    """`valid_until` is a moment, not a day after it."""
    taras = await small.write(lambda tx: people.create(tx, ROOT, "taras", "Тарас", valid_until=100.0))
    assert (taras.shut_out(99.9), taras.shut_out(100.0)) == (None, "expired")


async def test_nobody_of_that_name(small: Store) -> None:
    """An id or login that is not there is NotFound."""
    with pytest.raises(NotFound):
        await small.write(lambda tx: people.change(tx, ROOT, "nobody", level=1))
    with pytest.raises(NotFound, match="taras"):
        await small.read(lambda connection: people.called(connection, "taras"))
