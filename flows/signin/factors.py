"""Who has a second factor, in SQL: what lists, counts and findings say is what signing in asks for."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, func, or_, select

from flows.access.tables import external, person, telegram, totp
from flows.otp.settings import STAFF
from flows.otp.tables import setting


def second() -> Mapping[str, ColumnElement[bool]]:
    """For each kind, as sessions name it, whether the row of `access_person` has it.

    A chat counts where the person's company sends codes through this very bot: else signing in asks for none.
    """
    app = select(totp.c.person).where(totp.c.person == person.c.id, totp.c.confirmed_at.is_not(None))
    chat = select(telegram.c.person).where(
        telegram.c.person == person.c.id,
        setting.c.company == func.coalesce(person.c.company, STAFF),
        setting.c.bot == telegram.c.connection,
        setting.c.enabled.is_(True),
    )
    provider = select(external.c.person).where(external.c.person == person.c.id)
    return {"totp": app.exists(), "otp": chat.exists(), "oidc": provider.exists()}


def any_second() -> ColumnElement[bool]:
    """Whether the row of `access_person` has any."""
    return or_(*second().values())


def of(connection: Connection, id: str) -> list[str]:
    """The kinds that one person has."""
    columns = [has.label(name) for name, has in second().items()]
    row = connection.execute(select(*columns).where(person.c.id == id)).mappings().first()
    return [name for name, has in row.items() if has] if row is not None else []
