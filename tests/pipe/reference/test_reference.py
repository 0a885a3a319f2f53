"""Promises of the reference: everything that can be written or met has its entry, and nothing goes stale."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel, Field

from pipe.app import catalogue
from pipe.cli.root import app
from pipe.contract import Duration, Expression, Strict
from pipe.errors import every_error
from pipe.functions import FUNCTIONS
from pipe.reference import reference, silent, stale
from pipe.reference.constants import constants_in
from pipe.reference.examples import examples
from pipe.reference.limits import all_limits
from pipe.reference.page import code, table
from pipe.reference.shapes import keys_of, undescribed
from pipe.reference.tables import MEANINGS
from pipe.store import schema

ROOT = Path(__file__).resolve().parents[3]
KNOWN = catalogue()


@cache
def files() -> dict[str, str]:
    """What the reference says, made once and only where its tests run."""
    return reference(KNOWN.adapters, KNOWN.transformers, KNOWN.flows, typer.main.get_command(app), ROOT)


class Inner(Strict):
    """A block inside."""

    silent: int = 1


class Outer(Strict):
    """A block."""

    every: Duration = Field(default=Duration(60), description="A pause.")
    key: Expression | None = Field(default=None, description="A name.", examples=["body.id"])
    inner: Inner = Field(default=Inner(), description="A block.")


def test_every_key_says_what_it_means() -> None:
    """No key of any model is without a description."""
    assert silent(KNOWN.adapters, KNOWN.transformers) == []


def test_a_silent_key_is_named() -> None:
    """With its block, however deep it stands."""
    assert list(undescribed(Outer)) == ["Inner.silent"]


def test_a_key_is_shown_with_unit_default_and_example() -> None:
    """As one writes them in YAML."""
    every, key, _ = keys_of(Outer)
    assert (every.kind, every.default, every.example) == ("duration", "1m", "1m")
    assert every.unit.startswith("ms, s, m")
    assert (key.kind, key.default, key.example) == ("expression", "", "body.id")


@pytest.mark.parametrize("kind", KNOWN.adapters)
def test_every_connection_has_a_page(kind: str) -> None:
    """With every key of its models on it."""
    page = files()[f"reference/connections/{kind}.md"]
    adapter = KNOWN.adapters[kind]
    models = [adapter.Config, getattr(adapter, "Subscription", None), getattr(adapter, "Target", None)]
    for model in models:
        if isinstance(model, type) and issubclass(model, BaseModel):
            own = [key.name for key in keys_of(model) if f"`{key.name}`" not in page]
            assert [name for name in own if name not in adapter.Config.model_fields] == []


def test_every_step_function_error_and_command_is_there() -> None:
    """What the code knows, the pages know."""
    assert [name for name in KNOWN.transformers if f"## {name}\n" not in files()["reference/steps.md"]] == []
    assert [name for name in KNOWN.flows if f"`{name}`" not in files()["reference/steps.md"]] == []
    assert [f.signature for f in FUNCTIONS.values() if code(f.signature) not in files()["reference/functions.md"]] == []
    assert [kind.code for kind in every_error() if f"`{kind.code}`" not in files()["errors.md"]] == []
    assert [
        c.name for c in app.registered_commands if f"## pipe {c.name}\n" not in files()["reference/commands.md"]
    ] == []


def test_every_error_has_a_meaning_a_hint_and_a_code_of_its_own() -> None:
    """Two failures are never told by one number."""
    kinds = list(every_error())
    assert len(kinds) == len({kind.code for kind in kinds})
    assert [kind for kind in kinds if not kind.__doc__ or not kind.hint] == []


def test_every_table_of_the_store_has_its_meaning() -> None:
    """One sentence each, and none for tables that are gone."""
    assert set(schema.metadata.tables) == set(MEANINGS)


def test_limits_name_where_they_are_changed() -> None:
    """The key of the configuration, or the file that holds a fixed number."""
    limits = {limit.where: limit for limit in all_limits(KNOWN.adapters, KNOWN.transformers, ROOT)}
    assert (limits["limits.hops"].value, limits["limits.hops"].fixed) == ("20", False)
    assert (limits["defaults.retry.max"].value, limits["defaults.retry.max"].fixed) == ("15m", False)
    assert limits["web/limits.py: url_signs"].fixed
    assert [limit.where for limit in limits.values() if not limit.meaning] == []


def test_fixed_numbers_are_found_with_what_is_said_about_them(tmp_path: Path) -> None:
    """Products and shifts are worked out; private names and texts are left out."""
    (tmp_path / "a.py").write_text('MOST = 4 << 20\n"""bytes of it"""\n_OWN = 3\nNAME = "x"\nPART = 60 * 1.5\n')
    found = [(constant.name, constant.value, constant.meaning) for constant in constants_in(tmp_path, tmp_path)]
    assert found == [("MOST", 4194304, "bytes of it"), ("PART", 90.0, "")]


def test_the_editor_schema_is_among_the_files() -> None:
    """Editors find it by the first line of `connections.yaml`."""
    assert "routes" in json.loads(files()["reference/connections.schema.json"])["properties"]


def test_stale_pages_are_named(tmp_path: Path) -> None:
    """One that differs, one that is missing, and one that nothing writes any more."""
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "a.md").write_text("old")
    (tmp_path / "reference" / "gone.md").write_text("")
    wrong = stale({"reference/a.md": "new", "reference/b.md": "new"}, tmp_path)
    assert wrong == ["reference/a.md", "reference/b.md", "reference/gone.md"]


def test_the_pages_in_the_house_are_fresh() -> None:
    """`pipe docs` was run after the last change."""
    assert stale(files(), ROOT / "docs") == []


def test_a_cell_cannot_break_its_table() -> None:
    """Signs of the table and line breaks in a text stay within their cell."""
    assert table(("Head",), [("a|b\nc",)]).splitlines()[2] == "| a\\|b c |"


def test_every_type_of_connection_is_shown_at_work() -> None:
    """Its page links configurations that tests load and run."""
    shown = examples(ROOT)
    assert [name for name in catalogue().adapters if not shown.get(name)] == []
