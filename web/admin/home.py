"""`/admin`: what there is to look after, and what needs a hand."""

from __future__ import annotations

from pydantic import BaseModel, Field
from sqlalchemy import Connection, func, select

from flows.access.tables import key, password, person, session, totp
from pipe.store.schema import audit
from web.pages.call import Call
from web.pages.permission import SIGNED_IN
from web.pages.router import Area, Nav

AREA = Area("admin")


class Home(BaseModel):
    """What the first page of administration shows."""

    counts: dict[str, int] = Field(description="How many there are, by the name of their page.")
    without_factor: int = Field(description="People who sign in with a password alone.")
    mine: bool = Field(description="Whether the one who asks has a second factor.")


@AREA.page(
    "/admin", "admin/home.html", permission=SIGNED_IN, api="GET /admin", nav=Nav("nav.manage", "home.nav", "overview")
)
async def home(call: Call) -> Home:
    """How many people, sessions and keys there are."""
    return await call.read(lambda connection: _counted(connection, call))


def _counted(connection: Connection, call: Call) -> Home:
    me, now = call.who.id, call.now
    active = (person.c.kind == "person", person.c.state == "active")
    confirmed = select(totp.c.person).where(totp.c.confirmed_at.is_not(None))
    bare = select(password.c.person).where(password.c.person.not_in(confirmed))

    def count(*where: object) -> int:
        return int(connection.execute(select(func.count()).where(*where)).scalar_one())  # type: ignore[arg-type]

    return Home(
        counts={
            "people.everybody": count(*active),
            "sessions.open_now": count(
                session.c.ended_at.is_(None),
                session.c.expires_at > now,
                session.c.seen_at > now - call.site.settings().idle,
            ),
            "keys.issued": count(key.c.revoked_at.is_(None), key.c.expires_at > now),
            "audit.rows": count(audit.c.seq > 0),
        },
        without_factor=count(*active, person.c.id.in_(bare)),
        mine=count(totp.c.person == me, totp.c.confirmed_at.is_not(None)) > 0,
    )
