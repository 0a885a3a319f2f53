"""kill -9 in the middle of a change of rights: the change and its row of the audit are both there, or neither."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

from sqlalchemy import Connection, create_engine, select

from flows.access.tables import revision, role, role_permission
from pipe.store.audit_verify import verify
from pipe.store.schema import audit
from tests.flows.access.changing import opened
from tests.journeys.gateway import ROOT
from tests.journeys.nursery import nursery
from tests.torture.crash import attached, killing

SYNCS = (2, 3, 4, 5, 8)
"""at which sync of the writing thread the process is killed"""


def held(connection: Connection) -> dict[str, set[str]]:
    """Roles with their permissions, as the tables have them."""
    rows = connection.execute(select(role_permission)).all()
    names = connection.execute(select(role.c.id)).scalars()
    return {name: {row.permission for row in rows if row.role == name} for name in names}


def told(connection: Connection) -> tuple[dict[str, set[str]], int]:
    """The same as the audit tells it, and how many changes there were."""
    roles: dict[str, set[str]] = {}
    rows = connection.execute(select(audit).where(audit.c.event.like("role.%")).order_by(audit.c.seq)).all()
    for row in rows:
        if row.event == "role.removed":
            del roles[row.target]
        else:
            roles[row.target] = set(json.loads(row.after)["permissions"])
    return roles, len(rows)


async def test_a_kill_leaves_a_change_with_its_audit_or_neither(tmp_path: Path) -> None:
    """Whichever commit it hits, the tables are what the audit says, to the last permission and the last revision."""
    data = tmp_path / "data"
    await (await opened(data)).close()
    for sync in SYNCS:
        with (tmp_path / "words").open("ab") as words, Path(os.devnull).open("rb") as nothing:
            streams = (nothing.fileno(), words.fileno(), words.fileno())
            child = await nursery(ROOT).bear(
                [str(data)], os.environ, ROOT, streams=streams, held=True, main="tests.flows.access.changing:main"
            )
        await child.held()
        async with attached(child.pid, *killing("fdatasync", sync)):
            child.send_signal(signal.SIGCONT)
            code = await asyncio.wait_for(child.wait(), 100)
        assert code == -signal.SIGKILL, (tmp_path / "words").read_text()
        with create_engine(f"sqlite:///{data / 'pipe.db'}").connect() as connection:
            roles, changes = told(connection)
            assert held(connection) == roles
            assert connection.execute(select(revision.c.n)).scalar_one() == changes
            assert verify(connection, [], None).findings == []
    assert changes >= len(SYNCS)
