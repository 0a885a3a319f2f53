"""The log of what was exchanged: one row for each message on its way to one target, found by whatever is known of it.

Pages, commands and `/api/v1` read it here. Bodies are shown masked, and only where they were asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Connection, Executable, Select, and_, or_, select, text

from pipe.errors import BadRequest, ConfigError, PipeError
from pipe.operations.host import Host
from pipe.operations.messages import shown_of
from pipe.operations.selection import (
    SEARCH_LIMIT_S,
    D,
    M,
    by_keys,
    in_states,
    listed,
    routes_of,
    states_named,
    told,
    values_of,
    within,
)
from pipe.redact import mask
from pipe.store.codec import read_envelope
from pipe.store.family import family
from pipe.store.full_text import holding, seen
from pipe.store.schema import ANSWERED, CONSUMED, DEAD, DELIVERED, EXPIRED, PENDING, message
from pipe.words import Phrase, asked

NEWEST: tuple[int | None, ...] = (2000, 20_000, None)
"""so many messages with the words, the key or the subject are looked at first, and all only where these do not do"""
MOST = 1000
"""rows in one answer"""
ENDINGS: dict[str, tuple[str, ...]] = {
    "ok": (DELIVERED, CONSUMED, ANSWERED),
    "failed": (DEAD, EXPIRED),
    "pending": PENDING,
}
"""outcomes by their family; each state is an outcome, too"""


class Sought(BaseModel):
    """Which exchanges; what is left empty does not matter. Times are seconds since 1970."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: float | None = Field(default=None, description="Accepted at that time or after it.")
    until: float | None = Field(default=None, description="Accepted before it.")
    route: str | None = Field(default=None, description="Of this route.")
    connection: str | None = Field(default=None, description="From this connection or to it.")
    outcome: str | None = Field(default=None, description="`ok`, `failed`, `pending`, or a state.")
    code: str | None = Field(default=None, description="With this error code.")
    id: str | None = Field(default=None, description="Of this message, and all that came of it.")
    key: str | None = Field(default=None, description="Whose `order_by:` has this value, exactly.")
    subject: str | None = Field(default=None, description="Whose `subject:` has this value, exactly.")
    text: str | None = Field(
        default=None, description='Whose masked body has these words, `"side by side"` or `beginning*`.'
    )


ALL = Sought()


async def find(
    host: Host,
    sought: Sought = ALL,
    before: int | None = None,
    limit: int = 100,
    bodies: bool = False,
    purpose: Literal["read", "export"] = "read",
) -> dict[str, Any]:
    """Exchanges that fit, the newest first: `exchanges`, and `next`, to be given as `before` for those that follow.

    `unseen` says how many of the newest messages the index of words does not hold yet, where words were asked for.
    Who looks for words, or takes bodies or an export, stands in the audit. Raises BadRequest, StoreUnavailable.
    """
    limit = max(1, min(limit, MOST))
    routes, teller = await _routes(host, sought), _Teller(host)

    def query(connection: Connection) -> tuple[list[dict[str, Any]], int | None]:
        # A common word stands in very many messages, and most who look for it want the newest.
        for most in NEWEST if _narrows(sought) else (None,):
            chosen, whole = _listing(connection, host, sought, routes, bodies=bodies, before=before, most=most)
            rows = connection.execute(chosen.order_by(D.id.desc()).limit(limit)).mappings().fetchall()
            if whole or len(rows) == limit:
                break
        return [teller.tell(row, bodies=bodies) for row in rows], _unseen(connection, host, sought)

    found, unseen = await host.store.read(query, SEARCH_LIMIT_S)
    if before is None:
        await _noted(host, sought, bodies=bodies, purpose=purpose)
    return {"exchanges": found, "next": found[-1]["delivery"] if len(found) == limit else None, "unseen": unseen}


async def news(
    host: Host, sought: Sought = ALL, after: int | None = None, ended: float | None = None, limit: int = MOST
) -> dict[str, Any]:
    """What moved since the last call: came in, was tried, or ended. Hand `after` and `ended` of its answer to the next.

    Without them nothing but these is told: it begins now. What was told before may be told again; `more` says that the
    oldest were left out.
    """
    routes, teller = await _routes(host, sought), _Teller(host)

    def query(connection: Connection) -> dict[str, Any]:
        newest = connection.execute(select(D.id).order_by(D.id.desc()).limit(1)).scalar() or 0
        last = connection.execute(
            select(D.done_at).where(D.done_at.is_not(None)).order_by(D.done_at.desc()).limit(1)
        ).scalar()
        marks = {"after": newest, "ended": last or 0.0}
        if after is None or ended is None:
            return {"exchanges": [], "more": False, **marks}
        moved = or_(D.id > after, D.done_at >= ended, and_(D.done_at.is_(None), D.attempts > 0))
        chosen = _listing(connection, host, sought, routes)[0].where(moved, D.id <= newest)
        rows = connection.execute(chosen.order_by(D.id.desc()).limit(limit)).mappings().fetchall()
        told_ = [teller.tell(row) for row in reversed(rows)]
        return {"exchanges": told_, "more": len(rows) == limit, **marks}

    return await host.store.read(query)


def _listing(
    connection: Connection,
    host: Host,
    sought: Sought,
    routes: Iterable[str],
    *,
    bodies: bool = False,
    before: int | None = None,
    most: int | None = None,
) -> tuple[Select[Any], bool]:
    """The query for what is sought, in no order, and whether it leaves none out; `routes` are all that may have a key.

    `before` is a delivery that all are older than. Of the messages with the words, the key, the subject, the newest
    `most` are looked at. Raises BadRequest, StoreUnavailable.
    """
    chosen = listed().add_columns(M.envelope, M.kind).where(*_conditions(connection, host, sought))
    if bodies:
        chosen = chosen.add_columns(M.body, M.checksum)
    last, whole = None, True
    if before is not None:
        chosen = chosen.where(D.id < before)
        last = connection.execute(select(D.message).where(D.id <= before).order_by(D.id.desc()).limit(1)).scalar()
    for condition in by_keys(host.store.vault, routes, key=sought.key, subject=sought.subject):
        if most is not None:
            newest = _newest(condition, last, most)
            whole &= _fewer(connection, newest, most)
            chosen = chosen.where(D.message.in_(newest))
        else:
            chosen = chosen.where(condition)
    if sought.text is not None:
        found, told = holding(connection, host.store.data, _phrases(sought.text), last, most)
        if most is not None:
            whole &= _fewer(connection, text(found).bindparams(**told), most)
        # Many are told apart by a look at each delivery, not looked up one by one: a plus keeps their index out of it.
        plus = "+" if most is None else ""
        chosen = chosen.where(text(f"{plus}delivery.message IN ({found})").bindparams(**told))
    return chosen, whole


def _narrows(sought: Sought) -> bool:
    """Whether an index knows the messages of which what is sought are some."""
    return (sought.text, sought.key, sought.subject) != (None, None, None)


def _phrases(said: str) -> list[Phrase]:
    phrases = asked(said)
    if not phrases:
        raise BadRequest(f"`{said}` holds no word to look for")
    return phrases


def _fewer(connection: Connection, seqs: Executable, most: int) -> bool:
    """Whether a query of at most so many finds fewer."""
    return len(connection.execute(seqs).all()) < most


def _conditions(connection: Connection, host: Host, sought: Sought) -> list[ColumnElement[bool]]:
    """What is sought as SQL, over `delivery` joined with `message`, but for what has an index of its own."""
    found = within(connection, host.store.moments, sought.since, sought.until)
    if sought.route is not None:
        found.append(D.route == sought.route)
    if sought.connection is not None:
        found.append(_through(sought.connection, sources_of(host)))
    if sought.outcome is not None:
        found += in_states(ENDINGS.get(sought.outcome) or states_named(sought.outcome, *ENDINGS))
    if sought.code is not None:
        found.append(D.code == sought.code)
    if sought.id is not None:
        found.append(M.seq.in_(family([sought.id])))
    return found


def _newest(condition: ColumnElement[bool], last: int | None, most: int) -> Select[tuple[int]]:
    """The newest of the messages that an index knows."""
    chosen = select(M.seq).where(condition).order_by(M.seq.desc()).limit(most).correlate(None)
    return chosen if last is None else chosen.where(M.seq <= last)


def _through(connection: str, came: Mapping[str, str]) -> ColumnElement[bool]:
    """From a connection or to it. A station bears its connection's name; a second of the same has a number."""
    sources = [route for route, source in came.items() if source == connection]
    names = [connection, f"gather:{connection}"]
    numbered = [D.station.startswith(f"{name}#", autoescape=True) for name in names]
    return or_(D.station.in_(names), *numbered, D.route.in_(sources))


class _Teller:
    """Makes rows for people, as the configuration of today names things."""

    def __init__(self, host: Host) -> None:
        self._loader = host.store.loader
        self._sources = sources_of(host)

    def tell(self, row: Any, *, bodies: bool = False) -> dict[str, Any]:
        """One row, masked."""
        values = values_of(row, self._loader)
        done, kept = row["done_at"], row["kind"] != "gone"
        fields = self._envelope(row) if kept else {}
        found = {
            **told(row, self._loader),
            "from": self._sources.get(row["route"]),
            "caller": mask(fields.get("caller"), values),
            "content_type": fields.get("content_type"),
            "seconds": round(done - row["received_at"], 3) if done is not None else None,
            "body_kept": kept,
        }
        return {**found, **self._body(row, values)} if bodies and kept else found

    def _envelope(self, row: Any) -> dict[str, Any]:
        try:
            return read_envelope(bytes(row["envelope"]), self._loader.vault, row["id"])
        except PipeError:
            return {}  # damaged: its story tells so

    def _body(self, row: Any, values: tuple[str, ...]) -> dict[str, Any]:
        try:
            return dict(mask(shown_of(self._loader.message(row).body, row, values), values))
        except (PipeError, OSError):
            return {"body": None}


def sources_of(host: Host) -> dict[str, str]:
    """Where the messages of each route come from, by today's configuration; nothing where that cannot be read."""
    try:
        routes = host.configuration().routes
    except ConfigError:
        return {}
    return {name: route.source.connection or route.source.kind for name, route in routes.items()}


def _unseen(connection: Connection, host: Host, sought: Sought) -> int | None:
    if sought.text is None:
        return None
    last = connection.execute(select(message.c.seq).order_by(message.c.seq.desc()).limit(1)).scalar() or 0
    return max(0, last - seen(connection, host.store.data))


async def _routes(host: Host, sought: Sought) -> list[str]:
    return await routes_of(host, sought.route) if sought.key is not None else []


async def _noted(host: Host, sought: Sought, *, bodies: bool, purpose: str) -> None:
    """What was looked for may itself be somebody's data: of words, keys and subjects only that there were some."""
    if purpose == "read" and not bodies and sought.text is None:
        return
    facts = sought.model_dump(exclude_none=True)
    facts |= {name: "***" for name in ("text", "key", "subject") if name in facts}
    event = "exchanges.exported" if purpose == "export" else "exchanges.searched"
    after = {**facts, **({"bodies": True} if bodies else {})}
    await host.store.write(lambda tx: tx.audit(event, after=after or None, actor=host.actor))
