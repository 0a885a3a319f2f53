"""Every operation of the API asked by the wrong person: who governs one company does nothing to another's things."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from flows.access import grants, organisation, people, roles
from flows.access.changes import Unit
from flows.access.permissions import CATALOGUE
from flows.access.tables import session
from tests.web.pages.site import CONSOLE, Pages, Visitor
from web.catalogue import AREAS
from web.pages.router import API, Operation, Router

WHY = {"reason": "swapped"}
NAMES = {"uk": "Назва", "en": "Name"}
BODIES: dict[str, dict[str, Any]] = {
    "person.edit": {"name": "Інше Ім’я", "email": None, "company": "{there}"},
    "person.block": WHY, "person.admit": WHY, "person.dismiss": WHY, "person.reset": {}, "person.end_sessions": {},
    "places.appoint": {"place": "unit:hall-{there}"}, "places.withdraw": {},
    "companies.change": {**NAMES, "section": "2"}, "companies.close": WHY, "companies.reopen": WHY,
    "companies.add_unit": {**NAMES, "id": "fresh"}, "companies.remove_unit": WHY,
    "companies.add_position": {**NAMES, "id": "fresh", "unit": "hall-{there}", "title": "operator"},
    "companies.remove_position": WHY, "groups.remove_group": WHY,
    "grants.approve": {}, "grants.revoke": WHY,
    "otp.change": {"enabled": False}, "otp.test": {}, "otp.unlock": {"login": "member@{there}.ua"},
    "sessions.end": {}, "keys.revoke": {}, "me.end_mine": {},
}  # fmt: skip
"""a good body for each operation on something that has a company"""
OF_NO_COMPANY = {
    "roles.one", "roles.change", "roles.remove", "rules.lift", "rules.join", "rules.show_always",
}  # fmt: skip
"""roles and rules are of no company: whose rights are for one company changes none of them"""


@dataclass
class Place:
    """A company with something of each kind."""

    company: str
    boss: str = ""
    member: str = ""
    ids: dict[str, str] = field(default_factory=dict)


def operations() -> list[Operation]:
    """Those of the API that name a thing which a company may have."""
    found = [each for each in Router(AREAS).operations if each.api is not None and "{" in each.api]
    return [each for each in found if not each.whole]


def path_of(operation: Operation, place: Place) -> tuple[str, str]:
    """Method and address of the operation on the things of a place."""
    method, _, path = (operation.api or "").partition(" ")
    area = operation.name.partition(".")[0]
    things = {
        "person": {"id": place.member},
        "places": {"id": place.member, "kind": "position", "of": f"op-{place.company}"},
        "companies": {"id": place.company, "unit": f"empty-{place.company}", "position": f"free-{place.company}"},
        "otp": {"company": place.company},
        "groups": {"id": f"group-{place.company}"},
        "grants": {"id": place.ids["grant"]},
        "sessions": {"id": place.ids["session"]},
        "me": {"id": place.ids["session"]},
        "keys": {"id": place.ids["key"]},
    }[area]
    return method, API + path.format(**things)


async def furnished(site: Pages, company: str) -> Place:
    """A company, somebody who governs all of it, a member with a place, a session, a service with a key, a grant."""
    boss = await site.person(f"boss@{company}.ua")
    member, robot = await site.person(f"member@{company}.ua"), await site.person(f"robot-{company}", kind="service")
    place = Place(company, f"boss@{company}.ua", member)

    def make(tx: Unit) -> None:
        organisation.add_company(tx, CONSOLE, company, "2.1", {"uk": company})
        for each in (boss, member, robot):
            people.change(tx, CONSOLE, each, company=company)
        for unit in ("hall", "empty"):
            organisation.add_unit(tx, CONSOLE, f"{unit}-{company}", company, {"uk": unit})
        for position in ("op", "free"):
            organisation.add_position(
                tx, CONSOLE, f"{position}-{company}", f"hall-{company}", "operator", {"uk": position}
            )
        organisation.add_group(tx, CONSOLE, f"group-{company}", {"uk": "група"}, company)
        organisation.appoint(tx, CONSOLE, member, "position", f"op-{company}")
        roles.create(tx, CONSOLE, f"all-{company}", {"uk": "усе"}, [each.name for each in CATALOGUE])
        scope: dict[str, Any] = {"scope": "company", "scope_id": company}
        grants.give(tx, CONSOLE, f"all-{company}", "person", boss, level=2, reason="test", **scope)
        place.ids["grant"] = grants.give(tx, CONSOLE, "operator", "person", member, level=3, reason="test", **scope)

    await site.gateway.staff.access.change(CONSOLE, make)
    key = await site.key(robot)
    place.ids["key"] = key.split("_")[1]
    async with site.visitor() as visitor:
        await visitor.sign_in(f"member@{company}.ua")
    query = session.select().where(session.c.person == member)
    place.ids["session"] = await site.gateway.store.read(lambda connection: connection.execute(query).first().id)  # type: ignore[union-attr]
    return place


async def asked(visitor: Visitor, operation: Operation, place: Place) -> int:
    """The status of the operation on the things of a place."""
    method, path = path_of(operation, place)
    text = BODIES.get(operation.name, {})
    body = {k: v.replace("{there}", place.company) if isinstance(v, str) else v for k, v in text.items()}
    token = (await visitor.get("/me")).csrf
    headers = {"X-CSRF-Token": token, "Origin": visitor.address}
    sent = {"headers": headers} if method == "GET" else {"headers": headers, "json": body}
    async with visitor.client.request(method, path, **sent) as answer:
        return answer.status


def test_every_operation_on_a_thing_is_walked() -> None:
    """Whoever adds one says here how to ask it of somebody else's thing, or that the thing is nobody's."""
    named = {each.name for each in operations() if not (each.api or "").startswith("GET ")}
    assert named - OF_NO_COMPANY == set(BODIES)


@pytest.mark.timeout(120)
async def test_nobody_reaches_the_things_of_another_company(site: Pages) -> None:
    """404 or 403 for each of them, and not one row is different; their own are answered well."""
    ours, theirs = await furnished(site, "ukc"), await furnished(site, "diia")
    access = site.gateway.staff.access
    walked = [each for each in operations() if each.name not in OF_NO_COMPANY]
    async with site.visitor() as visitor, site.visitor() as own:
        await visitor.sign_in(ours.boss)
        before = access.snapshot
        foreign = {each.name: await asked(visitor, each, theirs) for each in walked}
        assert {name: status for name, status in foreign.items() if status not in {403, 404}} == {}
        assert access.snapshot.revision == before.revision
        # The same requests are good ones where the thing is one's own; the last ones end what the others need.
        await own.sign_in(theirs.boss)
        last = ("person.block", "person.admit", "person.dismiss", "companies.close", "companies.reopen")
        walked.sort(key=lambda each: (last.index(each.name) + 1) if each.name in last else 0)
        mine = {each.name: await asked(own, each, theirs) for each in walked}
    # Another one's session is not "mine" in any company, and a bot's test goes to one's own chat: nobody has one.
    refused = {name: status for name, status in mine.items() if status >= 400}
    assert set(refused) <= {"me.end_mine", "sessions.end", "otp.test"}, refused


@pytest.mark.parametrize("name", sorted(OF_NO_COMPANY - {"roles.one"}))
async def test_rights_for_one_company_change_no_role_or_rule(site: Pages, name: str) -> None:
    """Those hold for all companies."""
    ours = await furnished(site, "ukc")
    await site.gateway.staff.access.change(
        CONSOLE, lambda tx: roles.create(tx, CONSOLE, "free", {"uk": "вільна"}, ["file.read"])
    )
    (operation,) = (each for each in operations() if each.name == name)
    method, _, path = (operation.api or "").partition(" ")
    body = {**WHY} if name != "roles.change" else {"uk": "Інша", "permissions": []}
    async with site.visitor() as visitor:
        await visitor.sign_in(ours.boss)
        token = (await visitor.get("/me")).csrf
        headers = {"X-CSRF-Token": token, "Origin": site.address}
        address = API + path.format(id="free", kind="conversation", name="phone")
        async with visitor.client.request(method, address, json=body, headers=headers) as answer:
            assert answer.status == 403


async def test_rights_for_one_company_reach_nothing_of_the_gateway_as_a_whole(site: Pages) -> None:
    """Every page and operation that concerns all of it is refused before it is looked what was asked for."""
    ours = await furnished(site, "ukc")
    whole = [each for each in Router(AREAS).operations if each.whole]
    assert {"dead.replay", "messages.content", "connections.pause", "ops.overview"} <= {each.name for each in whole}
    reached = {}
    async with site.visitor() as visitor:
        await visitor.sign_in(ours.boss)
        token = (await visitor.get("/me")).csrf
        headers = {"X-CSRF-Token": token, "Origin": site.address, "Accept": "text/html"}
        for each in whole:
            asked_for = [(each.method, each.path)]
            if each.api is not None:
                method, _, path = each.api.partition(" ")
                asked_for.append((method, API + path))
            for method, path in asked_for:
                address = path.format(id="x", name="box")
                more: dict[str, Any] = {"json": {}} if path.startswith(API) and method != "GET" else {}
                async with visitor.client.request(method, address, headers=headers, **more) as answer:
                    if answer.status != 403:
                        reached[f"{method} {address}"] = answer.status
    assert reached == {}
