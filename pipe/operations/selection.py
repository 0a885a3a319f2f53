"""Which deliveries a person means: filters become conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, Select, false, literal_column, select

from pipe.errors import BadRequest, NotFound, PipeError
from pipe.operations.host import Host
from pipe.redact import mask
from pipe.store import codec, schema
from pipe.store.family import family
from pipe.store.loading import Loader
from pipe.store.moments import Moments
from pipe.store.schema import DEAD, EXPIRED, FINAL, PENDING, UNCERTAIN, dead_letter, delivery, idempotency, message
from pipe.store.vault import Vault

D, M, L = delivery.c, message.c, dead_letter.c
LETTERS = (DEAD, EXPIRED)
CALLERS_LOOKED_AT = 2000
SEARCH_LIMIT_S = 120.0
HOW_TO_FIND = "check the id; `pipe search` finds messages by route, state, key or time"


async def search(
    host: Host,
    id: str | None = None,
    route: str | None = None,
    state: str | None = None,
    key: str | None = None,
    subject: str | None = None,
    idempotency_key: str | None = None,
    caller: str | None = None,
    since: float | None = None,
    until: float | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Deliveries by what is known of them, the newest first.

    `id` is a message's, also of what came of it; `key` an order key, `subject` whose data it is: both are found by
    their keyed hashes. `state` is one of the delivery's states, or `pending`. Times are seconds since 1970.
    """
    vault, moments = host.store.vault, host.store.moments
    conditions: list[ColumnElement[bool]] = []
    if id is not None:
        conditions.append(M.seq.in_(family([id])))
    if route is not None:
        conditions.append(D.route == route)
    if state is not None:
        conditions += in_states(states_named(state))
    conditions += by_keys(vault, await routes_of(host, route) if key is not None else (), key=key, subject=subject)
    if idempotency_key is not None:
        seqs = await _by_idempotency(host, await routes_of(host, route), idempotency_key, caller)
        conditions.append(M.seq.in_(seqs))
    statement = listed().where(*conditions).order_by(D.id.desc()).limit(max(1, limit))
    loader = host.store.loader

    def query(connection: Connection) -> list[dict[str, Any]]:
        timely = statement.where(*within(connection, moments, since, until))
        return [told(row, loader) for row in connection.execute(timely).mappings()]

    return await host.store.read(query, SEARCH_LIMIT_S)


def listed() -> Select[Any]:
    """Deliveries with what a list shows of their messages and dead letters."""
    return (
        select(
            M.id, M.origin, M.parent, D.id.label("delivery"), D.route, D.station, D.state, M.received_at, D.done_at,
            D.next_at,
            D.expires_at, D.attempts, D.code, D.status, D.note, D.size, M.revision, M.sealed, M.id.label("message_id"),
            L.maybe_delivered, L["class"], L.step, L.place, L.hint,
        )
        .join(message, M.seq == D.message)
        .outerjoin(dead_letter, L.delivery == D.id)
    )  # fmt: skip


def told(row: Any, loader: Loader) -> dict[str, Any]:
    """One row of a list, masked."""
    return {
        "id": row["id"],
        "delivery": row["delivery"],
        "route": row["route"],
        "station": row["station"],
        "state": row["state"],
        "received_at": row["received_at"],
        "done_at": row["done_at"],
        "next_at": row["next_at"] if row["state"] not in FINAL else None,
        "deadline": row["expires_at"],
        "attempts": row["attempts"],
        "code": row["code"],
        "status": row["status"],
        "text": mask(row["note"], values_of(row, loader)),
        "maybe_delivered": row["state"] == UNCERTAIN or (row["state"] in LETTERS and bool(row["maybe_delivered"])),
        "origin": row["origin"],
        "parent": row["parent"],
        "size": row["size"],
    }


def values_of(row: Any, loader: Loader) -> tuple[str, ...]:
    """The sensitive values of a row's message; where they cannot be opened nothing can be told apart."""
    try:
        return loader.sensitive(row)
    except PipeError:
        return ()


class Which(BaseModel):
    """Which dead letters: of a route, class, code or station, died since (seconds since 1970), of these messages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    route: str | None = None
    kind: str | None = None
    """the class, as lists show it: `refused`, `retries_exhausted`"""
    code: str | None = None
    station: str | None = None
    place: str | None = None
    """file and line of the step that failed"""
    since: float | None = None
    deliveries: list[int] | None = None
    """numbers of deliveries"""
    ids: list[str] | None = None
    """of messages (what was made from them counts too), or numbers of deliveries"""

    @property
    def empty(self) -> bool:
        """Whether it says nothing, which would mean all."""
        return self == Which()

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same as SQL."""
        found: list[ColumnElement[bool]] = [DEAD_ONES]
        equal = (
            (D.route, self.route),
            (D.station, self.station),
            (L["class"], self.kind),
            (D.code, self.code),
            (L.place, self.place),
        )
        found += [column == value for column, value in equal if value is not None]
        if self.since is not None:
            found.append(D.done_at >= self.since)
        if self.deliveries is not None:
            found.append(D.id.in_(self.deliveries))
        if self.ids is not None:
            found.append(_meant(self.ids))
        return found

    def numbers(self, connection: Connection) -> list[int]:
        """The deliveries, the oldest first."""
        chosen = select(D.id).join(message, M.seq == D.message).outerjoin(dead_letter, L.delivery == D.id)
        return list(connection.execute(chosen.where(*self.conditions()).order_by(D.id)).scalars())


def _meant(ids: Iterable[str]) -> ColumnElement[bool]:
    given = list(ids)
    numbers = [int(text) for text in given if text.isdecimal() and len(text) < 19]
    # Callers know a message by the id that they were given; a flow or a split may have gone on with others.
    return D.message.in_(family(given)) | D.id.in_(numbers)


async def deliveries_of(host: Host, id: str, *states: str) -> list[Any]:
    """Those of a message and of what was made from it, or the one of that number, in these states. Raises NotFound."""
    statement = listed().where(_meant([id])).order_by(D.id)
    rows = await host.store.read(lambda c: c.execute(statement).mappings().fetchall())
    if not rows:
        raise NotFound(f"there is no message {id}", hint=HOW_TO_FIND, message=id)
    return [row for row in rows if not states or row["state"] in states]


async def message_row(host: Host, id: str) -> Any:
    """The row of a message by its id, or by the number of one of its deliveries. Raises NotFound."""

    def query(connection: Connection) -> Any:
        row = connection.execute(select(message).where(M.id == id)).mappings().first()
        if row is None and id.isdecimal() and len(id) < 19:
            joined = select(message).join(delivery, D.message == M.seq).where(D.id == int(id))
            row = connection.execute(joined).mappings().first()
        return row

    row = await host.store.read(query)
    if row is None:
        raise NotFound(f"there is no message {id}", hint=HOW_TO_FIND, message=id)
    return {**row, "message_id": row["id"]}


def states_named(state: str, *others: str) -> tuple[str, ...]:
    """The states that a word means; `others` are words that would be known, too. Raises BadRequest."""
    if state == "pending":
        return PENDING
    if state in (*PENDING, *FINAL):
        return (state,)
    raise BadRequest(
        f"there is no state `{state}`; there are: {', '.join(dict.fromkeys(('pending', *others, *PENDING, *FINAL)))}"
    )


DEAD_ONES: ColumnElement[bool] = D.state.in_([literal_column(f"'{state}'") for state in LETTERS])
"""written out, as the index over what is dead knows no parameters"""


def in_states(states: Iterable[str]) -> list[ColumnElement[bool]]:
    """Whether a delivery is in one of these, so that the indexes over what is dead, and what is not done, are used."""
    wanted = set(states)
    found: list[ColumnElement[bool]] = [D.state.in_(wanted)]
    if wanted <= set(LETTERS):
        found.append(DEAD_ONES)
    elif wanted <= set(PENDING):
        found.append(D.done_at.is_(None))
    return found


def within(
    connection: Connection, moments: Moments, since: float | None, until: float | None
) -> list[ColumnElement[bool]]:
    """Accepted since one time and before another, where these are given; older and newer numbers are not passed."""
    if since is None and until is None:
        return []
    numbers = moments.deliveries(connection, since, until)
    found = [false()] if numbers is None else [D.id >= numbers[0], D.id <= numbers[1]]
    found += [M.received_at >= since] if since is not None else []
    return found + ([M.received_at < until] if until is not None else [])


def by_keys(vault: Vault, routes: Iterable[str], *, key: str | None, subject: str | None) -> list[ColumnElement[bool]]:
    """An order key (of one of these routes), a subject: both are kept as keyed hashes only."""
    found: list[ColumnElement[bool]] = []
    if subject is not None:
        found.append(M.subject == vault.hash("subject", subject))
    if key is not None:
        found.append(M.order_key.in_([vault.hash("order", name, key) for name in routes]))
    return found


async def routes_of(host: Host, route: str | None) -> list[str]:
    """The one that was named, or all that ever had a message."""
    if route is not None:
        return [route]
    return await host.store.read(lambda c: list(c.execute(select(schema.ledger.c.route).distinct()).scalars()))


async def _by_idempotency(host: Host, routes: list[str], key: str, caller: str | None) -> list[int]:
    vault = host.store.vault
    callers = {caller} if caller is not None else await host.store.read(_callers(host.store.loader))
    scopes = [vault.hash("idempotency", route, name or "", key) for route in routes for name in {*callers, ""}]
    return await host.store.read(
        lambda c: list(c.execute(select(idempotency.c.message).where(idempotency.c.scope.in_(scopes))).scalars())
    )


def _callers(loader: Loader) -> Callable[[Connection], set[str]]:
    """Names of the latest callers: a key counts for each apart, and who searches seldom knows which it was."""

    def query(connection: Connection) -> set[str]:
        names = set()
        latest = select(M.id, M.envelope).where(M.kind != "gone").order_by(M.seq.desc()).limit(CALLERS_LOOKED_AT)
        for row in connection.execute(latest):
            names.add(codec.read_envelope(bytes(row.envelope), loader.vault, row.id).get("caller") or "")
        return names

    return query
