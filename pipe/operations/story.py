"""`explain`: the whole story of a message, from the caller who brought it to whatever happens next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection, select

from pipe.config.models import FlowConfig, RouteConfig, SplitConfig, StepConfig
from pipe.config.walk import nested
from pipe.errors import NotFound, PipeError
from pipe.fates import summary
from pipe.operations.dead_letters import attempts_of, audit_of
from pipe.operations.host import Host
from pipe.operations.reasons import Around, around, reason, rows_to_explain
from pipe.operations.selection import D, M, message_row
from pipe.redact import mask
from pipe.store.loading import Loader
from pipe.store.schema import ANSWERED, CONSUMED, DELIVERED, FINAL, UNCERTAIN, message

FAMILY = 50
"""messages that came of one, told in one story; the rest is counted"""


@dataclass(slots=True)
class _Read:
    """What is read of one message in one moment."""

    row: Any
    message: Any
    values: tuple[str, ...]
    deliveries: list[tuple[Any, Around, list[dict[str, Any]]]]
    audit: list[dict[str, Any]]
    offspring: list[str] = field(default_factory=list)
    ancestor: str | None = None


async def explain(host: Host, id: str) -> dict[str, Any]:
    """The story of a message and of everything that came of it; a sentence about the whole of it first.

    Raises NotFound. Sensitive values are masked.
    """
    row = await message_row(host, id)
    family, more = await _family(host, row["id"])
    stories = [await _story(host, read) for read in family]
    head = stories[0]
    # What goes on along the same route is what people look for first.
    offspring = sorted(stories[1:], key=lambda story: story["route"] != head["route"])
    deliveries = [each for story in stories if story["route"] == head["route"] for each in story["deliveries"]]
    return {
        "id": head["id"],
        "sentence": _sentence(head["id"], deliveries),
        "state": summary([each["state"] for each in deliveries]),
        **{name: value for name, value in head.items() if name != "id"},
        "offspring": offspring,
        "offspring_more": more,
    }


# --- reading ------------------------------------------------------------------------------------------------------


async def _family(host: Host, id: str) -> tuple[list[_Read], int]:
    found: list[_Read] = []
    waiting, seen = [id], {id}
    while waiting and len(found) < FAMILY:
        name = waiting.pop(0)
        read = await host.store.read(partial(_read, loader=host.store.loader, id=name))
        found.append(read)
        fresh = [each for each in read.offspring if each not in seen]
        seen.update(fresh)
        waiting += fresh
    return found, len(waiting)


def _read(connection: Connection, *, loader: Loader, id: str) -> _Read:
    row = connection.execute(select(message).where(M.id == id)).mappings().first()
    if row is None:
        raise NotFound(f"there is no message {id}", message=id)
    told = {**row, "message_id": row["id"]}
    try:
        original, values = (None if row["kind"] == "gone" else loader.message(told)), loader.sensitive(told)
    except PipeError:
        original, values = None, ()
    deliveries = (
        connection.execute(rows_to_explain().where(D.message == row["seq"]).order_by(D.id)).mappings().fetchall()
    )
    parts = [(each, around(connection, each), attempts_of(connection, each["delivery"])) for each in deliveries]
    family = select(M.id).where((M.origin == id) | (M.parent == id)).order_by(M.seq).limit(FAMILY * 4)
    offspring = list(connection.execute(family).scalars())
    return _Read(row, original, values, parts, audit_of(connection, [id]), offspring, row["origin"] or row["parent"])


# --- telling ------------------------------------------------------------------------------------------------------


async def _story(host: Host, read: _Read) -> dict[str, Any]:
    row, original = read.row, read.message
    configuration = await host.revision(row["revision"])
    route = configuration.routes.get(row["route"]) if configuration is not None else None
    told = {
        "route": row["route"],
        "received_at": row["received_at"],
        "came": _came(read, route),
        "source": None if route is None else route.source.connection or route.source.kind,
        "caller": original.caller if original is not None else None,
        "size": row["size"],
        "content_type": original.content_type if original is not None else None,
        "body_kept": row["kind"] != "gone",
        "revision": row["revision"],
        "place": str(route.place) if route is not None else None,
        "steps": _steps(route, row["stage"]),
        "deliveries": [_delivery(host, route, part) for part in read.deliveries],
        "audit": read.audit,
    }
    # Ids are never masked, or nobody could follow the story.
    return {"id": row["id"], "origin": row["origin"], "parent": row["parent"], **mask(told, read.values)}


def _came(read: _Read, route: RouteConfig | None) -> str:
    row, original = read.row, read.message
    if row["origin"] is not None and row["parent"] is None:
        return f"was made by the gateway from message {row['origin']}"
    if row["parent"] is not None:
        return f"is item {row['position']} of message {row['parent']}"
    who = (
        f"came from {original.caller}"
        if original is not None and original.caller
        else "came from a caller without a name"
    )
    if route is None:
        return who
    source = route.source
    if source.kind in ("schedule", "every"):
        return f"came by its schedule, {source.schedule or f'every {source.every:g} s'}"
    if source.connection is None:
        return f"came by {source.kind}"
    shown = source.options.model_dump(mode="json", exclude_defaults=True) if source.options is not None else {}
    told = " ".join(
        str(shown[name]) for name in ("path", "topic", "get", "operation", "queue", "subject") if shown.get(name)
    )
    return f"{who} through {source.connection}{f' {told}' if told else ''}"


def _steps(route: RouteConfig | None, stage: int) -> list[dict[str, Any]]:
    """The steps between the commit that made this message and the next one."""
    if route is None:
        return []
    return [{"step": _name(step), "place": str(step.place), "path": step.path} for step in _of_stage(route, stage)]


def _of_stage(route: RouteConfig, stage: int) -> Iterator[StepConfig]:
    at = 0
    for step in route.steps:
        if at == stage:
            yield step
        if isinstance(step.config, (FlowConfig, SplitConfig)):
            at += 1
            if at == stage and isinstance(step.config, SplitConfig):
                yield from step.config.steps
    if at < stage and route.gather is not None:
        yield from route.gather.steps


def _name(step: StepConfig) -> str:
    inner = getattr(step.config, "name", None)
    return f"{step.name} {inner}" if step.name == "flow" and inner else step.name


def _delivery(host: Host, route: RouteConfig | None, part: tuple[Any, Around, list[dict[str, Any]]]) -> dict[str, Any]:
    row, surroundings, attempts = part
    why = reason(host, row, surroundings)
    waits = row["state"] not in FINAL
    return {
        "delivery": row["delivery"],
        "station": row["station"],
        "place": _place(route, row["station"]),
        "state": row["state"],
        "attempts": _with_last(attempts, row),
        "attempted": row["attempts"],
        "done_at": row["done_at"],
        "deadline": row["expires_at"],
        "why": why.why,
        "blocked": why.blocked,
        "next": why.then,
        "next_at": why.at if waits else None,
        "about": why.about,
        "kind": why.kind,
        "class": row["class"] if row["state"] == "dead" else None,
        "code": row["code"],
        "step": row["step"] if row["state"] == "dead" else None,
        "step_place": row["place"] if row["state"] == "dead" else None,
        "partner_reply": attempts[-1]["reply"] if attempts else None,
        "maybe_delivered": row["state"] == UNCERTAIN or (row["state"] == "dead" and bool(row["maybe_delivered"])),
    }


def _with_last(attempts: list[dict[str, Any]], row: Any) -> list[dict[str, Any]]:
    """A first attempt that succeeds has no row of its own: what the delivery says of itself is all there is."""
    succeeded = row["state"] in (DELIVERED, CONSUMED, ANSWERED) and row["attempts"]
    if not succeeded or (attempts and attempts[-1]["outcome"] == row["state"]):
        return attempts
    ms = row["ms"] or 0.0
    at = row["done_at"] - ms / 1000 if row["done_at"] else None
    facts = {"code": row["code"], "status": row["status"], "text": row["note"], "reply": None}
    last = attempts[-1]["n"] if attempts else 0
    return [*attempts, {"n": last + 1, "at": at, "ms": round(ms), "outcome": row["state"], **facts}]


def _place(route: RouteConfig | None, station: str) -> str | None:
    if route is None:
        return None
    targets = [*route.to, *(route.gather.to if route.gather is not None else ())]
    key = station.removeprefix("gather:")
    for target in targets:
        if target.key == key:
            return str(target.place)
    for step in nested(route.steps):
        if station.partition("#")[0] in (f"flow:{getattr(step.config, 'name', '')}", step.name):
            return str(step.place)
    return str(route.place)


def _sentence(id: str, deliveries: list[dict[str, Any]]) -> str:
    """The worst of it, in one sentence."""
    for state, words in _WORST:
        found = [each for each in deliveries if each["state"] == state]
        if found:
            where = ", ".join(dict.fromkeys(each["station"] for each in found))
            said = "waits" if state == "ready" and found[0]["blocked"] else words
            return f"{id} {said} ({where}): {found[0]['why']}."
    done = [each["station"] for each in deliveries if each["state"] == DELIVERED]
    return f"{id} is done{': delivered to ' + ', '.join(dict.fromkeys(done)) if done else ''}."


_WORST = (
    ("dead", "is dead and waits for a person"),
    ("uncertain", "was sent, and nobody knows whether it arrived"),
    ("expired", "came too late"),
    ("retry", "waits for its next attempt"),
    ("held", "waits for its turn"),
    ("answering", "is being answered"),
    ("ready", "is on its way"),
    ("timer", "waits for its time"),
)
