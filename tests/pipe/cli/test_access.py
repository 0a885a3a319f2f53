"""`pipe access`, `pipe companies`, `pipe audit` on a folder where no gateway runs: what people read, how they end."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from flows.access import FLOW, companies, standard
from pipe.cli.root import app
from pipe.clock import SystemClock
from pipe.store.store import Store

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A folder as a first start leaves it."""
    store = Store(tmp_path / "data", url=None, clock=SystemClock())
    await store.open([(FLOW.name, FLOW.migrations)])
    store.start()
    await companies.seed(store, ROOT / "companies.yaml")
    await standard.seed(store)
    await store.close()
    return store.data


class Pipe:
    """Runs commands on that folder."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def __call__(self, *words: str, code: int = 0) -> str:
        """What it said; it ended with `code`."""
        found = CliRunner().invoke(app, [*words, "--data", str(self._data)])
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        assert found.exit_code == code, found.output
        return found.stdout


@pytest.fixture
def pipe(data: Path) -> Pipe:
    """The commands."""
    return Pipe(data)


def test_a_whole_story_of_rights_on_the_command_line(pipe: Pipe, tmp_path: Path) -> None:
    """From an empty gateway to an operator who may answer, and the record of it."""
    assert "Урядовий контактний центр" in pipe("companies", "list")
    pipe("access", "found", "unit:hall", "--uk", "Зал", "--company", "ukc")
    pipe("access", "found", "position:op-1", "--uk", "Оператор", "--unit", "hall", "--title", "operator")
    pipe("access", "found", "group:night", "--uk", "Ніч")
    assert "olena is there" in pipe("access", "add", "olena", "Олена", "--company", "ukc", "--level", "2")
    terms = ("--scope", "unit", "--level", "2", "--reason", "their unit")
    assert "Nobody gains" in pipe("access", "give", "operator", "title:operator", *terms)
    dry = pipe("access", "appoint", "olena", "position:op-1", "--dry-run")
    assert dry.startswith("Nothing was changed. It would do this:")
    assert "+ olena  conversation.reply  unit hall, up to level 2" in dry
    assert pipe("access", "who-can", "conversation.reply") == "Nobody.\n"
    assert pipe("access", "appoint", "olena", "position:op-1").startswith("Done.")
    assert "operator ← title:operator" in pipe("access", "who-can", "conversation.reply", "--unit", "hall")
    assert "conversation.reply" in pipe("access", "what-can", "olena")
    assert "Level 3 is needed, level 2 was given." in pipe(
        "access", "why-not", "olena", "conversation.reply", "--unit", "hall", "--level", "3", code=1
    )
    assert "Allowed." in pipe("access", "why-not", "olena", "conversation.reply", "--unit", "hall")
    assert "op-1 (operator)  Оператор: olena" in pipe("access", "tree")
    assert "place" in pipe("access", "person", "olena")
    pipe("access", "forbid", "quiet", "conversation.*", "--level", "2", "--factor-within", "15m", "--reason", "audit")
    pipe("access", "separate", "eyes", "grant.give", "grant.approve", "--same-object", "--reason", "four eyes")
    pipe("access", "field", "message", "phone", "--level", "2")
    rules = pipe("access", "rules")
    assert [line.split(":")[0] for line in rules.splitlines()] == [
        "forbid quiet", "separation eyes (same_object)", "field message/phone",
    ]  # fmt: skip
    pipe("access", "lift", "forbid:quiet", "--reason", "done")
    pipe("access", "role", "night", "file.read", "--uk", "Нічна", "--include", "operator")
    assert "+operator file.read" in pipe("access", "roles")
    pipe("access", "remove", "role:night", "--reason", "not needed")
    grants = orjson.loads(pipe("access", "grants", "--to", "title:operator", "--json"))
    assert "- olena" in pipe("access", "revoke", grants[0]["id"], "--reason", "end", "--dry-run")
    pipe("access", "change", "olena", "--level", "1")
    pipe("access", "alter", "unit:hall", "--uk", "Зала")
    pipe("access", "withdraw", "olena", "position:op-1")
    for verb in ("block", "admit", "dismiss", "forget"):
        assert pipe("access", verb, "olena", "--reason", "test").startswith("Done.")
    assert "person.appointed" in pipe("audit", "list", "--event", "person.*")


def test_people_come_from_a_table_and_go_into_one(pipe: Pipe, tmp_path: Path) -> None:
    """A preview first; exit code 1 where a line is wrong."""
    file = tmp_path / "people.csv"
    file.write_text("login,name,company\nolena,Олена,ukc\ntaras,Тарас,mars\n", encoding="utf-8")
    shown = pipe("access", "import", str(file), code=1)
    assert "line 3: wrong taras  there is no company `mars`" in shown
    file.write_text("login,name,company\nolena,Олена,ukc\n", encoding="utf-8")
    assert "This is a preview" in pipe("access", "import", str(file))
    assert "1 person written." in pipe("access", "import", str(file), "--apply")
    rows = list(csv.DictReader(io.StringIO(pipe("access", "export"))))
    assert [(row["login"], row["company"]) for row in rows] == [("olena", "ukc")]
    assert "1 the same" in pipe("access", "import", str(file))


def test_the_audit_is_read_exported_verified_and_looked_through(pipe: Pipe, data: Path) -> None:
    """Verify ends with 0 where it is whole; reading leaves its row; the key is printed."""
    assert "company.created" in pipe("audit", "list", "--event", "company.created", "--limit", "3")
    rows = list(csv.DictReader(io.StringIO(pipe("audit", "export", "--event", "role.*"))))
    assert {row["event"] for row in rows} == {"role.created"}
    assert len(rows) == len(standard.ROLES)
    lines = [orjson.loads(line) for line in pipe("audit", "export", "--format", "jsonl").splitlines()]
    assert [line["seq"] for line in lines] == sorted(line["seq"] for line in lines)
    assert "audit.read" in {line["event"] for line in lines}
    assert pipe("audit", "verify").startswith("The audit is whole")
    assert len(pipe("audit", "key").strip()) == 64
    assert pipe("audit", "findings") == "Nothing catches the eye.\n"


def test_a_name_that_means_nothing_is_told(pipe: Pipe) -> None:
    """Before anything is asked of the store."""
    from pipe.errors import BadRequest, NotFound

    for words, kind in (
        (("access", "appoint", "olena", "op-1"), BadRequest),
        (("access", "found", "hall", "--uk", "Зал"), BadRequest),
        (("access", "person", "nobody"), NotFound),
        (("access", "give", "operator", "olena", "--reason", "x"), BadRequest),
        (("access", "who-can", "file.eat"), BadRequest),
        (("access", "add", "x y", "Name"), BadRequest),
    ):
        with pytest.raises(kind):
            pipe(*words)
