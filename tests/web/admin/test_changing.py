"""Promises of changes made on pages: told beforehand, guarded in words, and never further than one's own rights."""

from __future__ import annotations

import json
from typing import Any

from flows.access import grants, organisation, people
from flows.access.changes import Unit
from flows.access.permissions import CATALOGUE
from pipe.store.schema import audit
from tests.web.admin.test_limits import limited
from tests.web.pages.site import CONSOLE, Pages, Visitor

BOSS, OFFICER, OPERATOR = "boss@ukc.gov.ua", "officer@ukc.gov.ua", "operator@ukc.gov.ua"
EVERYTHING = [each.name for each in CATALOGUE]


async def asked(visitor: Visitor, method: str, path: str, **body: Any) -> tuple[int, Any]:
    """Status and JSON of an operation of the API, with the session's proof."""
    headers = {"X-CSRF-Token": (await visitor.get("/me")).csrf, "Origin": visitor.address}
    async with visitor.client.request(method, f"/api/v1{path}", json=body, headers=headers) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text else None


async def test_a_rehearsal_says_who_would_gain_and_changes_nothing(site: Pages) -> None:
    """The page offers the same form once more; the API has the whole list; the audit has no word of it."""
    await site.person(BOSS, *EVERYTHING)
    await site.person(OPERATOR, name="Оксана <Мельник>")
    access = site.gateway.staff.access
    before = access.snapshot
    gift = {"to": f"person:{OPERATOR}", "role": "analyst", "scope": "all", "level": "1", "reason": "звіти"}
    async with site.visitor() as visitor:
        await visitor.sign_in(BOSS)
        await visitor.get("/admin/grants/new")
        page = await visitor.post("/admin/grants/new", **gift, rehearse="true")
        assert (page.status, "Торкнеться 1 людини" in page.text) == (200, True)
        assert "Оксана &lt;Мельник&gt;" in page.text
        status, told = await asked(visitor, "POST", "/grants", **{**gift, "level": 1}, rehearse=True)
        assert (status, told["done"], told["people"]) == (200, False, 1)
        assert {each["permission"] for each in told["effects"]} == {
            "company.read", "report.read", "report.export", "ledger.read", "gateway.read",
        }  # fmt: skip
        assert access.snapshot is before
        await visitor.get("/admin/grants/new")
        done = await visitor.post("/admin/grants/new", **gift)
        assert "Надано. Права змінилися в 1 людини." in done.text
    query = audit.select().where(audit.c.event == "grant.given", audit.c.target == OPERATOR)
    assert len(await site.gateway.store.read(lambda connection: connection.execute(query).all())) == 1


async def test_what_the_guard_says_stands_beside_the_form_and_in_the_audit(site: Pages) -> None:
    """Nobody gives himself rights: the page says so in its place with whom to ask, the API answers 403."""
    await site.person(BOSS, "grant.give", "grant.read")
    await site.person(OFFICER, "grant.give", name="Ольга Гнатюк")
    mine = {"to": f"person:{BOSS}", "role": "analyst", "reason": "для себе"}
    async with site.visitor() as visitor:
        await visitor.sign_in(BOSS)
        await visitor.get("/admin/grants/new")
        page = await visitor.post("/admin/grants/new", **mine)
        says = "Ніхто не надає прав собі".lower()
        asks = "Зверніться до того, хто має право grant.give: Ольга Гнатюк."
        assert (page.status, says in page.text.lower(), asks in page.text) == (422, True, True)
        await visitor.post("/look", language="en", back="/admin/grants/new")
        english = (await visitor.post("/admin/grants/new", **mine)).text
        assert "nobody gives himself rights" in english
        assert "Ask another person with `grant.give`: Ольга Гнатюк." in english
        assert (await asked(visitor, "POST", "/grants", **mine))[0] == 403
    query = audit.select().where(audit.c.event == "access.denied")
    assert len(await site.gateway.store.read(lambda connection: connection.execute(query).all())) == 3


async def test_a_security_officer_approves_what_another_has_given(site: Pages) -> None:
    """Without the right to give; who gave it does not approve it."""
    await site.person(BOSS, *EVERYTHING)
    officer = await site.person(OFFICER)
    operator = await site.person(OPERATOR)

    def give(tx: Unit) -> str:
        fresh = grants.give(tx, CONSOLE, "security-officer", "person", officer, scope="all", level=2, reason="test")
        assert fresh
        return grants.give(tx, CONSOLE, "operator", "person", operator, scope="all", level=3, reason="test")

    access = site.gateway.staff.access
    waiting = await access.change(CONSOLE, give)
    assert not access.may(operator, "conversation.read")
    async with site.visitor() as visitor:
        await visitor.sign_in(OFFICER)
        assert (await asked(visitor, "POST", f"/grants/{waiting}/approve"))[0] == 200
    assert access.may(operator, "conversation.read")


async def test_an_emergency_reaches_no_further_than_its_permission(site: Pages) -> None:
    """For one company, up to a level: not everywhere, not higher."""
    person = await limited_to_a_company(site)
    take = {"role": "message-reader", "minutes": 30, "reason": "лист про загрозу життю"}
    async with site.visitor() as visitor:
        await visitor.sign_in(OPERATOR)
        too_far = [
            (await asked(visitor, "POST", "/me/emergency", **take, scope=scope, level=level))[0]
            for scope, level in (("all", 2), ("company:diia", 2), ("company:ukc", 3))
        ]
        assert too_far == [403, 403, 403]
        await visitor.get("/me/emergency")
        form = {"role": "message-reader", "minutes": "30", "reason": "лист про загрозу життю"}
        page = await visitor.post("/me/emergency", **form, scope="all", level="2")
        assert (page.status, "Це сягає далі, ніж ваше власне право надавати: усюди" in page.text) == (403, True)
        assert "access.emergency: адміністратор прав" in page.text
        assert (await asked(visitor, "POST", "/me/emergency", **take, scope="company:ukc", level=2))[0] == 204
    assert site.gateway.staff.access.may(person, "message.read_body")


async def limited_to_a_company(site: Pages) -> str:
    """Somebody who may take emergency roles in one of two companies."""

    def companies(tx: Unit) -> None:
        for each in ("ukc", "diia"):
            organisation.add_company(tx, CONSOLE, each, "2.1", {"uk": each})

    await site.gateway.staff.access.change(CONSOLE, companies)
    return await limited(site, OPERATOR, "ukc", "access.emergency")


async def test_a_place_that_rights_name_is_not_removed(site: Pages) -> None:
    """The next unit of its name would have them, in whichever company."""
    await site.person(BOSS, *EVERYTHING)
    await limited_to_a_company(site)

    def unit(tx: Unit) -> str:
        organisation.add_unit(tx, CONSOLE, "hall", "ukc", {"uk": "зала"})
        return grants.give(tx, CONSOLE, "operator", "title", "lead@hall", scope="company", reason="test")

    named = await site.gateway.staff.access.change(CONSOLE, unit)
    async with site.visitor() as visitor:
        await visitor.sign_in(BOSS)
        remove = ("POST", "/companies/ukc/units/hall/remove")
        status, said = await asked(visitor, *remove, reason="порожня")
        assert (status, "take" in said["detail"] or "rights" in said["detail"]) == (409, True)
        await asked(visitor, "POST", f"/grants/{named}/revoke", reason="зайве")
        assert (await asked(visitor, *remove, reason="порожня"))[0] == 200


async def test_a_company_administrator_sees_and_gives_within_the_company(site: Pages) -> None:
    """Forms offer no other company; what reaches further is refused, what lies within is given."""
    await limited_to_a_company(site)
    boss = await site.person(BOSS)

    def give(tx: Unit) -> None:
        people.change(tx, CONSOLE, boss, company="ukc")
        more: dict[str, Any] = {"scope": "company", "scope_id": "ukc", "level": 2, "reason": "test"}
        grants.give(tx, CONSOLE, "company-administrator", "person", boss, **more)

    await site.gateway.staff.access.change(CONSOLE, give)
    gift = {"to": f"person:{OPERATOR}", "role": "operator", "level": 1, "reason": "зміна"}
    async with site.visitor() as visitor:
        await visitor.sign_in(BOSS)
        form = (await visitor.get("/admin/grants/new")).text
        assert ("company:ukc" in form, "company:diia" in form, 'value="all"' in form) == (True, False, False)
        assert (await asked(visitor, "POST", "/grants", **gift, scope="all"))[0] == 403
        assert (await asked(visitor, "POST", "/grants", **gift, scope="company:diia"))[0] == 403
        assert (await asked(visitor, "POST", "/grants", **gift, scope="company:ukc"))[0] == 200
        fresh = {"name": "Новий Оператор", "login": "new@ukc.gov.ua"}
        assert (await asked(visitor, "POST", "/people", **fresh))[0] == 403
        assert (await asked(visitor, "POST", "/people", **fresh, company="ukc"))[0] == 201


async def test_json_says_what_it_means_and_an_address_says_nothing_twice(site: Pages) -> None:
    """0 is no `false` and `"1"` no number; of two values of one name another program might take the other."""
    await site.person(BOSS, *EVERYTHING)
    async with site.visitor() as visitor:
        await visitor.sign_in(BOSS)
        statuses = [
            (await asked(visitor, "POST", "/companies", id="c", uk="Компанія", rehearse=said))[0]
            for said in (0, "false")
        ]
        assert statuses == [422, 422]
        assert (await visitor.get("/api/v1/people?page=1&page=2")).status == 400
        assert (await visitor.get("/api/v1/audit?last=0")).status == 422


async def test_a_role_is_made_changed_and_removed_over_the_api(site: Pages) -> None:
    """Each with its effects; who has the role gains and loses with it."""
    await site.person(BOSS, *EVERYTHING)
    operator = await site.person(OPERATOR)
    access = site.gateway.staff.access
    async with site.visitor() as visitor:
        await visitor.sign_in(BOSS)
        made = await asked(visitor, "POST", "/roles", id="readers", uk="Читачі", permissions=["file.read"])
        assert (made[0], made[1]["people"]) == (200, 0)
        gift = {"to": f"person:{OPERATOR}", "role": "readers", "reason": "архів"}
        assert (await asked(visitor, "POST", "/grants", **gift))[1]["people"] == 1
        changed = await asked(visitor, "PUT", "/roles/readers", uk="Читачі", permissions=["file.add"])
        assert [(each["permission"], bool(each["gains"])) for each in changed[1]["effects"]] == [
            ("file.add", True), ("file.read", False),
        ]  # fmt: skip
        assert (access.may(operator, "file.add"), access.may(operator, "file.read")) == (True, False)
        assert (await asked(visitor, "POST", "/roles/readers/remove", reason="зайва"))[0] == 409
        (grant,) = [each.id for each in access.snapshot.grant.values() if each.role == "readers"]
        assert (await asked(visitor, "POST", f"/grants/{grant}/revoke", reason="зайве"))[1]["people"] == 1
        assert (await asked(visitor, "POST", "/roles/readers/remove", reason="зайва"))[0] == 200
        assert (await visitor.get("/api/v1/roles/readers")).status == 404


async def test_what_is_exported_is_what_can_be_imported(site: Pages) -> None:
    """Over the API too, with a key; only whom one may export, and nothing that a spreadsheet would calculate."""
    await limited_to_a_company(site)
    await site.person("eve@ukc.gov.ua", name="=cmd()")
    robot = await site.person("reports", *EVERYTHING, kind="service")
    key = {"Authorization": f"Bearer {await site.key(robot)}"}
    async with site.visitor() as visitor:
        async with visitor.client.get("/api/v1/people.csv", headers=key) as answer:
            table = (await answer.text()).removeprefix("\ufeff")
            assert (answer.status, answer.content_type) == (200, "text/csv")
        async with visitor.client.post("/api/v1/people/import", headers=key, json={"text": table}) as answer:
            told = await answer.json()
        narrow = {"Authorization": f"Bearer {await site.key(robot, 'person.create')}"}
        async with visitor.client.post("/api/v1/people/import", headers=narrow, json={"text": table}) as answer:
            assert answer.status == 403
    assert "'=cmd()" in table
    assert (told["same"], told["new"], told["changed"], told["wrong"]) == (3, 0, 0, 0)
