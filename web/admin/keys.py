"""`/admin/keys`: keys of programs that use `/api/v1`. A key is shown once, when it is made."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, Row, select

from flows.access import people
from flows.access.tables import key, person
from flows.signin import api_keys
from pipe.errors import BadRequest, NotFound
from pipe.store.transaction import Tx
from web.admin.people import THEIRS, person_object
from web.admin.person import KeyRow, key_row
from web.pages.call import Call
from web.pages.forms import Input, Invalid, Said
from web.pages.listing import Column, Listing, Query, listed
from web.pages.results import Done, Show
from web.pages.router import Area, Nav

AREA = Area("keys")
DAY_S = 86400.0
PATTERNS = r"^(([a-z_]+\.([a-z_]+|\*)|\*)([ ,]+([a-z_]+\.([a-z_]+|\*)|\*))*)?$"


class OwnedKey(KeyRow):
    """A key and whose it is."""

    owner: str = Field(description="The account's id.")
    login: str = Field(description="The account's login.")


class Keys(BaseModel):
    """The list and how it was asked for."""

    keys: Listing[OwnedKey] = Field(description="This page of the list.")
    ask: Query = Field(description="What was asked.")
    accounts: list[tuple[str, str]] = Field(description="Service accounts: login and name.")


class NewKey(Input):
    """A new key."""

    login: str = Field(max_length=128, description="Login of the service account.")
    name: Said = Field(min_length=2, max_length=100, description="What it is for.")
    permissions: str = Field(
        default="",
        max_length=2000,
        pattern=PATTERNS,
        description="What it may be used for, `area.verb` or `area.*`; nothing: all.",
    )
    days: int = Field(default=365, ge=1, le=366, description="For how many days it is good.")


class Issued(BaseModel):
    """A new key, shown this once."""

    id: str = Field(description="The key's visible beginning.")
    key: str = Field(description="The key. It is kept nowhere.")
    login: str = Field(description="The service account.")
    until: float = Field(description="Until when it is good, seconds since 1970.")


@AREA.page(
    "/admin/keys", "admin/keys.html", permission="key.read", api="GET /keys",
    nav=Nav("nav.watch", "keys.title", "key", 31),
)  # fmt: skip
async def issued(call: Call, ask: Query) -> Keys:
    """API keys, those that are over included."""
    seen = call.rows("key.read", THEIRS)
    return await call.read(lambda connection: _listed(connection, ask, seen))


@AREA.action("/admin/keys", permission="key.issue", on=issued, api="POST /keys", result=Issued, status=201)
async def issue(call: Call, form: NewKey) -> Show:
    """Makes a key for a service account and shows it, this once. Two may live at a time."""
    account = await call.read(lambda connection: people.find(connection, form.login))
    if account is None or account.kind != "service":
        raise Invalid("login", "keys.no_service")
    call.require("key.issue", person_object(account.company, account.id))
    call.site.access.not_over(call.who.id, account.id)
    try:
        id_of, whole = await call.write(lambda tx: _issue(tx, call, account, form))
    except BadRequest:
        raise Invalid("login", "keys.two_live") from None
    made = Issued(id=id_of, key=whole, login=account.login, until=call.now + form.days * DAY_S)
    return Show("admin/key_issued.html", made, status=201)


@AREA.action("/admin/keys/{id}/revoke", permission="key.revoke", on=issued, api="POST /keys/{id}/revoke")
async def revoke(call: Call) -> Done:
    """Takes a key back, at once."""
    mine = call.rows("key.revoke", THEIRS)
    if not await call.write(lambda tx: _revoke(tx, call, call.params["id"], mine)):
        raise NotFound("there is no such key, or it was revoked before")
    return Done("/admin/keys", "keys.revoked")


def _listed(connection: Connection, ask: Query, seen: ColumnElement[bool]) -> Keys:
    query = (
        select(key, person.c.login, person.c.id.label("owner")).join(person, person.c.id == key.c.person).where(seen)
    )
    columns = (
        Column("name", key.c.name, search=True),
        Column("login", person.c.login, search=True),
        Column("id", key.c.id, search=True),
        Column("created_at", key.c.created_at),
        Column("used_at", key.c.used_at),
        Column("expires_at", key.c.expires_at),
    )
    found = listed(connection, query, ask, columns, _row, sort="-created_at", last=key.c.id)
    accounts = connection.execute(
        select(person.c.login, person.c.name)
        .where(person.c.kind == "service", person.c.state == "active", seen)
        .order_by(person.c.login)
    )
    return Keys(keys=found, ask=ask, accounts=[(row.login, row.name) for row in accounts])


def _row(row: Row[Any]) -> OwnedKey:
    return OwnedKey(**key_row(row).model_dump(), owner=row.owner, login=row.login)


def _issue(tx: Tx, call: Call, account: people.Person, form: NewKey) -> tuple[str, str]:
    patterns = sorted(set(form.permissions.replace(",", " ").split()))
    id_of, whole = api_keys.issue(
        tx, account.id, name=form.name, permissions=patterns, lasts=form.days * DAY_S, by=call.actor
    )
    after = {"key": id_of, "name": form.name, "permissions": patterns, "days": form.days, "address": call.address}
    tx.audit("apikey.issued", target=account.login, after=after)
    return id_of, whole


def _revoke(tx: Tx, call: Call, id_of: str, mine: ColumnElement[bool]) -> bool:
    query = select(person.c.login).join(key, key.c.person == person.c.id).where(key.c.id == id_of, mine)
    login = tx.execute(query).scalar()
    if login is None or not api_keys.end(tx, id_of, call.actor):
        return False
    tx.audit("apikey.revoked", target=login, after={"key": id_of, "address": call.address})
    return True
