"""companies.yaml: seeds the companies once, and is written back from them. Later people change them in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError
from sqlalchemy import Connection, select

from flows.access.changes import Actor, Unit
from flows.access.organisation import add_company
from flows.access.tables import company
from pipe.config.yaml_source import Node, read_yaml
from pipe.contract import Strict
from pipe.errors import ConfigError
from pipe.store.store import Store

FILE = "companies.yaml"
SEEDER = Actor("gateway")


class Names(Strict):
    """A name in both languages."""

    uk: str = Field(min_length=1, description="In Ukrainian, as pages show it first.")
    en: str = Field(default="", description="In English; without it the Ukrainian name is shown.")


class CompanySeed(Strict):
    """One company."""

    section: str = Field(description="Its number in the contract.", examples=["2.1.2.6"])
    name: Names = Field(description="What it is called.")


class Seeds(Strict):
    """The file."""

    version: int = Field(ge=1, le=1, description="Of this format: 1.")
    companies: dict[str, CompanySeed] = Field(description="Companies by their short names.")


def read(path: Path) -> Seeds:
    """What the file says. Raises ConfigError that names the file, the line and what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    node, findings = read_yaml(text, path.name)
    if findings:
        raise ConfigError(str(findings[0]))
    try:
        return Seeds.model_validate(plain(node))
    except ValidationError as error:
        first = error.errors()[0]
        at = node
        for part in first["loc"]:
            at = at.items.get(str(part), at)
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path.name}:{at.line}: {where}: {first['msg']}") from None


def plain(node: Node) -> Any:
    """The values without their places."""
    if isinstance(node.value, dict):
        return {name: plain(each) for name, each in node.value.items()}
    if isinstance(node.value, list):
        return [plain(each) for each in node.value]
    return node.value


async def seed(store: Store, path: Path) -> int:
    """Adds the companies of the file where there is none yet; returns how many. No file: none."""
    if not path.exists() or not await store.read(_none_yet):  # noqa: ASYNC240 — one look, at start
        return 0
    seeds = read(path)

    def add(tx: Unit) -> int:
        for name, each in seeds.companies.items():
            add_company(tx, SEEDER, name, each.section, {"uk": each.name.uk, "en": each.name.en})
        return len(seeds.companies)

    return await store.write(add)


def written(connection: Connection) -> str:
    """The file that would seed what there is now; closed companies are left out."""
    rows = connection.execute(select(company).where(company.c.state == "active")).mappings().all()
    rows = sorted(rows, key=lambda row: [int(part) if part.isdigit() else 0 for part in row["section"].split(".")])
    companies = {
        row["id"]: {"section": row["section"], "name": {"uk": row["name_uk"], "en": row["name_en"]}} for row in rows
    }
    text: str = yaml.safe_dump({"version": 1, "companies": companies}, allow_unicode=True, sort_keys=False, width=120)
    return text


def _none_yet(connection: Connection) -> bool:
    return connection.execute(select(company.c.id).limit(1)).first() is None
