"""`/ops/revisions`: which configurations were taken up, by whom, and what each of them changed."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import BaseModel, Field
from sqlalchemy import Connection, select

from pipe.errors import NotFound
from pipe.redact import mask
from pipe.store.schema import revision
from web.ops.differing import Line, counted, difference, hunks
from web.pages.call import Call
from web.pages.router import Area, Nav

AREA = Area("revisions", whole=True)
READ = "route.read"
MOST = 200
R = revision.c


class Revision(BaseModel):
    """A configuration that was taken up."""

    id: str = Field(description="Its id: the beginning of the SHA-256 of its files.")
    at: float = Field(description="When it was taken up.")
    by: str = Field(description="Who did it.")
    in_force: bool = Field(description="Whether it is in force.")


class Revisions(BaseModel):
    """Those that are kept."""

    revisions: list[Revision] = Field(description="The newest first.")


class Changed(BaseModel):
    """A file that is another one than before."""

    file: str = Field(description="Its path.")
    added: int = Field(description="How many lines came.")
    removed: int = Field(description="How many went.")
    lines: list[tuple[int, str, str]] = Field(description="Number, `add`, `del` or nothing, and text.")

    @property
    def shown(self) -> list[Line]:
        """The same for the template."""
        return [Line(number, op, text) for number, op, text in self.lines]  # type: ignore[arg-type]


class One(BaseModel):
    """A configuration beside the one before it."""

    revision: Revision = Field(description="It.")
    before: Revision | None = Field(description="The one before it.")
    files: list[Changed] = Field(description="What is different.")
    same: int = Field(description="How many files are the same.")


@AREA.page(
    "/ops/revisions", "ops/revisions.html", permission=READ, api="GET /revisions",
    nav=Nav("nav.ops", "ops.revisions.title", "log", -12),
)  # fmt: skip
async def everything(call: Call) -> Revisions:
    """Configurations that were taken up, the newest first."""
    current = call.host().configuration().revision

    def read(connection: Connection) -> Revisions:
        rows = connection.execute(select(R.id, R.at, R.by).order_by(R.at.desc()).limit(MOST))
        return Revisions(revisions=[_told(row, current) for row in rows])

    return await call.read(read)


@AREA.page("/ops/revisions/{id}", "ops/revision.html", permission=READ, api="GET /revisions/{id}")
async def one(call: Call) -> One:
    """What a configuration changed."""
    current = call.host().configuration().revision

    def read(connection: Connection) -> tuple[Any, Any]:
        row = connection.execute(select(revision).where(R.id == call.params["id"])).first()
        if row is None:
            raise NotFound("no such configuration is kept")
        before = connection.execute(select(revision).where(R.at < row.at).order_by(R.at.desc()).limit(1)).first()
        return row, before

    row, before = await call.read(read)
    new, old = orjson.loads(bytes(row.files)), orjson.loads(bytes(before.files)) if before is not None else {}
    names = sorted({*new, *old})
    files = [_changed(name, old.get(name, ""), new.get(name, "")) for name in names if old.get(name) != new.get(name)]
    told = _told(before, current) if before is not None else None
    return One(revision=_told(row, current), before=told, files=files, same=len(names) - len(files))


def _changed(name: str, old: str, new: str) -> Changed:
    # Secrets stand in files by reference; what looks like one all the same is masked.
    lines = difference(mask(old, ()), mask(new, ()))
    removed, added = counted(lines)
    return Changed(
        file=name, added=added, removed=removed, lines=[(each.number, each.op, each.text) for each in hunks(lines)]
    )


def _told(row: Any, current: str) -> Revision:
    return Revision(id=row.id, at=row.at, by=row.by, in_force=row.id == current)
