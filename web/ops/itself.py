"""`/ops/self`: the gateway's own house: what runs, where, and the doctor's look at disk, clock, rights and store."""

from __future__ import annotations

from pydantic import BaseModel, Field

from pipe.operations import doctor
from web.ops.connections import Rung
from web.ops.looking import look
from web.pages.call import Call
from web.pages.results import Show
from web.pages.router import Area, Nav

AREA = Area("self", whole=True)
DIAGNOSE = "gateway.diagnose"


class Itself(BaseModel):
    """The gateway."""

    pid: int = Field(description="Number of its process.")
    started_at: float = Field(description="When it was started.")
    now: float = Field(description="When it was looked.")
    addresses: dict[str, str] = Field(description="Where it listens.")
    revision: str = Field(description="The configuration in force.")
    disk_free: int = Field(description="Free bytes where its data lies.")
    disk_floor: int | None = Field(description="Below so many nothing is accepted.")
    commits: int = Field(description="Commits since the start.")
    units: int = Field(description="Units of work since the start: more than commits where several share one.")
    pending: int = Field(description="Deliveries that wait.")
    examined: bool = Field(default=False, description="Whether the doctor has looked just now.")
    well: bool = Field(default=True, description="Whether nothing failed.")
    checks: list[Rung] = Field(default=[], description="What the doctor found.")


@AREA.page(
    "/ops/self", "ops/self.html", permission=DIAGNOSE, api="GET /self",
    nav=Nav("nav.ops", "ops.self.title", "shield", -11),
)  # fmt: skip
async def itself(call: Call) -> Itself:
    """What runs, since when, where."""
    status = (await look(call)).status
    return Itself(
        pid=status["pid"], started_at=status["started_at"], now=call.now, addresses=status["addresses"],
        revision=status["revision"] or "", disk_free=status["disk"]["free"], disk_floor=status["disk"]["floor"],
        commits=status["store"]["commits"], units=status["store"]["units"], pending=status["ledger"]["pending"],
    )  # fmt: skip


@AREA.action("/ops/self/doctor", permission=DIAGNOSE, on=itself, api="POST /self/doctor", result=Itself)
async def examine(call: Call) -> Show:
    """Looks at disk, clock, rights, limits and store now; takes a second or a few."""
    told = await doctor.doctor(call.host())
    found = await itself.handler(call)
    checks = [Rung.model_validate(each) for each in told["checks"]]
    return Show("ops/self.html", found.model_copy(update={"examined": True, "well": told["well"], "checks": checks}))
