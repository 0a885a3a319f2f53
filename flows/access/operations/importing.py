"""People from a table and into one, as commands ask for it."""

from __future__ import annotations

from typing import Any

from flows.access import spreadsheet
from flows.access.changes import Actor
from flows.access.operations.frame import opened
from flows.access.spreadsheet import Line
from pipe.operations.host import Host


async def import_people(host: Host, text: str, apply: bool = False) -> dict[str, Any]:
    """What the table would do, line by line; with `apply`, does it, unless a line is wrong.

    Columns that are not there are left alone. Positions, units and groups of a line take the place of what the person
    has; empty: none. Lines that were applied before an error are told; doing it again skips them.
    """
    access, by = await opened(host), Actor(host.actor)
    table = await spreadsheet.read(access, text)
    done = 0
    if apply and not table.count("wrong"):
        done = await spreadsheet.apply(access, by, table, progress=lambda done, of: host.progress(done, of, "people"))
    return {
        "lines": [_told(line) for line in table.lines],
        **{state: table.count(state) for state in ("new", "changed", "same", "wrong")},
        "applied": done,
    }


async def export_people(host: Host, company: str | None = None) -> dict[str, Any]:
    """The table that `import_people` reads."""
    access = await opened(host)
    count, text = await spreadsheet.table_of(access, lambda person: company is None or person.company == company)
    await host.store.write(
        lambda tx: tx.audit("people.exported", after={"people": count, "company": company}, actor=host.actor)
    )
    return {"people": count, "csv": text}


def _told(line: Line) -> dict[str, Any]:
    return {
        "line": line.number,
        "login": line.login,
        "state": line.state,
        "error": line.refusal.text if line.refusal is not None else "",
        "fields": sorted(line.fields) if line.person is not None else [],
        "appoint": [f"{kind}:{of}" for kind, of in line.appoint],
        "withdraw": [f"{kind}:{of}" for kind, of in line.withdraw],
    }
