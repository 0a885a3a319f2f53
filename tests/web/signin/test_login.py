"""Promises of signing in over HTTP: who gets in, who does not, and what neither can tell from the answers."""

from __future__ import annotations

import asyncio
import base64
import re
import statistics
import time
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from sqlalchemy import update
from yarl import URL

from flows.access import rules
from flows.access.changes import Unit
from flows.access.tables import session
from flows.signin import totp
from flows.signin.passwords import Passwords, forget
from pipe.store.schema import audit
from tests.pipe.running import running
from tests.web.pages.site import CONSOLE, CSRF, PASSWORD, Answer, Pages, Visitor, pages

LOGIN = "anna@ukc.gov.ua"
SECRET = re.compile(r"<code>([A-Z2-7 ]{32,})</code>")


async def audited(site: Pages, event: str) -> list[str]:
    """Whom the audit's rows of an event are about."""
    query = audit.select().where(audit.c.event == event).order_by(audit.c.seq)
    return await site.gateway.store.read(lambda connection: [row.target for row in connection.execute(query)])


async def with_app(site: Pages, visitor: Visitor) -> TOTP:
    """Sets up an authenticator app; returns what it shows."""
    await visitor.get("/me/totp")
    shown = await visitor.post("/me/totp/begin", current=PASSWORD)
    secret = SECRET.search(shown.text)
    assert secret is not None
    codes = TOTP(base64.b32decode(secret[1].replace(" ", "")), 6, SHA1(), 30, enforce_key_length=False)  # noqa: S303
    wrong = await visitor.post("/me/totp", code="000000", app=secret[1])
    assert (wrong.status, SECRET.findall(wrong.text)) == (422, [secret[1]])
    done = await visitor.post("/me/totp", code=codes.generate(time.time()).decode(), app=secret[1])
    assert done.url.path == "/me"
    return codes


# --- the first one ----------------------------------------------------------------------------------------------------


async def test_the_first_password_makes_one_administrator_and_is_gone(site: Pages) -> None:
    """It opens one form, once, and no other page; the administrator has a password of their own."""
    password = site.gateway.staff.first_password
    assert password is not None
    async with site.visitor() as early, site.visitor() as visitor:
        await early.sign_in("admin", password)
        assert (await visitor.sign_in("admin", password)).url.path == "/login/first"
        assert (await early.get("/login/first")).url.path == "/login"
        assert (await visitor.get("/admin")).url.path == "/login"
        await visitor.get("/login/first")
        form = {"name": "Леся Кравець", "login": LOGIN, "password": PASSWORD}
        assert (await visitor.post("/login/first", **form, repeated="інше")).status == 422
        assert (await visitor.post("/login/first", **form, repeated=PASSWORD)).url.path == "/admin"
        assert (await early.sign_in("admin", password)).status == 422
    assert site.gateway.staff.first_password is None
    access = site.gateway.staff.access
    (one,) = access.snapshot.person.values()
    may = [access.may(one.id, each) for each in ("grant.give", "audit.read", "message.read_body", "conversation.read")]
    assert may == [True, True, False, False]


async def test_the_first_password_lies_in_a_file_of_its_owner_where_there_is_no_terminal(tmp_path: Path) -> None:
    """0600, whole, and gone with the first administrator; a start with administrators removes a stale one."""
    async with pages(tmp_path) as site:
        staff, file = site.gateway.staff, site.gateway.settings.data / "first-password"
        staff.keep_password()
        assert (file.stat().st_mode & 0o777, file.read_text().strip()) == (0o600, staff.first_password)
        async with site.visitor() as visitor:
            await visitor.sign_in("admin", file.read_text().strip())
            form = {"name": "Леся Кравець", "login": LOGIN, "password": PASSWORD, "repeated": PASSWORD}
            assert (await visitor.post("/login/first", **form)).url.path == "/admin"
        assert not file.exists()
        file.write_text("stale")
    async with running(tmp_path / "c.yaml") as gateway:
        assert gateway.staff.first_password is None
        assert not (gateway.settings.data / "first-password").exists()


async def test_the_first_password_ends_when_somebody_else_administers(site: Pages) -> None:
    """It opens nothing once a person is there who may sign in."""
    password = site.gateway.staff.first_password
    assert password is not None
    await site.person(LOGIN, "grant.give", "role.edit")
    async with site.visitor() as visitor:
        assert (await visitor.sign_in("admin", password)).status == 422


# --- passwords --------------------------------------------------------------------------------------------------------


async def test_who_may_not_sign_in_gets_one_answer(site: Pages) -> None:
    """Wrong password, unknown login, service account, blocked person: the same page, and what was typed is not kept."""
    await site.person(LOGIN)
    await site.person("robot", kind="service")
    answers: list[Answer] = []
    for login, password in (
        (LOGIN, "не той пароль"),
        ("nobody@ukc.gov.ua", PASSWORD),
        ("robot", PASSWORD),
        ("\u0001'--", "x"),
    ):
        async with site.visitor() as visitor:
            answers.append(await visitor.sign_in(login, password))
    assert {answer.status for answer in answers} == {422}
    bare = {CSRF.sub("", re.sub(r'(name="login"[^>]* value=")[^"]*', r"\1", answer.text)) for answer in answers}
    assert len({re.sub(r'value="[^"]*"', "", text) for text in bare}) == 1
    assert await audited(site, "signin.failed") == [LOGIN, "", "", ""]


async def test_a_login_that_no_store_keeps_is_refused_beside_the_field(site: Pages) -> None:
    """It is nobody's, so nothing is learnt of who there is, and nobody's failure is counted."""
    async with site.visitor() as visitor:
        answer = await visitor.sign_in("admin\u0000", "x")
    assert (answer.status, "знак із кодом 0" in answer.text) == (422, True)
    assert await audited(site, "signin.failed") == []


@pytest.mark.timeout(120)
async def test_times_of_known_and_unknown_logins_do_not_differ(site: Pages) -> None:
    """Both cost one hash. Medians of thirty each, in turn, lie closer together than half of what a hash costs."""
    hasher = PasswordHasher(time_cost=2, memory_cost=8192, parallelism=1)
    site.gateway.staff.site.passwords = passwords = Passwords(hasher)
    await passwords.hash("warm")
    hashed = hasher.hash(PASSWORD)
    ours: list[float] = []
    theirs: list[float] = []
    cost: list[float] = []
    for _ in range(30):
        for kept, times in ((hashed, ours), (None, theirs)):
            began = time.perf_counter()
            assert not await passwords.right(kept, "wrong")
            times.append(time.perf_counter() - began)
        began = time.perf_counter()
        hasher.hash("x")
        cost.append(time.perf_counter() - began)
    assert abs(statistics.median(ours) - statistics.median(theirs)) < statistics.median(cost) / 2


async def test_guessing_is_slowed_down_for_everybody_alike(site: Pages) -> None:
    """After three failures the next try waits, the right password too, and an unknown login as well."""
    await site.person(LOGIN)
    for login in (LOGIN, "nobody@ukc.gov.ua"):
        async with site.visitor() as visitor:
            statuses = [(await visitor.sign_in(login, f"wrong {n}")).status for n in range(4)]
            assert statuses == [422, 422, 422, 429]
            assert (await visitor.sign_in(login)).status == 429
            assert "Спробуйте після" in (visitor.last.text if visitor.last else "")


async def test_a_hundred_wrong_passwords_at_once_are_three_tries(site: Pages) -> None:
    """They are counted before they are looked at."""
    await site.person(LOGIN)
    async with site.visitor() as visitor:
        await visitor.get("/login")
        assert visitor.last is not None
        form = {"_csrf": visitor.last.csrf, "login": LOGIN, "password": "wrong"}
        headers = {"Origin": site.address}

        async def once() -> int:
            async with visitor.client.post("/login", data=form, headers=headers) as answer:
                return answer.status

        statuses = await asyncio.gather(*(once() for _ in range(100)))
    assert sorted(set(statuses)) == [422, 429]
    assert statuses.count(422) == 3


async def test_a_password_that_was_given_is_for_once(site: Pages) -> None:
    """It leads to the choice of one's own and nowhere else; the old one and other sessions end with that."""
    await site.person("boss@ukc.gov.ua", "person.read", "person.create", "password.reset")
    async with site.visitor() as boss, site.visitor() as visitor:
        await boss.sign_in("boss@ukc.gov.ua")
        await boss.get("/admin/people/new")
        given = await boss.post("/admin/people/new", name="Анна Шевчук", login=LOGIN, kind="person")
        found = re.search(r'id="once">([^<]+)<', given.text)
        assert found is not None
        assert (await visitor.sign_in(LOGIN, found[1])).url.path == "/me/password"
        assert (await visitor.get("/admin")).url.path == "/me/password"
        form = {"current": found[1], "password": PASSWORD, "repeated": PASSWORD}
        assert (await visitor.post("/me/password", **form)).url.path == "/me"
        async with site.visitor() as other:
            assert (await other.sign_in(LOGIN, found[1])).status == 422
            assert (await other.sign_in(LOGIN)).url.path == "/admin"
            page = await boss.get("/admin/people?q=Анна")
            person = re.search(r"/admin/people/(0[0-9a-z]{25})", page.text)
            assert person is not None
            await boss.get(f"/admin/people/{person[1]}")
            assert 'id="once"' in (await boss.post(f"/admin/people/{person[1]}/reset")).text
            assert (await other.get("/me")).url.path == "/login"


# --- the second factor ------------------------------------------------------------------------------------------------


async def test_a_code_of_the_app_is_asked_for_and_spent(site: Pages) -> None:
    """Without it nothing opens; a wrong one says how many are left; the right one opens once."""
    await site.person(LOGIN)
    async with site.visitor() as visitor, site.visitor() as thief:
        await visitor.sign_in(LOGIN)
        codes = await with_app(site, visitor)
        assert (await thief.sign_in(LOGIN)).url.path == "/login/code"
        assert (await thief.get("/admin")).url.path == "/login"
        await thief.get("/login/code")
        wrong = await thief.post("/login/code", code="000000")
        assert (wrong.status, "Залишилося 4 спроби" in wrong.text) == (422, True)
        spent = codes.generate(time.time()).decode()
        assert (await thief.post("/login/code", code=spent)).status in {422, 429}
        fresh = codes.generate(time.time() + 30).decode()
        assert (await thief.post("/login/code", code=fresh)).url.path == "/admin"
    assert (await audited(site, "totp.added"), len(await audited(site, "signin.ok"))) == ([LOGIN], 2)


async def test_an_open_session_alone_changes_no_factor(site: Pages) -> None:
    """Whoever has only somebody's session gets no secret, sees none that the owner began, and takes nothing away."""
    me = await site.person(LOGIN)
    async with site.visitor() as owner, site.visitor() as thief:
        for each in (owner, thief):
            await each.sign_in(LOGIN)
            await each.get("/me/totp")
        for given in ({}, {"current": "зовсім інше"}):
            refused = await thief.post("/me/totp/begin", **given)
            assert (refused.status, SECRET.findall(refused.text)) == (422, [])
            assert "зовсім інше" not in refused.text
        begun = SECRET.search((await owner.post("/me/totp/begin", current=PASSWORD)).text)
        assert begun is not None
        assert SECRET.findall((await thief.get("/me/totp")).text) == []
        blind = await thief.post("/me/totp", code="000000", app="AAAA " * 8)
        assert (blind.url.path, SECRET.findall(blind.text)) == ("/me/totp", [])
        await with_app(site, owner)
        await thief.get("/me/totp")
        assert (await thief.post("/me/totp/remove", current="не той пароль")).status == 422
    # Who came by single sign-on and has no password: a sign-in not long ago stands for it.
    async with site.visitor() as fresh, site.visitor() as stale:
        other = await site.person("sso@ukc.gov.ua")
        await fresh.sign_in("sso@ukc.gov.ua")
        await site.gateway.store.write(lambda tx: forget(tx, other))
        await with_app(site, fresh)
        await site.gateway.store.write(lambda tx: tx.execute(update(session).values(created_at=1.0)) and None)
        stale.client.cookie_jar.update_cookies(fresh.client.cookie_jar.filter_cookies(URL(site.address)))
        await stale.get("/me/totp")
        refused = await stale.post("/me/totp/remove")
        assert (refused.status, "Ви увійшли давніше" in refused.text) == (422, True)
    assert await audited(site, "totp.added") == [LOGIN, "sso@ukc.gov.ua"]
    assert await audited(site, "totp.removed") == []
    assert await site.gateway.store.read(lambda connection: totp.has(connection, me))


async def test_what_asks_for_a_fresh_second_factor_says_how_to_go_on(site: Pages) -> None:
    """The page that is denied leads to the code, and the code back to the page."""
    await site.person(LOGIN, "person.read")

    def forbid(tx: Unit) -> None:
        rules.forbid(tx, CONSOLE, "fresh", ["person.read"], factor_within=900, reason="лише після коду")

    async with site.visitor() as visitor:
        await visitor.sign_in(LOGIN)
        await site.gateway.staff.access.change(CONSOLE, forbid)
        denied = await visitor.get("/admin/people?sort=login")
        assert (denied.status, "Підтвердити другим чинником" in denied.text) == (403, True)
        assert (await visitor.post("/me/confirm", to="/admin/people")).url.path == "/me/totp"
        codes = await with_app(site, visitor)
        assert (await visitor.get("/admin/people")).status == 200
        # As after a day of work: the code is asked for once more.
        await site.gateway.store.write(lambda tx: tx.execute(update(session).values(factor_at=1.0)) and None)
        assert (await visitor.get("/admin/people?sort=login")).status == 403
        assert (await visitor.post("/me/confirm", to="/admin/people?sort=login")).url.path == "/login/code"
        fresh = codes.generate(time.time() + 30).decode()
        assert (await visitor.post("/login/code", code=fresh)).url.path_qs == "/admin/people?sort=login"
    assert (await audited(site, "signin.confirmed"), len(await audited(site, "signin.ok"))) == ([LOGIN], 1)


async def test_a_hundred_right_codes_at_once_open_once(site: Pages) -> None:
    """The code is spent and the challenge closed by the first."""
    await site.person(LOGIN)
    async with site.visitor() as visitor, site.visitor() as other:
        await visitor.sign_in(LOGIN)
        codes = await with_app(site, visitor)
        await other.sign_in(LOGIN)
        assert other.last is not None
        form = {"_csrf": other.last.csrf, "code": codes.generate(time.time() + 30).decode()}

        async def once() -> str:
            async with other.client.post(
                "/login/code", data=form, headers={"Origin": site.address}, allow_redirects=False
            ) as answer:
                return answer.headers.get("Location", str(answer.status))

        places = await asyncio.gather(*(once() for _ in range(100)))
    assert places.count("/") == 1
    assert len(await audited(site, "signin.ok")) == 2


@pytest.mark.key("sign_in.second_factor")
async def test_where_a_second_factor_is_required_it_comes_first(tmp_path: Path) -> None:
    """A password alone opens the page that sets the app up, and nothing else."""
    async with pages(tmp_path, "sign_in: {second_factor: required}\n") as site:
        await site.person(LOGIN)
        async with site.visitor() as visitor:
            assert (await visitor.sign_in(LOGIN)).url.path == "/me/totp"
            assert (await visitor.get("/admin")).url.path == "/me/totp"
            await with_app(site, visitor)
            assert (await visitor.get("/admin")).url.path == "/admin"


# --- sessions ---------------------------------------------------------------------------------------------------------


@pytest.mark.key("sign_in.idle", "sign_in.longest")
@pytest.mark.parametrize("key", ["idle", "longest"])
async def test_sessions_end_as_the_configuration_says(tmp_path: Path, key: str) -> None:
    """After so long without a request, and after so long in any case."""
    async with pages(tmp_path, f"sign_in: {{{key}: 2s}}\n") as site:
        await site.person(LOGIN)
        async with site.visitor() as visitor:
            assert (await visitor.sign_in(LOGIN)).url.path == "/admin"
            # Each look would count as use, so there is one only, after the end.
            await asyncio.sleep(2.3)
            assert (await visitor.get("/me")).url.path == "/login"


async def test_one_ends_ones_own_sessions_and_no_others(site: Pages) -> None:
    """From the list of one's own; somebody else's id is not found."""
    await site.person(LOGIN)
    await site.person("eve@ukc.gov.ua")
    async with site.visitor() as here, site.visitor() as there, site.visitor() as eve:
        await here.sign_in(LOGIN)
        await there.sign_in(LOGIN)
        await eve.sign_in("eve@ukc.gov.ua")
        page = await here.get("/me")
        (other,) = re.findall(r"/me/sessions/([0-9a-f]{64})/end", page.text)
        await eve.get("/me")
        assert (await eve.post(f"/me/sessions/{other}/end")).status == 404
        await here.get("/me")
        assert "Сеанс завершено" in (await here.post(f"/me/sessions/{other}/end")).text
        assert (await there.get("/me")).url.path == "/login"
        assert (await here.get("/me")).url.path == "/me"


async def test_nothing_that_opens_lies_in_the_store(site: Pages) -> None:
    """Passwords, cookies and codes are in no file of the data folder; the audit holds together."""
    await site.person(LOGIN)
    async with site.visitor() as visitor:
        await visitor.sign_in(LOGIN)
        tokens = [cookie.value for cookie in visitor.client.cookie_jar]
        codes = await with_app(site, visitor)
    first = site.gateway.staff.first_password
    secrets = [PASSWORD, *tokens, codes.generate(time.time()).decode() + "\x00", first or "-" * 29]
    for path in site.gateway.settings.data.rglob("*"):
        if path.is_file() and "keys" not in path.parts:
            content = path.read_bytes()
            assert [secret for secret in secrets if secret.encode() in content] == [], path
