"""The findings of a security officer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flows.access.findings import findings
from pipe.operations.host import Host


async def find(host: Host) -> list[dict[str, Any]]:
    """What should be looked at; looking is written into the audit."""
    now = host.clock.now()
    found = await host.store.read(lambda connection: findings(connection, now))
    await host.store.write(lambda tx: tx.audit("audit.read", after={"findings": len(found)}, actor=host.actor))
    return [asdict(each) for each in found]
