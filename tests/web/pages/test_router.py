"""Promises of operations: each declares what it demands, and nothing is served to people past them."""

from __future__ import annotations

from typing import Any

import pytest

from flows.access.permissions import PERMISSIONS
from tests.web.pages.site import Pages
from web.catalogue import AREAS, TOPICS
from web.pages import PUBLIC, SIGNED_IN, Area, Call
from web.pages.permission import Open
from web.pages.router import Operation, Router

OPERATIONS = Router(AREAS).operations
STRANGERS = {
    "common.look", "common.begin",
    "signin.login", "signin.enter", "signin.code", "signin.verify", "signin.again", "signin.other",
    "beginning.beginning", "beginning.begin", "single.out", "single.back", "elsewhere.state", "elsewhere.go_on",
}  # fmt: skip
"""all that somebody may ask who has not signed in; whoever adds to it says so in review"""
OWN = {"/live", "/ready", "/metrics", "/api/openapi.json"}
"""what the gateway serves beside pages and routes"""


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_each_operation_declares_a_permission_that_exists(operation: Operation) -> None:
    """One of the written catalogue, or open to all who have signed in, or to strangers where that is listed here."""
    if operation.permission is PUBLIC:
        assert operation.name in STRANGERS
    else:
        assert operation.permission is SIGNED_IN or operation.permission in PERMISSIONS
    assert operation.summary


def test_an_operation_without_a_permission_cannot_be_written() -> None:
    """There is no default to forget."""
    area: Any = Area("x")
    for make, arguments in ((area.page, ("/x", "x.html")), (area.action, ("/x",)), (area.raw, ("/x",))):
        with pytest.raises(TypeError, match="permission"):
            make(*arguments)


def test_two_operations_cannot_have_one_address() -> None:
    """The second would never be asked."""
    area = Area("x")

    async def handler(call: Call) -> None:
        """Does nothing."""

    area.raw("/x/{a}", permission=SIGNED_IN)(handler)
    area.raw("/x/{a}", permission=SIGNED_IN)(handler)
    with pytest.raises(ValueError, match="another operation"):
        Router([area])


def test_each_feed_declares_a_permission_that_exists() -> None:
    """Streams are held to the same."""
    assert [
        each.name for each in TOPICS if not isinstance(each.permission, Open) and each.permission not in PERMISSIONS
    ] == []


async def test_the_bare_address_leads_to_the_first_page_that_one_may_see(site: Pages) -> None:
    """Strangers to the sign-in, staff to a part in which they have something to do; what nobody serves stays so."""
    await site.person("keys@ukc.gov.ua", "key.read")
    async with site.visitor() as visitor:
        assert (await visitor.get("/")).url.path == "/login"
        assert (await visitor.sign_in("keys@ukc.gov.ua")).url.path == "/admin"
        assert (await visitor.get("/")).url.path == "/admin"
        site.gateway.staff.site._starts = ("/admin/people", "/admin/keys")
        assert (await visitor.get("/")).url.path == "/admin/keys"
        async with visitor.client.get("/nothing/here") as answer:
            assert (answer.status, answer.content_type) == (404, "application/problem+json")
        async with visitor.client.post("/", json={}) as answer:
            assert answer.status == 405


async def test_whatever_a_listener_hands_over_goes_through_the_router(site: Pages) -> None:
    """Beside routes, files and the few addresses that are listed here there is no other way in."""
    listeners: Any = site.gateway.lent.listeners
    (only,) = listeners._sites.values()
    pages = site.gateway.staff.site
    own = (pages.handle, pages._file, pages._root)
    others = {prefix for prefix, mount in only._mounts.items() if mount.handler not in own}
    assert others == OWN


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.permission is not PUBLIC], ids=lambda e: e.name
)
async def test_strangers_get_nothing_but_the_way_to_sign_in(shared: Pages, operation: Operation) -> None:
    """Neither by page nor by API."""
    path = operation.path.replace("{id}", "x").replace("{name}", "x")
    async with shared.visitor() as visitor:
        async with visitor.client.request(
            operation.method, path, headers={"Accept": "text/html"}, allow_redirects=False
        ) as page:
            assert (page.status, page.headers.get("Location", "").partition("?")[0]) == (303, "/login") or (
                path == "/feed" and page.status == 401
            )
        if operation.api:
            method, _, below = operation.api.partition(" ")
            async with visitor.client.request(method, "/api/v1" + below.replace("{id}", "x")) as answer:
                assert answer.status == 401


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.permission in PERMISSIONS], ids=lambda e: e.name
)
async def test_who_has_no_right_is_told_which_is_missing(shared: Pages, operation: Operation) -> None:
    """403 with the permission's name, on the page and over the API; who is nobody's object learns no more."""
    path = operation.path.replace("{id}", "x")
    async with shared.visitor() as visitor:
        await visitor.sign_in("nobody@ukc.gov.ua")
        await visitor.get("/me")
        answer = await (visitor.get(path) if operation.method == "GET" else visitor.post(path))
    assert answer.status == 403
    assert str(operation.permission) in answer.text
