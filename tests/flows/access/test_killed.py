"""kill -9 in the middle of a change of rights: the change and its row of the audit are both there, or neither."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, select

from flows.access.tables import revision, role, role_permission
from pipe.store.audit_verify import verify
from pipe.store.schema import audit
from tests.flows.access.changing import opened

ROOT = Path(__file__).resolve().parents[3]
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
    if shutil.which("strace") is None:
        pytest.skip("strace is missing: apt install strace")
    data = tmp_path / "data"
    await (await opened(data)).close()
    for sync in SYNCS:
        kill = f"inject=fdatasync:signal=KILL:when={sync}"
        command = ["strace", "-f", "-qq", "-e", "trace=fdatasync", "-e", kill, "-o", "/dev/null"]
        child = [sys.executable, "-m", "tests.flows.access.changing", str(data)]
        done = subprocess.run([*command, *child], cwd=ROOT, timeout=100, check=False, capture_output=True)
        assert done.returncode in {-9, 137}, done.stderr.decode()
        with create_engine(f"sqlite:///{data / 'pipe.db'}").connect() as connection:
            roles, changes = told(connection)
            assert held(connection) == roles
            assert connection.execute(select(revision.c.n)).scalar_one() == changes
            assert verify(connection, [], None).findings == []
    assert changes >= len(SYNCS)
