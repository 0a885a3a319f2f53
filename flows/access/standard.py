"""The roles that a new gateway begins with; people change them as they need. What each may do is a table under review.

`tests/flows/access/decisions.csv` says it cell by cell.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from flows.access import roles
from flows.access.changes import Actor, Unit
from flows.access.permissions import CATALOGUE
from flows.access.tables import role
from pipe.store.store import Store

SEEDER = Actor("gateway")
_DATA = {"conversation", "file", "document", "record"}
_WITHHELD = {"message.read_body", "message.export", "dead.edit", "report.export", "subject.erase", "access.emergency"}


@dataclass(frozen=True, slots=True)
class Standard:
    """One role."""

    id: str
    uk: str
    en: str
    about: str
    permissions: tuple[str, ...]
    includes: tuple[str, ...] = ()
    emergency: bool = False


ROLES: tuple[Standard, ...] = (
    Standard(
        "operator",
        "Оператор",
        "Operator",
        "Відповідає заявникам компанії.",
        (
            "company.read", "conversation.read", "conversation.reply", "conversation.transfer", "conversation.close",
            "file.read", "file.add", "document.read", "record.read", "autoreply.read",
        ),
    ),
    Standard(
        "shift-lead",
        "Старший зміни",
        "Shift lead",
        "Стежить за зміною операторів і виправляє те, що йде не так.",
        (
            "conversation.supervise", "conversation.export", "person.read", "unit.read", "group.read", "report.read",
            "dead.read", "message.read", "autoreply.edit", "otp.read", "otp.unlock", "access.emergency",
        ),
        includes=("operator",),
    ),
    Standard(
        "company-administrator",
        "Адміністратор компанії",
        "Company administrator",
        "Люди, права, канали й налаштування однієї компанії; нічого з того, що пишуть заявники.",
        (
            "company.read", "unit.read", "unit.edit", "group.read", "group.edit", "person.read", "person.create",
            "person.edit", "person.move", "person.block", "person.dismiss", "grant.read", "grant.give", "grant.revoke",
            "access.explain", "session.read", "session.end", "setting.read", "setting.edit", "channel.read",
            "channel.edit", "autoreply.read", "autoreply.edit", "otp.read", "otp.edit", "otp.unlock", "report.read",
        ),
    ),
    Standard(
        "security-officer",
        "Офіцер безпеки",
        "Security officer",
        "Читає журнал дій, питає, хто що може, затверджує права найвищого рівня.",
        (
            "audit.read", "audit.export", "audit.verify", "access.explain", "grant.read", "grant.approve",
            "grant.revoke", "role.read", "rule.read", "rule.edit", "person.read", "person.block", "unit.read",
            "group.read", "company.read", "session.read", "session.end", "key.read", "key.revoke", "alert.read",
        ),
    ),
    Standard(
        "engineer",
        "Інженер шлюзу",
        "Gateway engineer",
        "Доглядає шлюз: з’єднання, маршрути, недоставлене; нічого з того, що пишуть заявники.",
        (
            "gateway.read", "gateway.diagnose", "connection.read", "connection.switch", "route.read", "route.switch",
            "ledger.read", "message.read", "dead.read", "dead.replay", "dead.discard", "alert.read", "alert.edit",
            "channel.read", "crm.read", "access.emergency",
        ),
    ),
    Standard(
        "analyst",
        "Аналітик",
        "Analyst",
        "Читає звіти.",
        ("company.read", "report.read", "report.export", "ledger.read", "gateway.read"),
    ),
    Standard(
        "message-reader",
        "Перегляд вмісту повідомлень",
        "Message reader",
        "Бачить вміст повідомлень; на годину, з поясненням, також в аварії.",
        ("message.read", "message.read_body", "dead.read"),
        emergency=True,
    ),
    Standard(
        "administrator",
        "Адміністратор",
        "Administrator",
        "Права, люди, ключі, журнал і шлюз; нічого з того, що пишуть заявники.",
        tuple(each.name for each in CATALOGUE if each.area not in _DATA and each.name not in _WITHHELD),
    ),
)  # fmt: skip


async def seed(store: Store) -> int:
    """Makes them where there is no role at all; returns how many."""
    if not await store.read(_none_yet):
        return 0

    def make(tx: Unit) -> int:
        for each in ROLES:
            names = {"uk": each.uk, "en": each.en}
            more = {"about": each.about, "includes": each.includes, "emergency": each.emergency}
            roles.create(tx, SEEDER, each.id, names, each.permissions, **more)  # type: ignore[arg-type]
        return len(ROLES)

    return await store.write(make)


def _none_yet(connection: Connection) -> bool:
    return connection.execute(select(role.c.id).limit(1)).first() is None
