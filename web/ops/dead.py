"""`/ops/dead`: dead letters by their cause, many at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, func, select

from pipe import saying
from pipe.operations import dead_letters, selection
from pipe.operations.selection import DEAD_ONES, D, L, Which
from pipe.store.schema import dead_letter, delivery
from web.ops import bulk
from web.ops.asking import in_words
from web.ops.hiding import said, sees_bodies
from web.pages.call import Call
from web.pages.forms import Input, Invalid, Number, Said
from web.pages.live import ends
from web.pages.permission import GATEWAY
from web.pages.results import Done
from web.pages.router import Area, Nav
from web.pages.works import Work

AREA = Area("dead", whole=True)
READ, REPLAY, DISCARD = "dead.read", "dead.replay", "dead.discard"
DAYS = {"day": 1.0, "week": 7.0, "month": 30.0}
MOST_GROUPS = 200
MOST_LETTERS = 100
MOST_AT_ONCE = 100_000


class Ask(Input):
    """Which dead letters are looked at."""

    q: str = Field(default="", max_length=100, description="Id of a message, or of what it came of.")
    route: str = Field(default="", max_length=300, description="Only of this route.")
    kind: str = Field(default="", max_length=100, description="Only of this class.")
    period: str = Field(default="", pattern="^(day|week|month)?$", description="`day`, `week` or `month`; else all.")


class LetterAsk(Ask):
    """One group of them."""

    station: str = Field(default="", max_length=300, description="Only of this target.")
    code: str = Field(default="", max_length=20, description="Only of this error.")
    place: str = Field(default="", max_length=1000, description="Only of this line of the configuration.")
    before: Number | None = Field(default=None, description="Only older ones than this number.")


class Group(BaseModel):
    """Dead letters that are alike."""

    key: str = Field(description="What names the group when it is chosen.")
    route: str = Field(description="Their route.")
    station: str = Field(description="Their target.")
    kind: str = Field(description="Their class.")
    code: str | None = Field(description="Code of the error.")
    place: str | None = Field(description="File and line of the step that failed.")
    n: int = Field(description="How many there are.")
    first_at: float = Field(description="When the first of them died.")
    last_at: float = Field(description="When the last did.")
    example: str = Field(description="Id of the newest.")
    text: str = Field(description="What the gateway says of the newest.")


class Failing(BaseModel):
    """Dead letters that would fail again for one reason."""

    code: str = Field(description="Code of the error.")
    place: str = Field(description="File and line where they would stop.")
    text: str = Field(description="What the gateway says of it.")
    n: int = Field(description="How many.")


class Progress(BaseModel):
    """A piece of work on many of them."""

    id: str = Field(description="Its id.")
    verb: str = Field(description="`rehearse`, `replay` or `discard`.")
    actor: str = Field(description="Who began it.")
    began_at: float = Field(description="When.")
    ended_at: float | None = Field(description="When it was over.")
    reason: str = Field(description="Why, as they said.")
    total: int = Field(description="How many there are.")
    done: int = Field(description="How many were passed.")
    acted: int = Field(description="How many of these it was done to.")
    stopped: bool = Field(description="Whether a person stopped it.")
    waits: bool = Field(description="Whether a restart or a failure broke it off; `resume` goes on with the rest.")
    resumed_by: str | None = Field(description="Who went on with it after that.")
    failed: str = Field(description="Why it broke off, where that is known.")
    refused: list[str] = Field(description="Why some were refused.")
    outcome: dict[str, int] = Field(description="Of those sent again: delivered, waiting, dead, other, now.")
    passing: int = Field(description="Of those rehearsed: how many would pass.")
    failing: int = Field(description="How many would fail again.")
    unknown: int = Field(description="Of how many nobody can tell without asking a partner.")
    changed: int = Field(description="From how many something else would go out than then.")
    why: list[Failing] = Field(description="Why those that would fail would, the most frequent first.")


class Dead(BaseModel):
    """The dead letters."""

    after: int = Field(description="Number of the last event of the feed that is in it.")
    ask: Ask = Field(description="What was asked for.")
    total: int = Field(description="How many there are as asked for.")
    kinds: dict[str, int] = Field(description="How many there are of each class, whatever class was asked for.")
    routes: list[str] = Field(description="Routes that have some.")
    groups: list[Group] = Field(description="Those that are alike, the latest first.")
    works: list[Progress] = Field(description="What is being done to many at once.")
    kept_days: float = Field(description="How long they are kept.")


class Letter(BaseModel):
    """One dead letter."""

    delivery: int = Field(description="Its number.")
    message_id: str = Field(description="Its message.")
    route: str = Field(description="Its route.")
    station: str = Field(description="Its target.")
    state: str = Field(description="`dead` or `expired`.")
    kind: str = Field(description="Its class.")
    code: str | None = Field(description="Code of the error.")
    place: str | None = Field(description="File and line of the step that failed.")
    text: str = Field(description="What the gateway says of it.")
    received_at: float = Field(description="When it was accepted.")
    died_at: float | None = Field(description="When it died.")
    attempts: int = Field(description="How many attempts there were.")
    maybe_delivered: bool = Field(description="Whether it may have arrived all the same.")


class Letters(BaseModel):
    """Dead letters, one by one."""

    after: int = Field(description="Number of the last event of the feed that is in it.")
    ask: LetterAsk = Field(description="What was asked for.")
    total: int = Field(description="How many there are.")
    letters: list[Letter] = Field(description="The newest of them.")
    more: int | None = Field(description="Ask for those before this number to see older ones.")


class Chosen(Input):
    """Which ones are meant: groups, single ones, or those that a rehearsal found to pass."""

    groups: list[str] = Field(default=[], max_length=MOST_GROUPS, description="Keys of groups.")
    deliveries: list[Number] = Field(default=[], max_length=1000, description="Numbers of deliveries.")
    rehearsed: str = Field(default="", max_length=40, description="Those that this rehearsal found to pass.")
    reason: str = Field(default="", max_length=500, description="Why; it stands in the audit of what is changed.")
    per_second: int | None = Field(default=None, ge=1, le=1000, description="At most so many sent a second.")
    ignore_deadline: bool = Field(default=False, description="Also those whose deadline has passed.")


class Discarded(Chosen):
    """Closes them for good."""

    reason: Said = Field(max_length=500, description="Why; it stands in the audit.")


@AREA.page(
    "/ops/dead", "ops/dead.html", permission=READ, alike=True, api="GET /dead",
    nav=Nav("nav.ops", "ops.dead.title", "tray", -16),
)  # fmt: skip
async def letters_by_cause(call: Call, ask: Ask) -> Dead:
    """Dead letters by cause, and what is being done to them."""
    sees, configuration = sees_bodies(call), call.host().configuration()
    told = [await _progress(call, work) for work in await call.site.works.all()]

    def read(connection: Connection) -> Dead:
        after = ends(connection)[1]
        # All classes are counted in one pass; the list of those to choose from tells of them all.
        alike = _alike(connection, _where(ask.model_copy(update={"kind": ""}), call.now))
        kinds: Counter[str] = Counter()
        for row in alike:
            kinds[row.kind] += row.n
        wanted = [row for row in alike if ask.kind in ("", row.kind)]
        routes = connection.execute(select(D.route).where(DEAD_ONES).distinct().order_by(D.route))
        return Dead(
            after=after, ask=ask, total=sum(row.n for row in wanted), kinds=dict(kinds.most_common()),
            routes=list(routes.scalars()), groups=_groups(connection, wanted[:MOST_GROUPS], call, sees=sees),
            works=told, kept_days=round(configuration.retention.dead / 86400, 1),
        )  # fmt: skip

    return await call.read(read)


@AREA.page("/ops/dead/letters", "ops/letters.html", permission=READ, alike=True, api="GET /dead/letters")
async def letters(call: Call, ask: LetterAsk) -> Letters:
    """Dead letters one by one, the newest first."""
    sees, loader = sees_bodies(call), call.site.store.loader
    where = _where(ask, call.now)
    equal = ((D.station, ask.station), (D.code, ask.code), (L.place, ask.place))
    where += [column == value for column, value in equal if value]
    older = [D.id < ask.before] if ask.before is not None else []

    def read(connection: Connection) -> Letters:
        after = ends(connection)[1]
        total = connection.execute(_letters(func.count()).where(*where)).scalar_one()
        query = selection.listed().where(*where, *older).order_by(D.id.desc()).limit(MOST_LETTERS)
        rows = [dead_letters.letter_of(row, loader) for row in connection.execute(query).mappings()]
        more = rows[-1]["id"] if len(rows) == MOST_LETTERS else None
        return Letters(after=after, ask=ask, total=total, letters=[_letter(row, sees=sees) for row in rows], more=more)

    return await call.read(read)


def _letter(row: dict[str, Any], *, sees: bool) -> Letter:
    names = ("message_id", "route", "station", "state", "code", "place", "received_at", "died_at", "attempts")
    return Letter(
        delivery=row["id"], kind=row["class"], text=said(row["code"], row["text"], sees=sees),
        maybe_delivered=row["maybe_delivered"], **{name: row[name] for name in names},
    )  # fmt: skip


@AREA.action("/ops/dead/rehearse", permission=READ, on=letters_by_cause, api="POST /dead/rehearse", result=Progress)
async def rehearse(call: Call, form: Chosen) -> Done:
    """Finds out which of them would pass today; no partner is asked and nothing is kept."""
    work = await bulk.begin(call, "rehearse", await _numbers(call, form))
    return Done("/ops/dead", "ops.begun", result=await _progress(call, work))


@AREA.action("/ops/dead/replay", permission=REPLAY, on=letters_by_cause, api="POST /dead/replay", result=Progress)
async def replay(call: Call, form: Chosen) -> Done:
    """Sends them again through today's configuration, the oldest first."""
    call.require(READ, GATEWAY)
    how = {"reason": form.reason, "per_second": form.per_second, "late": form.ignore_deadline}
    work = await bulk.begin(call, "replay", await _numbers(call, form), how)
    return Done("/ops/dead", "ops.begun", result=await _progress(call, work))


@AREA.action("/ops/dead/discard", permission=DISCARD, on=letters_by_cause, api="POST /dead/discard", result=Progress)
async def discard(call: Call, form: Discarded) -> Done:
    """Closes them for good, with a reason."""
    call.require(READ, GATEWAY)
    work = await bulk.begin(call, "discard", await _numbers(call, form), {"reason": form.reason})
    return Done("/ops/dead", "ops.begun", result=await _progress(call, work))


RIGHTS = {"rehearse": READ, "replay": REPLAY, "discard": DISCARD}
"""what one may do to many at once, one may also stop and go on with"""


@AREA.action("/ops/dead/works/{id}/stop", permission=READ, api="POST /dead/works/{id}/stop", result=Progress)
async def stop(call: Call) -> Done:
    """Lets no more of it be done; what is done stays done."""
    work = await _mine(call)
    halted = await call.site.works.halt(work.id, call.actor)
    return Done("/ops/dead", "ops.stopped", result=await _progress(call, halted))


@AREA.action("/ops/dead/works/{id}/resume", permission=READ, api="POST /dead/works/{id}/resume", result=Progress)
async def resume(call: Call) -> Done:
    """Goes on with what a restart or a failure broke off; what is done is not done again."""
    work = await _mine(call)
    resumed = await bulk.resume(call, work.id)
    return Done("/ops/dead", "ops.resumed", result=await _progress(call, resumed))


@AREA.action("/ops/dead/works/{id}/drop", permission=READ, api="POST /dead/works/{id}/drop")
async def drop(call: Call) -> Done:
    """Shows it no more, where it is over."""
    await call.site.works.drop((await _mine(call)).id)
    return Done("/ops/dead")


async def _mine(call: Call) -> Work:
    """The work that is meant, by who might have begun it. Raises NotFound, Denied."""
    work = await call.site.works.one(call.params["id"])
    call.require(RIGHTS[work.verb], GATEWAY)
    return work


class WorkList(BaseModel):
    """What is being done to many dead letters at once."""

    works: list[Progress] = Field(description="The newest first.")


@AREA.page("/ops/dead/works", "ops/works.html", permission=READ, api="GET /dead/works")
async def works(call: Call) -> WorkList:
    """What is being done to many dead letters at once."""
    return WorkList(works=[await _progress(call, work) for work in await call.site.works.all()])


# --- what is uncertain --------------------------------------------------------------------------------------------


class Uncertain(BaseModel):
    """Deliveries of which nobody knows whether they arrived."""

    after: int = Field(description="Number of the last event of the feed that is in it.")
    letters: list[Letter] = Field(description="The newest first.")


@AREA.page("/ops/uncertain", "ops/uncertain.html", permission=READ, alike=True, api="GET /uncertain")
async def uncertain(call: Call) -> Uncertain:
    """Deliveries of which nobody knows whether they arrived."""
    sees, loader = sees_bodies(call), call.site.store.loader

    def read(connection: Connection) -> Uncertain:
        after = ends(connection)[1]
        query = selection.listed().where(D.state == "uncertain", D.done_at.is_(None)).order_by(D.id.desc())
        rows = connection.execute(query.limit(MOST_LETTERS)).mappings()
        found = [dead_letters.letter_of(row, loader) for row in rows]
        return Uncertain(after=after, letters=[_letter(row, sees=sees) for row in found])

    return await call.read(read)


# --- parts --------------------------------------------------------------------------------------------------------


def _letters(*columns: Any) -> Any:
    return select(*columns).select_from(delivery).outerjoin(dead_letter, L.delivery == D.id)


def _where(ask: Ask, now: float) -> list[ColumnElement[bool]]:
    since = now - DAYS[ask.period] * 86400 if ask.period else None
    which = Which(route=ask.route or None, since=since, ids=[ask.q] if ask.q else None)
    found = which.conditions()
    return [*found, func.coalesce(L["class"], D.state) == ask.kind] if ask.kind else found


def _alike(connection: Connection, where: list[ColumnElement[bool]]) -> Sequence[Any]:
    """How many are alike, since when, and which is the newest; the latest first."""
    kind = func.coalesce(L["class"], D.state).label("kind")
    alike = (D.route, D.station, kind, D.code, L.place)
    counted = _letters(
        *alike, func.count().label("n"), func.min(D.done_at).label("first"), func.max(D.done_at).label("last"),
        func.max(D.id).label("newest"),
    ).where(*where).group_by(*alike).order_by(func.max(D.done_at).desc())  # fmt: skip
    rows: Sequence[Any] = connection.execute(counted).all()
    return rows


def _groups(connection: Connection, rows: Sequence[Any], call: Call, *, sees: bool) -> list[Group]:
    examples = selection.listed().where(D.id.in_([row.newest for row in rows]))
    loader = call.site.store.loader
    newest = {row["delivery"]: selection.told(row, loader) for row in connection.execute(examples).mappings()}
    return [
        Group(
            key=orjson.dumps([row.route, row.station, row.kind, row.code, row.place]).decode(),
            route=row.route, station=row.station, kind=row.kind, code=row.code, place=row.place, n=row.n,
            first_at=row.first, last_at=row.last, example=newest[row.newest]["id"],
            text=said(row.code, newest[row.newest]["text"], sees=sees),
        )
        for row in rows
    ]  # fmt: skip


async def _numbers(call: Call, form: Chosen) -> list[int]:
    """The deliveries that are meant, the oldest first. Raises Invalid where none is."""
    chosen = [_group_of(key) for key in form.groups]
    passing = await call.site.works.passing(form.rehearsed) if form.rehearsed else []

    def read(connection: Connection) -> list[int]:
        found = set(form.deliveries) | set(passing)
        for where in chosen:
            found |= set(connection.execute(_letters(D.id).where(*where)).scalars())
        return sorted(found)

    numbers = await call.read(read)
    if not numbers:
        raise Invalid("", "ops.dead.none_chosen")
    if len(numbers) > MOST_AT_ONCE:
        raise Invalid("", "ops.dead.too_many", n=MOST_AT_ONCE)
    return numbers


def _group_of(key: str) -> list[ColumnElement[bool]]:
    try:
        route, station, kind, code, place = orjson.loads(key)
    except (ValueError, TypeError):
        raise Invalid("groups", "form.error.other") from None
    if not all(part is None or isinstance(part, str) for part in (route, station, kind, code, place)):
        raise Invalid("groups", "form.error.other")
    pairs = ((D.route, route), (D.station, station), (func.coalesce(L["class"], D.state), kind), (D.code, code))
    same = [column == value if value is not None else column.is_(None) for column, value in (*pairs, (L.place, place))]
    return [DEAD_ONES, *same]


async def _progress(call: Call, work: Work) -> Progress:
    gained = work.gained
    why = sorted(gained.why, key=lambda each: -each[1])[:5]
    return Progress(
        id=work.id, verb=work.verb, actor=work.actor, began_at=work.began_at, ended_at=work.ended_at,
        reason=work.options.get("reason", ""), total=work.total, done=work.done, acted=gained.acted,
        stopped=work.stopped, waits=work.waits, resumed_by=work.resumed_by,
        failed=saying.because(work.code, work.failed, call.words.language),
        refused=[in_words(call, each) for each in gained.refused],
        outcome=await bulk.outcome(call, work) if work.verb == "replay" else {},
        passing=gained.passed, failing=gained.failing, unknown=gained.unknown, changed=gained.changed,
        why=[Failing(code=code, place=place, text=text, n=n) for (code, place, text), n in why],
    )  # fmt: skip
