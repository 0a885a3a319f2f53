"""What a company has set for one-time passwords."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select

from flows.access.tables import company as companies
from flows.otp import texts
from flows.otp.rules import Numbers
from flows.otp.tables import setting
from pipe.contract import Transaction
from pipe.errors import Conflict, NotFound

STAFF = "-"
"""stands for a company where staff sign in who belong to none"""


@dataclass(frozen=True, slots=True)
class Setting:
    """Of one company."""

    company: str
    enabled: bool = False
    bot: str = ""
    numbers: Numbers = field(default_factory=Numbers)
    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def name(self, language: str) -> str:
        """What the company is called."""
        return self.names.get(language) or self.names.get("uk", self.company)

    def template(self, name: str, language: str) -> str:
        """Its own words, else the usual ones."""
        return texts.template(self.texts, name, language)


Reader = Transaction | Connection


def of(reader: Reader, company: str) -> Setting:
    """What the company has set; what everybody has where it set nothing. Raises NotFound for no company."""
    names = names_of(reader, company)
    row = reader.execute(select(setting).where(setting.c.company == company)).first()
    if row is None:
        return Setting(company, names=names)
    numbers = Numbers.model_validate(orjson.loads(row.numbers))
    return Setting(company, bool(row.enabled), row.bot, numbers, orjson.loads(row.texts), names)


def used(reader: Reader, company: str) -> Setting:
    """The same. Raises Conflict where the company does not use one-time passwords."""
    found = of(reader, company)
    if not found.enabled:
        raise Conflict(f"{company} does not use one-time passwords", hint="switch them on at /admin/otp")
    return found


def names_of(reader: Reader, company: str) -> dict[str, str]:
    """What a company is called, by language. Raises NotFound."""
    if company == STAFF:
        return {"uk": "PIPE", "en": "PIPE"}
    row = reader.execute(select(companies).where(companies.c.id == company)).first()
    if row is None:
        raise NotFound(f"there is no company `{company}`")
    return {"uk": row.name_uk, "en": row.name_en or row.name_uk}


def of_bot(reader: Reader, bot: str) -> list[str]:
    """The companies that use this bot now."""
    rows = reader.execute(select(setting.c.company).where(setting.c.bot == bot, setting.c.enabled.is_(True)))
    return [row.company for row in rows]


def keep(
    tx: Transaction, company: str, *, enabled: bool, bot: str, numbers: Mapping[str, Any], words: Mapping[str, Any]
) -> Setting:
    """Sets it anew, with its row in the audit. Raises NotFound, BadRequest, ValidationError."""
    before = of(tx, company)
    made = Numbers.model_validate(numbers)
    kept = texts.checked(words)
    tx.execute(delete(setting).where(setting.c.company == company))
    row = {
        "company": company,
        "enabled": enabled,
        "bot": bot,
        "numbers": orjson.dumps(made.model_dump(exclude_defaults=True)).decode(),
        "texts": orjson.dumps(kept).decode(),
        "changed_at": tx.now,
    }
    tx.execute(insert(setting), row)
    after = of(tx, company)
    tx.audit("otp.setting_changed", before=_told(before), after=_told(after), target=company)
    return after


def _told(it: Setting) -> dict[str, Any]:
    numbers = it.numbers.model_dump(exclude_defaults=True)
    return {"enabled": it.enabled, "bot": it.bot, "numbers": numbers, "texts": dict(it.texts)}
