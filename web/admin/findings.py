"""`/admin/findings`: what a security officer should look at. Looking is itself written into the audit."""

from __future__ import annotations

from pydantic import BaseModel, Field

from flows.access.engine import OPEN
from flows.access.findings import findings
from web.pages.call import Call
from web.pages.router import Area, Nav

AREA = Area("findings")


class Finding(BaseModel):
    """One thing to look at."""

    kind: str = Field(description="What kind of thing it is.")
    who: str = Field(description="Whom it is about.")
    at: float | None = Field(description="Since when, or when, seconds since 1970.")
    text: str = Field(description="In a sentence.")


class Kind(BaseModel):
    """All findings of one kind."""

    kind: str = Field(description="Its name.")
    found: list[Finding] = Field(description="The findings.")


class Found(BaseModel):
    """All that was found."""

    kinds: list[Kind] = Field(description="Kind by kind.")
    total: int = Field(description="How many findings there are.")


@AREA.page(
    "/admin/findings", "admin/findings.html", permission="audit.read", api="GET /findings",
    nav=Nav("nav.watch", "findings.title", "eye", 41),
)  # fmt: skip
async def look(call: Call) -> Found:
    """Dormant administrators, unused grants, failed sign-ins, changes out of hours, and more."""
    call.require("audit.read", OPEN)
    now, words = call.now, call.words
    found = await call.read(lambda connection: findings(connection, now))
    await call.write(lambda tx: tx.audit("audit.read", after={"findings": len(found), "address": call.address}))
    kinds: dict[str, list[Finding]] = {}
    for each in found:
        text = each.uk if words.language == "uk" else each.en
        kinds.setdefault(each.kind, []).append(Finding(kind=each.kind, who=each.who, at=each.at, text=text))
    return Found(kinds=[Kind(kind=kind, found=some) for kind, some in kinds.items()], total=len(found))
