"""`/admin`: what there is to look after, and what needs a hand."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, func, select

from flows.access.filtering import Protected
from flows.access.guarding import about
from flows.access.model import Object
from flows.access.tables import key, person, session
from flows.signin import factors
from pipe.store.schema import audit
from web.admin.people import THEIRS
from web.pages.call import Call
from web.pages.permission import SIGNED_IN
from web.pages.router import Area, Nav

AREA = Area("admin")


class Home(BaseModel):
    """What the first page of administration shows."""

    counts: dict[str, int] = Field(description="How many the one who asks may see, by the name of their page.")
    mine: bool = Field(description="Whether the one who asks has a second factor.")


@AREA.page(
    "/admin", "admin/home.html", permission=SIGNED_IN, api="GET /admin", nav=Nav("nav.manage", "home.nav", "overview")
)
async def home(call: Call) -> Home:
    """How many people, sessions and keys there are for whoever asks."""
    seen = {name: call.rows(name, table) for name, table in _TABLES.items()}
    return await call.read(lambda connection: _counted(connection, call, seen))


def _in_memory(call: Call) -> dict[str, int]:
    snapshot = call.site.access.snapshot
    return {
        "companies.everything": sum(call.may("company.read", Object(company=each)) for each in snapshot.company),
        "groups.groups": sum(call.may("group.read", Object(company=each.company)) for each in snapshot.group.values()),
        "roles.matrix": len(snapshot.role) if call.may("role.read") else 0,
        "grants.given": sum(call.may("grant.read", about(snapshot, each)) for each in snapshot.grant.values()),
        "rules.all_rules": len(snapshot.forbid) + len(snapshot.separation) + len(snapshot.field)
        if call.may("rule.read")
        else 0,
    }


_TABLES = {"person.read": THEIRS, "session.read": THEIRS, "key.read": THEIRS, "audit.read": Protected()}


def _counted(connection: Connection, call: Call, seen: Mapping[str, ColumnElement[bool]]) -> Home:
    me, now = call.who.id, call.now

    def count(*where: ColumnElement[bool]) -> int:
        return int(connection.execute(select(func.count()).where(*where)).scalar_one())

    return Home(
        counts={
            "people.everybody": count(person.c.kind == "person", person.c.state == "active", seen["person.read"]),
            "sessions.open_now": count(
                session.c.person == person.c.id,
                session.c.ended_at.is_(None),
                session.c.expires_at > now,
                session.c.seen_at > now - call.site.settings().idle,
                seen["session.read"],
            ),
            "keys.issued": count(
                key.c.person == person.c.id, key.c.revoked_at.is_(None), key.c.expires_at > now, seen["key.read"]
            ),
            "audit.rows": count(audit.c.seq > 0, seen["audit.read"]),
            **_in_memory(call),
        },
        mine=bool(factors.of(connection, me)),
    )
