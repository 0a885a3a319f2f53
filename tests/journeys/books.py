"""Brings the three parties' files into the shape that the rules look at."""

from __future__ import annotations

from collections.abc import Iterable
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


async def books(gateway: Gateway, sent_file: Path, *, in_flight: int = 0, route: str = "appeals") -> Books:
    """All books of a gateway whose register's stand-in records into the same data folder; bodies must be on."""
    found = await gateway.pipe("search", "--route", route, "--limit", "1000000")
    totals = await gateway.pipe("ledger")
    return Books(
        sent=sent(sent_file),
        seen=seen(gateway.data / "partners/registry/seen.jsonl"),
        final=final(found, route),
        totals={row["route"]: row for row in totals},
        duplicates=gateway.kills * in_flight,
    )


async def quiet(gateway: Gateway, route: str = "appeals") -> bool:
    """Whether nothing of the route is pending."""
    totals = await gateway.pipe("ledger")
    return all(row["pending"] == 0 for row in totals if row["route"] == route)
