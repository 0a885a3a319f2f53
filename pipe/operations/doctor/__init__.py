"""Is the gateway's own house in order? Every promise rests on the disk, the clock, the rights and the store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipe.config.models import Configuration, Limits
from pipe.config.walk import found_in
from pipe.contract import Secret
from pipe.errors import PipeError
from pipe.operations.doctor import folder, machine
from pipe.operations.doctor.finding import Finding
from pipe.operations.doctor.tables import tables
from pipe.operations.host import Host

if TYPE_CHECKING:
    from pipe.operations.host import World

OWN_FILES = 256
"""the store, the log, listeners and their callers"""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at."""

    data: Path
    key_file: Path
    url: str | None
    world: World
    configuration: Configuration | None
    trouble: str = ""
    """why there is no configuration"""
    running: bool = False


async def doctor(host: Host) -> dict[str, Any]:
    """Looks at the machine and the folder as the running gateway sees them."""
    import asyncio

    configuration, trouble = _configuration(host)
    store = host.store
    patient = Patient(
        store.data, store.key_file, store.url, host.built, configuration, trouble, running=host.engine is not None
    )
    own = []
    if store.writer.failed is not None:
        own.append(Finding("writer", "fail", store.writer.failed.text, "mend the disk, then start the gateway anew"))
    return told([*own, *await asyncio.to_thread(examine, patient)], running=patient.running)


def examine(patient: Patient) -> list[Finding]:
    """Every check, in the order in which one mends; takes a second or a few. For threads."""
    data = patient.data
    found = [machine.versions(), _configured(patient)]
    if not data.is_dir():
        found.append(Finding("data folder", "fail", f"there is no folder {data}", "the first `pipe run` makes it"))
        return [*found, *machine.clock()]
    configuration = patient.configuration
    limits = configuration.limits if configuration is not None else Limits()
    found += [folder.rights(data), folder.master_key(patient.key_file)]
    if configuration is not None:
        found.append(folder.secrets(_secret_files(configuration)))
    found += [machine.file_system(data), machine.fsync(data), folder.space(data, int(limits.disk_floor))]
    found += [*machine.clock(), machine.files(_files_needed(configuration), _files_open() if patient.running else None)]
    return [*found, *tables(data, patient.url, patient.world.migrations())]


def told(found: Sequence[Finding], *, running: bool) -> dict[str, Any]:
    """The findings as plain values, with a verdict."""
    grades = [finding.grade for finding in found]
    return {
        "well": "fail" not in grades,
        "running": running,
        "failed": grades.count("fail"),
        "warned": grades.count("warn"),
        "checks": [finding.as_json() for finding in found],
    }


def _configuration(host: Host) -> tuple[Configuration | None, str]:
    try:
        return host.configuration(), ""
    except PipeError as error:
        return None, error.text


def _configured(patient: Patient) -> Finding:
    if patient.configuration is None:
        return Finding("configuration", "fail", patient.trouble, "`pipe lint` lists every mistake")
    routes, connections = len(patient.configuration.routes), len(patient.configuration.connections)
    return Finding("configuration", "ok", f"{routes} routes, {connections} connections")


def _secret_files(configuration: Configuration) -> list[Path]:
    holders = (configuration.listeners, [spec.config for spec in configuration.connections.values()])
    return [secret.path for holder in holders for secret in found_in(holder, Secret) if secret.path is not None]


def _files_needed(configuration: Configuration | None) -> int:
    specs = configuration.connections.values() if configuration is not None else ()
    # Twice: a connection that is replaced lives on until its last attempt is over.
    return OWN_FILES + 2 * sum(int(spec.config.concurrency) for spec in specs)


def _files_open() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 — names are enough
    except OSError:
        return None
