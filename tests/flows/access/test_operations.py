"""What commands ask: people and rights from one end to the other, tables in and out, findings."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from flows.access import companies, standard, tables
from flows.access.findings import DAY_S
from flows.access.operations import OPERATIONS
from pipe.errors import BadRequest, ConfigError, NotFound
from pipe.operations import Host, perform
from pipe.store.store import Store
from pipe.testing import FakeClock
from tests.flows.access.conftest import audited

ROOT = Path(__file__).resolve().parents[3]


class World:
    """A world that knows the operations of rights, and nothing else is asked of it."""

    def operations(self) -> Any:
        """Those of the flow."""
        return OPERATIONS


class Desk:
    """Asks as `pipe access` does."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def __call__(self, operation: str, actor: str = "root", **arguments: Any) -> Any:
        """The result."""
        host = Host(self.store, self.store.clock, actor, World())  # type: ignore[arg-type]
        return await perform(host, operation, arguments)


@pytest.fixture
async def ask(small: Store) -> Desk:
    """The shipped companies and roles, a hall of operators, and Olena."""
    await companies.seed(small, ROOT / "companies.yaml")
    await standard.seed(small)
    desk = Desk(small)
    await desk("access.tree.add", what="unit", id="hall", uk="Зал", company="ukc")
    await desk("access.tree.add", what="position", id="op-1", uk="Оператор", unit="hall", title="operator")
    await desk("access.tree.add", what="group", id="night", uk="Нічна зміна")
    await desk("access.person.add", login="olena", name="Олена Коваль", company="ukc", level=2, phone="0671234567")
    return desk


async def test_the_shipped_companies_are_those_of_the_contract(ask: Desk) -> None:
    """The centre itself and the 35 directions, seeded once, and written back as they were read."""
    found = await ask("companies")
    assert [row["section"] for row in found] == ["2.1.1", *(f"2.1.2.{n}" for n in range(6, 41))]
    text = (ROOT / "companies.yaml").read_text(encoding="utf-8")
    plain = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    assert (await ask("companies.export"))["yaml"] == plain
    assert await companies.seed(ask.store, ROOT / "companies.yaml") == 0
    assert await standard.seed(ask.store) == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "version: 1\ncompanies:\n  a: {section: 1.1.1, name: {uk: A, de: B}}\n",
            "companies.yaml:3: companies.a.name.de",
        ),
        ("version: 2\ncompanies: {}\n", "companies.yaml:1: version"),
        ("version: 1\ncompanies:\n  a: {section: 1, name: {uk: A}}\n", "companies.yaml:3: companies.a.section"),
        ("version: 1\nversion: 1\n", "companies.yaml:2"),
        ("version: 1\ncompanies:\n  a: {section: 1.1.1}\n", "companies.yaml:3: companies.a.name: Field required"),
    ],
)
def test_a_wrong_file_of_companies_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    """And nothing is seeded from it."""
    (tmp_path / "companies.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as wrong:
        companies.read(tmp_path / "companies.yaml")
    assert says in wrong.value.text


async def test_from_a_new_person_to_a_right_and_back(ask: Desk) -> None:
    """Given to a position, told beforehand, in force, explained, and gone with the position."""
    given = await ask(
        "access.grant.give", role="operator", to="title:operator", scope="unit", level=2, reason="their unit"
    )
    assert given["changes"] == []
    told = await ask("access.person.appoint", login="olena", kind="position", of="op-1", rehearse=True)
    assert (told["done"], {each["login"] for each in told["changes"]}) == (False, {"olena"})
    assert await ask("access.who_can", name="conversation.reply") == []
    await ask("access.person.appoint", login="olena", kind="position", of="op-1")
    (row,) = await ask("access.who_can", name="conversation.reply", unit="hall", level=2)
    assert (row["login"], row["through"]) == ("olena", ["operator ← title:operator"])
    what = await ask("access.what_can", login="olena")
    assert {"unit hall, up to level 2"} == {text for each in what["permissions"] for text in each["where"]}
    why = await ask("access.why_not", login="olena", name="conversation.reply", unit="hall", level=3)
    assert (why["allowed"], why["reason"]) == (False, "level_too_low")
    lost = await ask("access.person.withdraw", login="olena", kind="position", of="op-1")
    assert all(each["loses"] and not each["gains"] for each in lost["changes"])
    person = await ask("access.person", login="OLENA")
    assert (person["grants"], person["places"], "salt" in person) == ([], [], False)


async def test_roles_rules_and_the_tree_are_listed_as_they_are(ask: Desk) -> None:
    """Everything that can be changed can be seen."""
    await ask("access.role.put", id="night-lead", uk="Нічний старший", permissions=["dead.read"], includes=["operator"])
    changed = await ask("access.role.put", id="night-lead", permissions=["dead.read", "dead.replay"])
    assert changed["done"]
    (role,) = [each for each in await ask("access.roles") if each["id"] == "night-lead"]
    assert {"dead.replay", "conversation.reply"} <= set(role["all_permissions"])
    exports: dict[str, Any] = {"id": "no-export", "permissions": ["conversation.export"], "to": "role:operator"}
    await ask("access.rule.forbid", **exports, reason="law")
    await ask("access.rule.forbid", id="own", permissions=["grant.*"], to="person:olena", scope="own", reason="law")
    pair = {"kind": "same_object", "first": "grant.give", "second": "grant.approve"}
    await ask("access.rule.separate", id="four-eyes", **pair, reason="two people")
    await ask("access.rule.field", kind="message", name="phone", level=2, below="mask")
    rules = await ask("access.rules")
    assert [each["to"] for each in rules["forbids"]] == ["role:operator", "person:olena"]
    for what, name in (("forbid", "own"), ("separation", "four-eyes"), ("field", "message/phone")):
        await ask("access.rule.lift", what=what, id=name, reason="done")
    rules = await ask("access.rules")
    assert ([each["id"] for each in rules["forbids"]], rules["separations"], rules["fields"]) == (["no-export"], [], [])
    tree = await ask("access.tree")
    assert tree["companies"][0]["units"][0]["positions"][0]["id"] == "op-1"
    assert [each["id"] for each in tree["groups"]] == ["night"]
    await ask("access.tree.change", what="unit", id="hall", uk="Велика зала")
    await ask("access.tree.remove", what="company", id="mon", reason="contract ended")
    closed = [each for each in await ask("companies") if each["state"] == "closed"]
    assert [each["id"] for each in closed] == ["mon"]
    await ask("access.role.remove", id="analyst", reason="not needed")
    with pytest.raises(BadRequest, match="not empty"):
        await ask("access.tree.remove", what="unit", id="hall", reason="x")


async def test_a_grant_of_the_highest_level_is_listed_until_it_is_approved(ask: Desk) -> None:
    """By another user of the machine, never by who gave it."""
    given = await ask("access.grant.give", role="analyst", to="person:olena", level=3, reason="yearly report")
    (waiting,) = await ask("access.grants", waiting=True)
    assert (waiting["id"], waiting["to"]) == (given["result"], "person:olena")
    await ask("access.grant.approve", actor="second", id=given["result"])
    assert await ask("access.grants", waiting=True) == []
    assert len(await ask("access.grants", to="person:olena", role="analyst")) == 1
    await ask("access.grant.revoke", id=given["result"], reason="report is done")
    with pytest.raises(NotFound):
        await ask("access.grant.revoke", id=given["result"], reason="again")


async def test_a_person_is_blocked_admitted_dismissed_and_forgotten(ask: Desk) -> None:
    """Each with its reason; the list finds by state and text."""
    for to, state in (("block", "blocked"), ("admit", "active"), ("dismiss", "left"), ("forget", "left")):
        assert (await ask("access.person.move", login="olena", to=to, reason="test"))["result"] == state
    assert [each["login"] for each in await ask("access.people", state="left")] == ["olena"]
    with pytest.raises(BadRequest, match="reason"):
        await ask("access.person.move", login="olena", to="admit", reason=" ")


# --- tables -------------------------------------------------------------------------------------------------------

TABLE = """login;name;email;phone;company;level;positions;groups
olena;Олена Коваль-Мороз;olena@ukc.example;'+380671234567;ukc;2;op-1;
Taras;Тарас Гай;;;ukc;1;;night
"""


WRONG = """login,name,company,level,positions
good,Добрий,ukc,1,
a b,Поганий,,,
noname,,,,
far,Далекий,mars,,
high,Високий,,7,
lost,Загублений,,,op-9
good,Добрий ще раз,,,
short,Короткий
"""
NO_TABLE = ("", "login\nx\n", "login,name,colour\n", "login,name,name\nx,y,z\n", 'login,name\n"x,y\n')


async def test_a_table_is_shown_before_it_is_written(ask: Desk) -> None:
    """The preview changes nothing; applying does what it said; doing it again does nothing."""
    preview = await ask("access.people.import", text=TABLE)
    assert [(line["login"], line["state"]) for line in preview["lines"]] == [("olena", "changed"), ("taras", "new")]
    assert preview["lines"][0]["appoint"] == ["position:op-1"]
    assert await ask("access.people", text="taras") == []
    done = await ask("access.people.import", text=TABLE, apply=True)
    assert (done["applied"], done["wrong"]) == (2, 0)
    again = await ask("access.people.import", text=TABLE, apply=True)
    assert (again["same"], again["applied"]) == (2, 0)
    tree = await ask("access.tree")
    assert tree["groups"][0]["people"] == ["taras"]
    (row,) = await ask("access.people", text="мороз")
    assert (row["email"], row["phone"]) == ("olena@ukc.example", "+380671234567")


async def test_a_wrong_line_is_named_and_nothing_is_written(ask: Desk) -> None:
    """Each with its number and what is wrong with it."""
    found = await ask("access.people.import", text=WRONG, apply=True)
    wrong = {line["line"]: line["error"] for line in found["lines"] if line["state"] == "wrong"}
    assert list(wrong) == [3, 4, 5, 6, 7, 8, 9]
    for line, word in ((3, "login"), (4, "name"), (5, "mars"), (6, "level"), (7, "op-9"), (8, "earlier"), (9, "cells")):
        assert word in wrong[line]
    assert found["applied"] == 0
    assert await ask("access.people", text="good") == []


@pytest.mark.parametrize("text", NO_TABLE)
async def test_what_is_no_table_of_people_is_refused(ask: Desk, text: str) -> None:
    """With the columns that it may have."""
    with pytest.raises(BadRequest):
        await ask("access.people.import", text=text, apply=True)


async def test_an_export_is_what_an_import_reads_and_no_formula(ask: Desk) -> None:
    """Round trip; a name that a spreadsheet would compute is text there, and itself again here."""
    await ask("access.person.add", login="evil", name="=cmd|'/c calc'!A0", company="ukc")
    await ask("access.people.import", text=TABLE, apply=True)
    out = (await ask("access.people.export"))["csv"]
    cells = [cell for row in csv.reader(io.StringIO(out)) for cell in row]
    assert not [cell for cell in cells if cell[:1] in {"=", "+", "-", "@"}]
    again = await ask("access.people.import", text=out, apply=True)
    assert (again["same"], again["changed"], again["new"], again["wrong"]) == (3, 0, 0, 0)
    assert [row["actor"] for row in await audited(ask.store, "people.exported")] == ["root"]
    assert "evil" not in (await ask("access.people.export", company="mon"))["csv"]


# --- findings -----------------------------------------------------------------------------------------------------


async def kinds(ask: Desk) -> dict[str, list[str]]:
    """Findings: kind → whom they are about."""
    found: dict[str, list[str]] = {}
    for each in await ask("audit.findings"):
        found.setdefault(each["kind"], []).append(each["who"])
    return found


async def test_a_quiet_gateway_has_no_findings(ask: Desk) -> None:
    """What was done in working hours by the machine's user is nothing to look at."""
    assert await kinds(ask) == {}


async def test_every_finding_is_found_where_its_cause_is(ask: Desk, clock: FakeClock) -> None:
    """One cause for each kind, and each names the right person."""
    store = ask.store
    given = await ask("access.grant.give", role="administrator", to="person:olena", level=2, reason="first")
    assert given["done"]
    await ask("access.person.add", login="taras", name="Тарас", company="ukc", level=2)
    await ask("access.grant.give", role="analyst", to="person:taras", level=1, reason="reports")
    await ask("access.grant.give", role="analyst", to="group:night", level=3, reason="waits")
    olena = (await ask("access.person", login="olena"))["id"]
    await store.write(lambda tx: tx.execute(update(tables.person).values(signed_in_at=clock.now())) and None)
    await clock.advance(95 * DAY_S)
    used = {"person": olena, "permission": "grant.give", "at": clock.now()}
    await store.write(lambda tx: tx.execute(insert(tables.use), used) and None)
    await ask("access.person.appoint", login="taras", kind="group", of="night")
    for _ in range(5):
        await store.write(lambda tx: tx.audit("signin.failed", after={"address": "10.9.9.9"}, target="olena"))
    await ask("access.grant.give", role="engineer", to="person:taras", level=1, reason="duty", actor="person/olena")
    await clock.advance(600)
    await store.write(lambda tx: tx.audit("dead.discarded", target="m1", actor="person/taras"))
    why = {"role": "message-reader", "reason": "fire"}
    await store.write(lambda tx: tx.audit("access.emergency", target="taras", after=why, actor="person/taras"))
    await clock.advance(10 * 3600)
    await ask("access.role.put", id="late", uk="Пізня", permissions=["file.read"], actor="person/olena")
    found = await kinds(ask)
    assert found["dormant_administrator"] == ["olena"]
    assert found["no_second_factor"] == ["olena"]
    assert found["unused_grant"] == ["taras", "group:night"]
    assert found["failed_sign_ins_by_address"] == ["10.9.9.9"]
    assert found["failed_sign_ins_by_login"] == ["olena"]
    assert found["given_and_used"] == ["taras"]
    assert found["out_of_hours"] == ["person/olena"]
    assert found["outlived_a_move"] == ["taras"]
    assert found["waits_for_approval"] == ["root"]
    assert found["emergency"] == ["taras"]


async def test_who_has_both_halves_by_his_places_is_found(ask: Desk) -> None:
    """The rule came after the rights: they rest, and somebody should know."""
    await ask("access.grant.give", role="engineer", to="person:olena", level=1, reason="duty")
    pair = {"first": "dead.replay", "second": "dead.discard"}
    with pytest.raises(BadRequest, match="olena would have both"):
        await ask("access.rule.separate", id="s1", kind="static", **pair, reason="apart")
    row = {"id": "s1", "kind": "static", **pair, "reason": "apart", "made_by": "root", "made_at": 0.0}
    await ask.store.write(lambda tx: tx.execute(insert(tables.separation), row) and None)
    assert (await kinds(ask))["both_halves"] == ["olena"]
