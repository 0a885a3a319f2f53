"""Promises of what protects pages: headers on every answer, forms from our own pages, cookies that stay at home."""

from __future__ import annotations

import io

import aiohttp
import pytest

from tests.web.pages.site import PASSWORD, Pages
from web.pages.cookies import LANGUAGE, SESSION
from web.pages.shield import HEADERS

LOGIN = "anna@ukc.gov.ua"


@pytest.mark.parametrize("path", ["/login", "/admin", "/admin/nothing", "/api/v1/people", "/feed?topics=x"])
async def test_every_answer_has_the_headers(site: Pages, path: str) -> None:
    """Pages, redirects, refusals and the API alike."""
    async with site.visitor() as visitor, visitor.client.get(path, allow_redirects=False) as answer:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Server" not in answer.headers


async def test_a_form_of_another_site_is_refused(site: Pages) -> None:
    """By its origin, by what the browser says of it, by a missing or foreign token; the honest one passes."""
    await site.person(LOGIN)
    form = {"login": LOGIN, "password": PASSWORD}
    async with site.visitor() as visitor, site.visitor() as other:
        await visitor.get("/login")
        await other.get("/login")
        assert visitor.last is not None
        assert other.last is not None
        mine, theirs = visitor.last.csrf, other.last.csrf
        tries: list[tuple[dict[str, str], dict[str, str]]] = [
            ({**form, "_csrf": mine}, {"Origin": "https://evil.example"}),
            ({**form, "_csrf": mine}, {"Origin": "null"}),
            ({**form, "_csrf": mine}, {"Origin": site.address.replace("127.0.0.1", "127.0.0.2")}),
            ({**form, "_csrf": mine}, {"Sec-Fetch-Site": "cross-site"}),
            (form, {"Origin": site.address}),
            ({**form, "_csrf": theirs}, {"Origin": site.address}),
            ({**form, "_csrf": mine}, {"Origin": site.address}),
        ]
        statuses = []
        for data, headers in tries:
            async with visitor.client.post("/login", data=data, headers=headers, allow_redirects=False) as answer:
                statuses.append(answer.status)
    assert statuses == [403, 403, 403, 403, 403, 403, 303]


async def test_a_cookie_alone_changes_nothing_over_the_api(site: Pages) -> None:
    """Whoever uses the session for `/api/v1` proves that it is a page of ours that asks."""
    await site.person(LOGIN, "person.create")
    new = {"name": "Новий Сервіс", "login": "new", "kind": "service"}
    async with site.visitor() as visitor:
        await visitor.sign_in(LOGIN)
        token = (await visitor.get("/me")).csrf
        async with visitor.client.post("/api/v1/people", json=new) as bare:
            assert bare.status == 403
        headers = {"X-CSRF-Token": token, "Origin": site.address}
        async with visitor.client.post("/api/v1/people", json=new, headers=headers) as proven:
            assert proven.status == 201


async def test_cookies_are_strict_and_for_this_host_alone(site: Pages) -> None:
    """`__Host-`, Secure, HttpOnly, SameSite=Strict; the token is a new one after the sign-in."""
    await site.person(LOGIN)
    async with site.visitor() as visitor:
        await visitor.get("/login")
        assert visitor.last is not None
        form = {"login": LOGIN, "password": PASSWORD, "_csrf": visitor.last.csrf}
        async with visitor.client.post(
            "/login", data=form, headers={"Origin": site.address}, allow_redirects=False
        ) as answer:
            cookie = answer.cookies[SESSION]
    assert SESSION.startswith("__Host-")
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, True, "Strict", "/")
    assert cookie["domain"] == ""
    assert len(cookie.value) == 43


async def test_a_link_of_another_site_keeps_the_session(site: Pages) -> None:
    """The browser holds strict cookies back; the page asks once more from here, and nothing is overwritten."""
    cross = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    async with (
        aiohttp.ClientSession(site.address) as client,
        client.get("/admin/people?q=%22", headers=cross) as answer,
    ):
        text = await answer.text()
        assert answer.status == 200
        assert 'http-equiv="refresh" content="0; url=/admin/people?q=%22"' in text
        assert SESSION not in answer.cookies


async def test_nobody_is_sent_away_from_here(site: Pages) -> None:
    """Where to go after the sign-in is a path of ours, whatever the address says."""
    await site.person(LOGIN)
    for goal in (
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "/x\r\nSet-Cookie: a=b",
    ):
        async with site.visitor() as visitor:
            assert (await visitor.sign_in(LOGIN, to=goal)).url.path == "/admin"
    async with site.visitor() as visitor:
        assert (await visitor.sign_in(LOGIN, to="/me?x=1")).url.path_qs == "/me?x=1"


async def test_what_is_shown_is_escaped(site: Pages) -> None:
    """A name that is markup stays text."""
    await site.person(LOGIN, "person.read", name="<script>alert('Ї')</script>")
    async with site.visitor() as visitor:
        await visitor.sign_in(LOGIN)
        page = await visitor.get("/admin/people")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text


async def test_language_and_colours_stay_with_the_browser(site: Pages) -> None:
    """A year long; nothing else can be written there."""
    async with site.visitor() as visitor:
        await visitor.get("/login")
        page = await visitor.post("/look", language="en", back="/login?to=%2Fme")
        assert (page.url.path_qs, '<html lang="en"' in page.text) == ("/login?to=/me", True)
        assert (await visitor.post("/look", theme="dark", back="/login")).text.count('data-theme="dark"') == 1
        assert (await visitor.post("/look", language="de")).status == 400
        assert LANGUAGE in {cookie.key for cookie in visitor.client.cookie_jar}


async def test_garbage_gets_a_plain_refusal(site: Pages) -> None:
    """Bodies that are no form, too large, or of another kind: never a defect."""
    async with site.visitor() as visitor:
        await visitor.get("/login")
        tries = [
            (b"x", "multipart/form-data"),
            (b"--a\r\n\r\n", "multipart/form-data; boundary=a"),
            (b"{}", "application/json"),
            (b"login=%ff%fe", "application/x-www-form-urlencoded"),
            (b"a" * 3_000_000, "application/x-www-form-urlencoded"),
        ]
        for body, media in tries:
            async with visitor.client.post("/login", data=io.BytesIO(body), headers={"Content-Type": media}) as answer:
                assert 400 <= answer.status < 500, (media, answer.status)
