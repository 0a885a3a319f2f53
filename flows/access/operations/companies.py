"""The companies as a list and as the file that would seed them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from flows.access.companies import written
from flows.access.rows import plain
from flows.access.tables import company
from pipe.operations.host import Host


async def list_companies(host: Host) -> list[dict[str, Any]]:
    """All companies, also closed ones, in the order of their sections."""

    def read(connection: Connection) -> list[dict[str, Any]]:
        rows = [plain(row) for row in connection.execute(select(company)).mappings()]
        return sorted(rows, key=lambda row: [int(part) for part in row["section"].split(".") if part.isdigit()])

    return await host.store.read(read)


async def export_companies(host: Host) -> dict[str, Any]:
    """companies.yaml as it would be written today."""
    return {"yaml": await host.store.read(written)}
