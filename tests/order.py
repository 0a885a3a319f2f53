"""In which order the files of tests are begun, and by how many workers.

A worker takes a whole file, so that what a file's tests share is made once. The long ones are begun first, or the last
of them would run alone; one that computes stands beside one that mostly waits.
"""

from __future__ import annotations

import os

FIRST = (
    "web/browser/test_pages.py",
    "pipe/test_time.py",
    "benchmarks/test_parts.py",
    "adapters/test_files_contract.py",
    "simulator/test_simulator.py",
    "torture/test_disk_faults.py",
    "torture/test_crash_sweep.py",
    "torture/test_clock_steps.py",
    "web/browser/test_ops.py",
    "adapters/test_smtp_sending.py",
    "adapters/test_soap_matrix.py",
    "journeys/test_readme.py",
    "journeys/test_files.py",
    "pipe/test_wire.py",
    "journeys/test_ledger_under_traffic.py",
    "pipe/test_connection.py",
    "torture/test_crash_moves.py",
    "web/test_listener.py",
    "web/browser/test_otp.py",
    "adapters/test_mqtt_contract.py",
    "web/pages/test_described.py",
    "adapters/test_mqtt_receiving.py",
    "torture/test_wall_clock.py",
    "pipe/test_sync.py",
    "pipe/test_gather.py",
    "journeys/test_alerts.py",
    "torture/test_crash_many.py",
    "web/test_listener_slow_peers.py",
    "torture/test_disk_damage.py",
    "monitoring/alerts/test_listeners.py",
    "pipe/test_recovery.py",
    "adapters/test_http_client_failures.py",
    "web/browser/test_rights.py",
    "pipe/trials/test_trials.py",
)
_PLACES = {f"tests/{file}": place for place, file in enumerate(FIRST)}


def place(nodeid: str) -> int:
    """Where a test's file stands; those that are not among the first come after them, in their own order."""
    return _PLACES.get(nodeid.partition("::")[0], len(FIRST))


def workers() -> int:
    """Three for two processors: the tests wait for partners and clocks about half of their time."""
    return max(1, (os.cpu_count() or 1) * 3 // 2)
