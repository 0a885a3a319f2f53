"""Promises of who reaches how far on the admin pages: nobody becomes somebody else, nobody sees what is not his."""

from __future__ import annotations

import csv
import io

import pytest

from flows.access import grants, organisation, people, roles
from flows.access.changes import Unit
from flows.access.tables import session
from pipe.store.schema import audit
from tests.web.pages.site import CONSOLE, PASSWORD, Pages, Visitor
from tests.web.signin.test_login import with_app

HELPDESK, BOSS = "help@ukc.gov.ua", "boss@ukc.gov.ua"


async def in_company(site: Pages, company: str, id_of: str) -> None:
    """Makes the person a member of a new company."""

    def make(tx: Unit) -> None:
        organisation.add_company(tx, CONSOLE, company, "2.1", {"uk": company})
        people.change(tx, CONSOLE, id_of, company=company)

    await site.gateway.staff.access.change(CONSOLE, make)


async def limited(site: Pages, login: str, company: str, *permissions: str) -> str:
    """Somebody with permissions for one company."""
    made = await site.person(login)

    def give(tx: Unit) -> None:
        roles.create(tx, CONSOLE, f"r-{company}", {"uk": "роль"}, permissions)
        grants.give(
            tx, CONSOLE, f"r-{company}", "person", made, scope="company", scope_id=company, level=2, reason="test"
        )

    await site.gateway.staff.access.change(CONSOLE, give)
    return made


async def audited(site: Pages, event: str) -> int:
    """How many rows of an event there are."""
    query = audit.select().where(audit.c.event == event)
    return await site.gateway.store.read(lambda connection: len(connection.execute(query).all()))


async def sent(visitor: Visitor, path: str, **values: str) -> int:
    """Sends a form from whichever page; the status."""
    await visitor.get("/me")
    return (await visitor.post(path, **values)).status


async def test_who_resets_passwords_does_not_become_an_administrator(site: Pages) -> None:
    """The new password is shown to whoever resets it: a helpdesk would govern rights with it."""
    await site.person(HELPDESK, "password.reset", "person.read")
    boss = await site.person(BOSS, "grant.give", "role.edit", "person.read")
    operator = await site.person("operator@ukc.gov.ua", "message.read")
    async with site.visitor() as visitor:
        await visitor.sign_in(HELPDESK)
        assert await sent(visitor, f"/admin/people/{boss}/reset") == 403
        assert await sent(visitor, f"/admin/people/{operator}/reset") == 200
    async with site.visitor() as visitor:
        assert (await visitor.sign_in(BOSS)).url.path == "/admin"
    assert (await audited(site, "access.denied"), await audited(site, "password.reset")) == (1, 1)


async def test_nobody_resets_their_own_password(site: Pages) -> None:
    """A borrowed session would learn a new password so, and be rid of the second factor."""
    me = await site.person(HELPDESK, "password.reset", "person.read")
    async with site.visitor() as visitor:
        await visitor.sign_in(HELPDESK)
        assert await sent(visitor, f"/admin/people/{me}/reset") == 422
    assert await audited(site, "password.reset") == 0


async def test_who_issues_keys_gets_no_more_by_them(site: Pages) -> None:
    """A key of an account that governs rights is for who governs them."""
    await site.person(HELPDESK, "key.issue", "key.read", "person.read")
    await site.person("robot", "grant.give", kind="service")
    await site.person("reports", "message.read", kind="service")
    async with site.visitor() as visitor:
        await visitor.sign_in(HELPDESK)
        assert await sent(visitor, "/admin/keys", login="robot", name="for me") == 403
        assert await sent(visitor, "/admin/keys", login="reports", name="for reports") == 201


@pytest.mark.parametrize("path", ["/api/v1/audit", "/admin/audit.csv", "/api/v1/audit/verify"])
async def test_the_audit_is_of_no_company(site: Pages, path: str) -> None:
    """Who may read it for one company only reads nothing of the others."""
    await in_company(site, "ukc", await site.person(BOSS))
    await limited(site, HELPDESK, "ukc", "audit.read", "audit.export", "audit.verify")
    async with site.visitor() as visitor:
        await visitor.sign_in(HELPDESK)
        answer = await visitor.get(path)
    assert "signin.ok" not in answer.text
    assert answer.status == (403 if path.endswith("verify") else 200)


async def test_the_first_page_counts_only_what_one_may_see(site: Pages) -> None:
    """Nothing for who has no right, the members of one company for who sees those."""
    await in_company(site, "ukc", await site.person(BOSS))
    await limited(site, HELPDESK, "ukc", "person.read")
    await site.person("nobody@ukc.gov.ua")
    counts = []
    for login in (HELPDESK, "nobody@ukc.gov.ua"):
        async with site.visitor() as visitor:
            await visitor.sign_in(login)
            async with visitor.client.get("/api/v1/admin") as answer:
                counts.append((await answer.json())["counts"])
    assert counts[0]["people.everybody"] == 1
    assert set(counts[1].values()) == {0}


async def test_the_export_holds_what_the_page_shows(site: Pages) -> None:
    """The words that were looked for narrow it, too, and no cell is a formula."""
    await site.person(BOSS, "audit.read", "audit.export")
    await site.gateway.store.write(lambda tx: tx.audit("role.created", target="=HYPERLINK(1)", actor="console"))
    async with site.visitor() as visitor:
        await visitor.sign_in(BOSS)
        rows = list(csv.DictReader(io.StringIO((await visitor.get("/admin/audit.csv?q=HYPERLINK")).text)))
    assert [row["target"] for row in rows] == ["'=HYPERLINK(1)"]


async def test_a_half_done_sign_in_ends_with_the_password_it_began_with(site: Pages) -> None:
    """Who knew the old password and waits for a code has begun for nothing."""
    await site.person(HELPDESK)
    async with site.visitor() as owner, site.visitor() as thief:
        await owner.sign_in(HELPDESK)
        await with_app(site, owner)
        assert (await thief.sign_in(HELPDESK)).url.path == "/login/code"
        await owner.get("/me/password")
        fresh = "новий чайник на вікні"
        assert (await owner.post("/me/password", current=PASSWORD, password=fresh, repeated=fresh)).url.path == "/me"
        assert (await thief.get("/login/code")).url.path == "/login"
    open_ = session.select().where(session.c.ended_at.is_(None))
    assert await site.gateway.store.read(lambda connection: len(connection.execute(open_).all())) == 1
