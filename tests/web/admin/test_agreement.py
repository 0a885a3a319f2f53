"""Decision, list, API, page and stream are one answer over HTTP, and Cedar agrees; no handler reads past rights."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from flows.access import grants, organisation, people, roles, rules
from flows.access.changes import Unit
from flows.signin import passwords
from tests.flows.access.cedar import Cedar
from tests.web.pages.site import CONSOLE, PASSWORD, QUICK, Pages, Visitor
from web.admin.people import person_object
from web.catalogue import AREAS
from web.pages.permission import Open
from web.pages.router import Operation, Router

COMPANIES = ("ukc", "diia", "moz")


def populated(chance: Random, viewers: int, others: int) -> Callable[[Unit], dict[str, str]]:
    """People in companies, some of whom may see some people and sessions; returns login → id of those who look."""
    hashed = QUICK.hash(PASSWORD)

    def make(tx: Unit) -> dict[str, str]:
        for company in COMPANIES:
            organisation.add_company(tx, CONSOLE, company, "2.1", {"uk": company})
        roles.create(tx, CONSOLE, "see", {"uk": "бачити"}, ["person.read"])
        roles.create(tx, CONSOLE, "see-more", {"uk": "бачити більше"}, ["person.read", "session.read"])
        rules.forbid(
            tx, CONSOLE, "moz-closed", ["person.*"], "role", "see", scope="company", scope_id="moz", reason="закрито"
        )
        lookers = {}
        for number in range(viewers):
            made = people.create(
                tx, CONSOLE, f"looker-{number}", f"Глядач {number}", company=chance.choice([None, *COMPANIES]), level=3
            )
            passwords.keep(tx, made.id, hashed)
            lookers[made.login] = made.id
            for _ in range(chance.choice([0, 1, 1, 2])):
                scope = chance.choice(["all", "own", "company", "company", "company"])
                named = chance.choice(COMPANIES) if scope == "company" else None
                role = chance.choice(["see", "see-more"])
                grants.give(
                    tx, CONSOLE, role, "person", made.id,
                    scope=scope, scope_id=named, level=chance.randint(0, 2), reason="test",
                )  # fmt: skip
        for number in range(others):
            of = chance.choice([None, *COMPANIES])
            people.create(tx, CONSOLE, f"person-{number}", f"Особа <{number}>", company=of)
        return lookers

    return make


async def logins(visitor: Visitor) -> set[str]:
    """Everybody whom the list of the API names, over all its pages."""
    found: set[str] = set()
    page, pages = 1, 1
    while page <= pages:
        async with visitor.client.get(f"/api/v1/people?page={page}") as answer:
            if answer.status == 403:
                return set()
            listing = (await answer.json())["people"]
        found |= {row["login"] for row in listing["rows"]}
        page, pages = page + 1, listing["pages"]
    return found


async def agreeing(site: Pages, seed: int, viewers: int, others: int) -> int:
    """Asks everybody about everybody in each way; returns how many pairs there were."""
    access, chance = site.gateway.staff.access, Random(seed)
    lookers = await access.change(CONSOLE, populated(chance, viewers, others))
    everybody = list(access.snapshot.person.values())
    cedar = Cedar(access.snapshot, site.gateway.staff.site.clock.now())
    answers = set()
    for login, id_of in lookers.items():
        things = {each.login: person_object(each.company, each.id) for each in everybody}
        decided = {name for name, thing in things.items() if access.may(id_of, "person.read", thing)}
        told = cedar.allows([(id_of, "person.read", thing, None) for thing in things.values()])
        assert {name for name, said in zip(things, told, strict=True) if said} == decided, login
        async with site.visitor() as visitor:
            await visitor.sign_in(login)
            assert await logins(visitor) == decided, login
            for each in everybody:
                async with visitor.client.get(f"/api/v1/people/{each.id}") as answer:
                    # Who may see nobody at all is told so; who may see some is not told that there are others.
                    assert (answer.status == 200) == (each.login in decided), (login, each.login, answer.status)
            shown = await visitor.get("/admin/people?sort=login")
            first = sorted(decided)[:50]
            assert all(f">{name}<" in shown.text for name in first), login
            assert not any(f">{name}<" in shown.text for name in things.keys() - decided - {login}), login
            menu = 'href="/admin/sessions"' in shown.text
            async with visitor.client.get("/feed?topics=signin") as answer:
                assert (answer.status == 200) == access.may(id_of, "session.read") == menu, login
        answers |= {(login in decided) for login in things}
    assert answers == {True, False}
    return len(lookers) * len(everybody)


@pytest.mark.timeout(120)
async def test_what_is_decided_is_what_is_listed_shown_and_streamed(site: Pages) -> None:
    """For every pair of somebody who looks and somebody who is there."""
    assert await agreeing(site, 6, viewers=8, others=30) == 8 * 38


@pytest.mark.deep
@pytest.mark.timeout(900)
async def test_ten_thousand_pairs_agree(site: Pages) -> None:
    """The same, more often."""
    assert await agreeing(site, 7, viewers=30, others=320) > 10_000


# --- statically ---------------------------------------------------------------------------------------------------

ASKS = {"rows", "require", "may", "change", "rehearse"}
"""ways of a call to ask for rights to the thing at hand"""
FOR_ALL_WHO_MAY = {
    "importing.blank", "roles.matrix", "roles.blank", "roles.one", "rules.all_rules",
}  # fmt: skip
"""show nothing that is of somebody or of a company: empty forms, and roles and rules, which hold for all"""


def called(function: Callable[..., Any], seen: set[str]) -> Iterator[str]:
    """Names of methods that a function calls, and those of the functions of `web` that it calls."""
    if function.__qualname__ in seen:
        return
    seen.add(function.__qualname__)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    names = vars(sys.modules[function.__module__])
    for node in ast.walk(tree):
        found = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr
            if isinstance(node.func.value, ast.Name):
                found = getattr(names.get(node.func.value.id), node.func.attr, None)
        elif isinstance(node, ast.Name):
            found = names.get(node.id)
        if inspect.isfunction(found) and found.__module__.startswith("web."):
            yield from called(found, seen)


OPERATIONS = [each for each in Router(AREAS).operations if not isinstance(each.permission, Open) and not each.whole]
"""of what concerns the gateway as a whole the site itself asks for a right to all of it: see `test_swapped`"""


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_each_handler_asks_for_rights_to_what_it_reads(operation: Operation) -> None:
    """That somebody may open the page says nothing of whose rows it shows: each handler asks, or shows none."""
    asks = not ASKS.isdisjoint(called(operation.handler, set()))
    assert asks != (operation.name in FOR_ALL_WHO_MAY)
