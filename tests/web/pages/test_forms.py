"""What no database keeps is refused with words, in every way in which a person or program can send it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.pipe.conftest import url
from tests.web.ops.conftest import sent
from tests.web.pages.site import pages

__all__ = ["url"]
LOGIN = "anna@ukc.gov.ua"
WORDS = "знак із кодом 0"


async def test_a_nul_is_refused_beside_its_field_on_either_database(
    tmp_path: Path, url: Callable[[], str | None]
) -> None:
    """In a form of strangers, a form of staff, a query, an address, and JSON: never a defect, and nothing is kept."""
    async with pages(tmp_path, store=url()) as site, site.visitor() as visitor:
        await site.person(LOGIN, "person.read", "person.create", "alert.read")
        answer = await visitor.sign_in("anna\0@ukc.gov.ua")
        assert (answer.status, WORDS in answer.text) == (422, True)
        await visitor.sign_in(LOGIN)
        await visitor.get("/admin/people/new")
        answer = await visitor.post("/admin/people/new", login="ivan@ukc.gov.ua", name="Іван\0Коваль")
        assert (answer.status, WORDS in answer.text) == (422, True)
        assert (await visitor.get("/admin/people?q=%00")).status == 400
        assert (await visitor.get("/admin/people/%00")).status == 404
        status, wrong = await sent(visitor, "/people", login="ivan@ukc.gov.ua", name="Іван\0")
        assert (status, [each["field"] for each in wrong["errors"]]) == (422, ["name"])
        status, wrong = await sent(visitor, "/alerts/subscriptions", way="mail", about=["a\0"])
        assert (status, [each["field"] for each in wrong["errors"]]) == (422, ["about"])
        assert "ivan@" not in (await visitor.get("/admin/people")).text
