"""What the rest of the gateway asks: answers that follow every change at once, and changes that may not be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from flows.access import grants, organisation, people, roles, rules, tables
from flows.access.changes import Actor, Unit
from flows.access.engine import Access, Need
from flows.access.model import Object
from pipe.errors import BadRequest, Denied, NotFound
from pipe.store import schema
from pipe.store.store import Store
from pipe.testing import FakeClock
from tests.flows.access.conftest import audited, rows

ROOT = Actor("root")
UKC, DIIA = Object("ukc"), Object("diia")


def founded(tx: Unit) -> None:
    """Two companies, a unit with an operator's position, a group, three roles."""
    for company in ("ukc", "diia"):
        organisation.add_company(tx, ROOT, company, "", {"uk": company.upper()})
    organisation.add_unit(tx, ROOT, "hall", "ukc", {"uk": "Зал"})
    organisation.add_unit(tx, ROOT, "shift-1", "ukc", {"uk": "Зміна 1"}, "hall")
    organisation.add_unit(tx, ROOT, "back", "diia", {"uk": "Бек-офіс"})
    organisation.add_position(tx, ROOT, "op-1", "shift-1", "operator", {"uk": "Оператор"})
    organisation.add_position(tx, ROOT, "op-2", "back", "operator", {"uk": "Оператор"})
    organisation.add_group(tx, ROOT, "veterans", {"uk": "Ветеранські питання"})
    roles.create(tx, ROOT, "operator", {"uk": "Оператор"}, ["conversation.read", "conversation.reply"])
    roles.create(tx, ROOT, "admin", {"uk": "Адміністратор"}, ["grant.give", "grant.revoke", "role.edit", "person.move"])
    roles.create(tx, ROOT, "urgent", {"uk": "Аварійна"}, ["message.read_body"], emergency=True)


class House:
    """A store with people in it, and the engine on top."""

    def __init__(self, access: Access, ids: dict[str, str]) -> None:
        self.access, self.ids = access, ids

    def actor(self, login: str) -> Actor:
        """A person as one who does something."""
        return Actor(f"person/{login}", self.ids[login])

    def may(self, login: str, permission: str, thing: Object | None = None) -> bool:
        """Whether somebody may."""
        return self.access.may(self.ids[login], permission, thing)

    async def give(self, login: str, role: str, by: Actor = ROOT, **terms: Any) -> str:
        """Gives somebody a role."""
        to = self.ids[login]
        terms = {"scope": "all", "level": 2, "reason": "test", **terms}
        return await self.access.change(by, lambda tx: grants.give(tx, by, role, "person", to, **terms))


@pytest.fixture
async def house(small: Store, clock: FakeClock) -> AsyncIterator[House]:
    """Everything above, and `admin` who may give rights everywhere."""
    ids = {}

    def fill(tx: Unit) -> None:
        founded(tx)
        for login in ("olena", "taras", "admin", "second"):
            level = 3 if login in {"admin", "second"} else 2
            ids[login] = people.create(tx, ROOT, login, login, company="ukc", level=level).id

    await small.write(fill)
    house = House(await Access(small, clock).open(), ids)
    running = asyncio.create_task(house.access.run())
    await house.give("admin", "admin", level=3)
    (grant,) = house.access.snapshot.grant
    await house.access.change(Actor("other"), lambda tx: grants.approve(tx, Actor("other"), grant))
    yield house
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_grant_is_in_force_when_the_change_returns(house: House) -> None:
    """In all four readings; and it ends as soon as it is taken back."""
    assert not house.may("olena", "conversation.read", UKC)
    grant = await house.give("olena", "operator", scope="company", scope_id="ukc")
    assert house.may("olena", "conversation.read", UKC)
    assert not house.may("olena", "conversation.read", DIIA)
    assert house.access.menu(house.ids["olena"]) == {"conversation.read", "conversation.reply"}
    await house.access.change(ROOT, lambda tx: grants.revoke(tx, ROOT, grant, "test"))
    assert house.access.menu(house.ids["olena"]) == frozenset()


async def test_a_change_from_elsewhere_is_heard(house: House, small: Store) -> None:
    """What another command or page has written is taken up by the feed, and streams are told."""
    version = house.access.version
    olena = house.ids["olena"]
    await small.write(
        lambda tx: grants.give(tx, ROOT, "operator", "person", olena, scope="all", level=1, reason="elsewhere")
    )
    assert await asyncio.wait_for(house.access.changed(version), 30) > version
    assert house.may("olena", "conversation.read", UKC)


async def test_a_move_takes_rights_along_at_once(house: House) -> None:
    """What a position gives ends with the position and begins with the next one; nothing was copied anywhere."""
    give = {"scope": "unit", "level": 1, "reason": "operators work where they are"}
    await house.access.change(ROOT, lambda tx: grants.give(tx, ROOT, "operator", "title", "operator", **give))  # type: ignore[arg-type]
    olena = house.ids["olena"]
    here, there = Object("ukc", "shift-1"), Object("diia", "back")
    await house.access.change(ROOT, lambda tx: organisation.appoint(tx, ROOT, olena, "position", "op-1"))
    assert (house.may("olena", "conversation.read", here), house.may("olena", "conversation.read", there)) == (
        True,
        False,
    )

    def move(tx: Unit) -> None:
        organisation.withdraw(tx, ROOT, olena, "position", "op-1")
        organisation.appoint(tx, ROOT, olena, "position", "op-2")

    await house.access.change(ROOT, move)
    assert (house.may("olena", "conversation.read", here), house.may("olena", "conversation.read", there)) == (
        False,
        True,
    )


async def test_time_alone_changes_rights_and_wakes_streams(house: House, clock: FakeClock) -> None:
    """A grant that ends is over at that moment, and whoever waits hears of it."""
    await house.give("olena", "operator", valid_until=clock.now() + 60)
    version = house.access.version
    woken = asyncio.create_task(house.access.changed(version))
    await clock.sleeping()
    assert house.may("olena", "conversation.read", UKC)
    await clock.advance(61)
    assert await asyncio.wait_for(woken, 30) > version
    assert not house.may("olena", "conversation.read", UKC)


async def test_nobody_gives_himself_rights(house: House) -> None:
    """Not by a grant, not by a role he has, not by a position."""
    admin, me = house.actor("admin"), house.ids["admin"]
    with pytest.raises(Denied, match="himself"):
        await house.give("admin", "operator", admin)
    with pytest.raises(Denied, match="himself"):
        await house.access.change(
            admin, lambda tx: roles.change(tx, admin, "admin", permissions=["role.edit", "file.read"])
        )
    terms = {"scope": "all", "level": 1, "reason": "test"}
    await house.access.change(ROOT, lambda tx: grants.give(tx, ROOT, "operator", "group", "veterans", **terms))  # type: ignore[arg-type]
    with pytest.raises(Denied, match="himself"):
        await house.access.change(admin, lambda tx: organisation.appoint(tx, admin, me, "group", "veterans"))
    assert not house.may("admin", "conversation.read", UKC)


async def test_nobody_gives_more_than_he_may(house: House) -> None:
    """Not in another company, not at a higher level, and nothing that governs rights which he has not himself."""
    await house.give("taras", "admin", scope="company", scope_id="ukc", level=2)
    taras = house.actor("taras")
    await house.give("olena", "operator", taras, scope="company", scope_id="ukc", level=2)
    for terms in ({"scope": "all"}, {"scope": "company", "scope_id": "diia"}, {"scope": "own"}):
        if terms["scope"] == "own":
            await house.give("olena", "operator", taras, **terms)  # of her own, in her own company: within his right
            continue
        with pytest.raises(Denied, match="further than your own"):
            await house.give("olena", "operator", taras, **terms)
    with pytest.raises(Denied, match="further than your own"):
        await house.give("olena", "operator", taras, scope="company", scope_id="ukc", level=3)
    await house.access.change(ROOT, lambda tx: roles.create(tx, ROOT, "auditor", {"uk": "Аудитор"}, ["audit.read"]))
    with pytest.raises(Denied, match="you do not have there yourself"):
        await house.give("olena", "auditor", taras, scope="company", scope_id="ukc", level=1)


async def test_who_appoints_lets_nobody_have_more_than_he_may_appoint_to(house: House) -> None:
    """A position of another company stays out of reach, whatever it gives."""
    give = {"scope": "company", "level": 1, "reason": "work"}
    await house.access.change(ROOT, lambda tx: grants.give(tx, ROOT, "operator", "title", "operator", **give))  # type: ignore[arg-type]
    await house.give("taras", "admin", scope="company", scope_id="ukc", level=2)
    taras, olena = house.actor("taras"), house.ids["olena"]
    await house.access.change(taras, lambda tx: organisation.appoint(tx, taras, olena, "position", "op-1"))
    with pytest.raises(Denied, match="does not reach"):
        await house.access.change(taras, lambda tx: organisation.appoint(tx, taras, olena, "position", "op-2"))


async def test_the_highest_level_needs_a_second_person(house: House) -> None:
    """A grant of level 3 waits; who gave it cannot approve it; another one can, and why-not says what is missing."""
    admin, second = house.actor("admin"), house.actor("second")
    await house.give("second", "admin", level=3)
    waiting = [each.id for each in house.access.snapshot.grant.values() if each.waits]
    await house.access.change(admin, lambda tx: grants.approve(tx, admin, waiting[0]))
    await house.access.change(ROOT, lambda tx: people.change(tx, ROOT, house.ids["olena"], level=3))
    grant = await house.give("olena", "operator", admin, level=3)
    assert not house.may("olena", "conversation.read", Object("ukc", level=3))
    why = house.access.why_not(house.ids["olena"], "conversation.read", Object("ukc", level=3))
    assert why.reason == "waits_for_approval"
    with pytest.raises(Denied, match="cannot approve"):
        await house.access.change(admin, lambda tx: grants.approve(tx, admin, grant))
    await house.access.change(second, lambda tx: grants.approve(tx, second, grant))
    assert house.may("olena", "conversation.read", Object("ukc", level=3))


async def test_the_last_administrator_stays(house: House) -> None:
    """He can be neither blocked nor deprived, also at the console; with a second one he can."""
    block: Callable[[Unit], Any] = lambda tx: people.block(tx, ROOT, house.ids["admin"], "test")  # noqa: E731
    with pytest.raises(BadRequest, match="nobody would be left"):
        await house.access.change(ROOT, block)
    grant = next(iter(house.access.snapshot.grant))
    with pytest.raises(BadRequest, match="nobody would be left"):
        await house.access.change(ROOT, lambda tx: grants.revoke(tx, ROOT, grant, "test"))
    await house.give("second", "admin")
    await house.access.change(ROOT, block)
    assert not house.may("admin", "grant.give", UKC)


async def test_separated_duties_do_not_come_together(house: House) -> None:
    """What would give somebody both halves is refused and names him; what is already so denies both."""
    await house.access.change(ROOT, lambda tx: roles.create(tx, ROOT, "doer", {"uk": "Д"}, ["dead.replay"]))
    await house.access.change(ROOT, lambda tx: roles.create(tx, ROOT, "judge", {"uk": "С"}, ["dead.discard"]))
    await house.give("olena", "doer")
    rule = ("s1", "static", "dead.replay", "dead.discard", "one does, another judges")
    await house.access.change(ROOT, lambda tx: rules.separate(tx, ROOT, *rule))
    with pytest.raises(BadRequest, match="olena would have both"):
        await house.give("olena", "judge")
    assert house.may("olena", "dead.replay", UKC)


async def test_an_emergency_is_short_and_told(house: House, clock: FakeClock) -> None:
    """With the permission and a reason, at once, for an hour at most; the audit has a row of its own kind."""
    olena = house.actor("olena")
    reason = "a life is in danger, the letter tells where"

    def take(tx: Unit, seconds: float = 600, role: str = "urgent") -> str:
        return grants.emergency(
            tx, olena, role, scope="company", scope_id="ukc", level=2, seconds=seconds, reason=reason
        )

    need = Need("access.emergency", Object("ukc", level=2))
    with pytest.raises(Denied):
        await house.access.change(olena, take, need)
    await house.access.change(ROOT, lambda tx: roles.create(tx, ROOT, "brave", {"uk": "Б"}, ["access.emergency"]))
    await house.give("olena", "brave", scope="company", scope_id="ukc")
    with pytest.raises(BadRequest, match="60 minutes"):
        await house.access.change(olena, lambda tx: take(tx, 3601), need)
    with pytest.raises(BadRequest, match="not a role for emergencies"):
        await house.access.change(olena, lambda tx: take(tx, 600, "operator"), need)
    await house.access.change(olena, take, need)
    assert house.may("olena", "message.read_body", UKC)
    assert not house.may("olena", "message.read_body", DIIA)
    (told,) = await audited(house.access.store, "access.emergency")
    assert (told["actor"], reason in told["after"]) == ("person/olena", True)
    await clock.advance(601)
    assert not house.may("olena", "message.read_body", UKC)


async def test_a_rehearsal_tells_who_gains_and_who_loses_and_changes_nothing(house: House, small: Store) -> None:
    """Not a row, not the revision, not the audit."""
    await house.give("olena", "operator", scope="company", scope_id="ukc")
    await house.give("taras", "operator", scope="company", scope_id="ukc")
    before, audit = (
        house.access.snapshot,
        await small.read(lambda c: c.exec_driver_sql("select count(*) from audit").scalar()),
    )
    wanted = ["conversation.read", "file.read"]
    found = await house.access.rehearse(ROOT, lambda tx: roles.change(tx, ROOT, "operator", permissions=wanted))
    told = {(change.person, change.permission, change.more, change.less) for change in found}
    assert told == {
        (house.ids[login], permission, more, not more)
        for login in ("olena", "taras")
        for permission, more in (("conversation.reply", False), ("file.read", True))
    }
    assert house.access.snapshot is before
    assert (await rows(small, select(tables.revision)))[0]["n"] == before.revision
    assert len(await rows(small, select(schema.audit))) == audit


async def test_changes_that_meet_are_all_checked_against_what_is(house: House) -> None:
    """Some at once: each is done on the state it was checked against, or checked again."""

    def new(name: str) -> Callable[[Unit], None]:
        return lambda tx: roles.create(tx, ROOT, name, {"uk": name}, ["file.read"])

    fresh = ["r1", "r2", "r3", "r4"]
    await asyncio.gather(*(house.access.change(ROOT, new(name)) for name in fresh))
    assert set(fresh) <= house.access.snapshot.role.keys()


async def test_who_is_denied_learns_why_and_whom_to_ask(house: House) -> None:
    """The error carries the reason and the name of somebody who can help."""
    await house.give("olena", "operator", scope="company", scope_id="ukc", level=1)
    olena = house.ids["olena"]
    with pytest.raises(Denied) as denied:
        house.access.demand(olena, "conversation.read", DIIA)
    assert denied.value.facts["reason"] == "out_of_scope"
    assert "admin" in denied.value.hint
    why = house.access.why_not(olena, "conversation.read", Object("ukc", level=2))
    assert (why.reason, why.en) == ("level_too_low", "Level 2 is needed, level 1 was given.")
    assert house.access.why_not(olena, "file.read", UKC).reason == "no_right"
    assert house.access.why_not("nobody", "file.read", UKC).reason == "unknown_person"
    assert house.access.why_not(olena, "file.eat", UKC).reason == "unknown_permission"


async def test_fields_are_masked_and_hidden_below_their_level(house: House) -> None:
    """A telephone keeps two digits, a number of the tax office is not there at all; who is cleared sees both."""
    for name, level, below in (("phone", 2, "mask"), ("rnokpp", 3, "hide")):
        await house.access.change(
            ROOT, partial(rules.show_from, by=ROOT, kind="message", name=name, level=level, below=below)
        )
    fields = {"phone": "+380671234567", "rnokpp": "1234567890", "text": "Немає води", "count": None}
    await house.give("olena", "operator", level=1)
    await house.give("taras", "operator", level=2)

    def seen(login: str) -> dict[str, Any]:
        return house.access.shown(house.ids[login], "conversation.read", UKC, "message", fields)

    assert seen("olena") == {"phone": "•••67", "text": "Немає води", "count": None}
    assert seen("taras") == {"phone": "+380671234567", "text": "Немає води", "count": None}


async def test_a_decision_never_raises(house: House) -> None:
    """Whatever is asked: the answer to nonsense is no."""
    await house.give("olena", "operator", scope="company", scope_id="ukc")
    for thing in (Object(company=["ukc"]), Object("ukc", level="2"), "ukc"):  # type: ignore[arg-type]
        assert not house.may("olena", "conversation.read", thing)  # type: ignore[arg-type]


async def test_what_is_not_there_cannot_be_named(house: House) -> None:
    """Roles, people, units, scopes and permissions are looked for before anything is written."""

    def give(tx: Unit, role: str, kind: str, to: str, **terms: Any) -> str:
        return grants.give(tx, ROOT, role, kind, to, **{"scope": "all", "reason": "test", **terms})

    olena = house.ids["olena"]
    wrong: list[tuple[Callable[[Unit], Any], type[Exception]]] = [
        (lambda tx: give(tx, "none", "person", olena), NotFound),
        (lambda tx: give(tx, "operator", "person", "nobody"), NotFound),
        (lambda tx: give(tx, "operator", "title", "operator@none"), NotFound),
        (lambda tx: give(tx, "operator", "everyone", ""), BadRequest),
        (lambda tx: give(tx, "operator", "group", "veterans", scope="unit", scope_id="ukc"), NotFound),
        (lambda tx: give(tx, "operator", "group", "veterans", scope_id="ukc"), BadRequest),
        (lambda tx: give(tx, "operator", "group", "veterans", scope="some"), BadRequest),
        (lambda tx: give(tx, "operator", "group", "veterans", reason=" "), BadRequest),
        (lambda tx: give(tx, "operator", "group", "veterans", valid_until=1.0), BadRequest),
        (lambda tx: roles.create(tx, ROOT, "new", {"uk": "Н"}, ["file.eat"]), BadRequest),
        (lambda tx: roles.change(tx, ROOT, "operator", includes=["operator"]), BadRequest),
        (lambda tx: roles.remove(tx, ROOT, "admin", "test"), BadRequest),
        (lambda tx: rules.forbid(tx, ROOT, "f", ["eat.*"], reason="x"), BadRequest),
        (lambda tx: organisation.change_unit(tx, ROOT, "hall", parent="shift-1"), BadRequest),
        (lambda tx: organisation.remove_unit(tx, ROOT, "hall", "x"), BadRequest),
    ]
    for unit, kind in wrong:
        with pytest.raises(kind):
            await house.access.change(ROOT, unit)
    assert await rows(house.access.store, select(tables.forbid)) == []
