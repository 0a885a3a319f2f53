"""Promises of tables: they sort, filter and page on the server, and what is asked stands in the address."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import insert

from flows.access.tables import person
from pipe.spreadsheet import harmless
from tests.web.pages.site import Pages
from web.pages.listing import SIZE
from web.pages.words import alphabetical

LOGIN = "boss@ukc.gov.ua"
ROWS = re.compile(r'<th scope="row"><a href="/admin/people/[^"]+">([^<]+)</a>')


async def many(site: Pages, count: int) -> None:
    """So many people, named by their number, every other one blocked."""
    rows = [
        {
            "id": f"p{n:04}", "login": f"p{n:04}", "kind": "person", "name": f"Людина {n:04}", "level": 1, "salt": "",
            "state": "blocked" if n % 2 else "active", "language": "uk", "created_at": 0.0, "changed_at": 0.0,
        }
        for n in range(count)
    ]  # fmt: skip
    await site.gateway.store.write(lambda tx: tx.execute(insert(person), rows))


async def test_a_table_is_paged_sorted_and_filtered(site: Pages) -> None:
    """Nothing twice, nothing left out; a page past the end is the last one; nonsense is the usual order."""
    await site.person(LOGIN, "person.read", name="Яна Шеф")
    await many(site, 2 * SIZE + 7)
    async with site.visitor() as visitor:
        await visitor.sign_in(LOGIN)
        seen = [ROWS.findall((await visitor.get(f"/admin/people?page={page}")).text) for page in (1, 2, 3)]
        assert [len(each) for each in seen] == [SIZE, SIZE, 8]
        everybody = [name for each in seen for name in each]
        assert everybody == [*(f"Людина {n:04}" for n in range(2 * SIZE + 7)), "Яна Шеф"]
        assert ROWS.findall((await visitor.get("/admin/people?page=99")).text) == seen[2]
        down = ROWS.findall((await visitor.get("/admin/people?sort=-name")).text)
        assert down == everybody[::-1][:SIZE]
        assert ROWS.findall((await visitor.get("/admin/people?sort=salt")).text) == seen[0]
        blocked = await visitor.get("/admin/people?state=blocked&sort=-login")
        assert ROWS.findall(blocked.text)[0] == "Людина 0105"
        assert "1–50 із 53" in blocked.text
        assert 'aria-sort="descending"' in blocked.text
        next_page = re.search(r'rel="next" href="([^"]+)"', blocked.text)
        assert next_page is not None
        assert next_page[1].replace("&amp;", "&") == "?sort=-login&page=2&state=blocked"
        assert (await visitor.get("/admin/people?page=0")).status == 400


async def test_names_stand_as_the_alphabet_has_them(site: Pages) -> None:
    """Ґ after Г, Є after Е, І and Ї after И: their numbers say otherwise; lists in memory agree."""
    names = ["Ганна", "Ґалаґан", "Дмитро", "Еней", "Єва", "Жанна", "Ирій", "Ілля", "Їжак", "Йосип", "Яна"]
    for number, name in enumerate(reversed(names)):
        await site.person(f"p{number}@ukc.gov.ua", *(["person.read"] if not number else []), name=name)
    async with site.visitor() as visitor:
        await visitor.sign_in("p0@ukc.gov.ua")
        assert ROWS.findall((await visitor.get("/admin/people")).text) == names
        assert ROWS.findall((await visitor.get("/admin/people?sort=-name")).text) == names[::-1]
    assert sorted(names, key=alphabetical) == names


async def test_words_are_found_whatever_their_case(site: Pages) -> None:
    """Ukrainian letters, too, which SQLite itself knows nothing of; signs of LIKE are themselves."""
    await site.person(LOGIN, "person.read", name="Єлизавета Їжак")
    await many(site, 3)
    async with site.visitor() as visitor:
        await visitor.sign_in(LOGIN)
        found = [ROWS.findall((await visitor.get(f"/admin/people?q={q}")).text) for q in ("їжак", "ЄЛИЗ", "%25", "_")]
        assert found == [["Єлизавета Їжак"], ["Єлизавета Їжак"], [], []]
        nothing = await visitor.get("/admin/people?q=%25")
    assert "Нікого не знайшли" in nothing.text


async def test_who_may_see_some_sees_those(site: Pages) -> None:
    """The list is filtered by the right itself: a page of one's own, and nobody else's."""
    owner = await site.person(LOGIN)
    await site.person("other@ukc.gov.ua")
    async with site.visitor() as visitor:
        await visitor.sign_in(LOGIN)
        assert (await visitor.get("/admin/people")).status == 403
        assert (await visitor.get(f"/admin/people/{owner}")).status == 403


async def test_every_page_of_one_thing_opens(site: Pages) -> None:
    """A person with all there is to see, a service with keys, the audit with its rows and as CSV."""
    await site.person(
        LOGIN, "person.read", "person.edit", "person.block", "person.dismiss", "session.end", "password.reset",
        "key.read", "key.issue", "key.revoke", "audit.read", "audit.export", "audit.verify", "person.create",
    )  # fmt: skip
    robot = await site.person("robot", kind="service")
    other = await site.person("other@ukc.gov.ua")
    async with site.visitor() as visitor:
        await visitor.sign_in(LOGIN)
        for path in (f"/admin/people/{robot}", f"/admin/people/{other}", "/admin/keys", "/admin/audit/verify"):
            assert (await visitor.get(path)).status == 200
        await visitor.get("/admin/keys")
        assert (await visitor.post("/admin/keys", login="robot", name="звіти", days="400")).status == 422
        issued = await visitor.post("/admin/keys", login="robot", name="звіти", permissions="person.read", days="30")
        assert re.search(r'id="once">pipeapi_[0-9a-z_]+<', issued.text)
        listed = await visitor.get("/admin/keys")
        key = re.search(r'action="/admin/keys/([0-9a-z]{8})/revoke"', listed.text)
        assert key is not None
        assert "Ключ відкликано" in (await visitor.post(f"/admin/keys/{key[1]}/revoke")).text
        page = await visitor.get(f"/admin/people/{other}")
        assert (await visitor.post(f"/admin/people/{other}/block", reason="x")).status == 422
        assert "Заблоковано" in (await visitor.post(f"/admin/people/{other}/block", reason="перевірка")).text
        assert "Людину впущено" in (await visitor.post(f"/admin/people/{other}/admit", reason="перевірка")).text
        assert page.status == 200
        text = (await visitor.get("/admin/audit.csv?event=person.")).text
        assert text.splitlines()[0] == "seq,at,actor,event,target,before,after,prev,hash"
        assert "person.blocked" in text
        assert (await visitor.get("/admin/audit?event=audit.")).text.count("audit.exported") == 1


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_nothing_in_an_export_is_a_formula(text: str) -> None:
    """What a spreadsheet would calculate is marked as text; all else stays as it is."""
    assert (harmless(text), harmless("a=1"), harmless(7)) == (f"'{text}", "a=1", 7)
