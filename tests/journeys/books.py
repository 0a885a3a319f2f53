"""Brings the three parties' files into the shape that the rules look at."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
from lxml import etree

from tests.journeys.gateway import Gateway
from tests.journeys.ledger import Books, Final, Seen, Sent


def lines(file: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines."""
    return [orjson.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []


def sent(file: Path) -> list[Sent]:
    """What the client wrote down."""
    return [Sent(**row) for row in lines(file)]


def seen(file: Path, target: str = "registry") -> list[Seen]:
    """What the register wrote down of the appeals; it knows them by their idempotency key, the id of the accepted."""
    rows = [row for row in lines(file) if row["method"] == "POST"]
    return [
        Seen(row["key"], row["answer"], meaning(row["body"]), target, int(row["said"]) if row["said"] else None)
        for row in rows
    ]


def meaning(xml: str) -> str:
    """Who wrote what, read from the register's XML; what cannot be read means nothing."""
    try:
        appeal = etree.fromstring(xml.encode())
    except etree.XMLSyntaxError:
        return f"unreadable: {xml[:80]}"
    return f"{appeal.findtext('.//Phone')}|{appeal.findtext('Text')}"


def final(rows: Iterable[dict[str, Any]], route: str, target: str = "registry") -> list[Final]:
    """What the gateway says of a route's deliveries to a target.

    Where a flow stands in between, the delivery belongs to what the flow emitted, and its origin is what was accepted.
    """
    return [
        Final(row["origin"] or row["id"], row["state"], target, bool(row["maybe_delivered"]))
        for row in rows
        if (row["route"], row["station"]) == (route, target)
    ]


def audited(data: Path, event: str = "dead.replayed") -> list[str]:
    """The messages that the audit names with an event, read past the gateway."""
    with closing(sqlite3.connect(f"file:{data / 'pipe.db'}?mode=ro", uri=True)) as store:
        return [
            target for (target,) in store.execute("SELECT target FROM audit WHERE event = ? ORDER BY seq", (event,))
        ]


async def books(
    gateway: Gateway,
    sent_file: Path,
    *,
    in_flight: int = 0,
    route: str = "appeals",
    replayed: Collection[str] = (),
    partners: Path | None = None,
) -> Books:
    """All books of a running gateway whose register's stand-in records bodies under `partners` (its own folder).

    What the gateway says is written to `final.jsonl`, beside what the client wrote.
    """
    found = await gateway.ask("search", route=route, limit=1_000_000)
    totals = await gateway.ask("ledger")
    verified = await gateway.ask("ledger.verify")
    ends = final(found, route)
    _written(sent_file.with_name("final.jsonl"), ends)
    return Books(
        sent=sent(sent_file),
        seen=seen((partners or gateway.data) / "partners/registry/seen.jsonl"),
        final=ends,
        totals={row["route"]: row for row in totals},
        duplicates=gateway.kills * in_flight,
        replayed=sorted(replayed),
        audited=audited(gateway.folder) if replayed else (),
        route=route,
        verified=verified["wrong"],
    )


def _written(file: Path, ends: Iterable[Final]) -> None:
    with file.open("wb") as out:
        out.writelines(orjson.dumps(dataclasses.asdict(end)) + b"\n" for end in ends)
        out.flush()
        os.fsync(out.fileno())


async def quiet(gateway: Gateway, route: str = "appeals") -> bool:
    """Whether nothing of the route is pending."""
    totals = await gateway.ask("ledger")
    return all(row["pending"] == 0 for row in totals if row["route"] == route)
