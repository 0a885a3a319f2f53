"""The data folder: who may look into it, and how much room there is."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from pipe.errors import PipeError
from pipe.operations.doctor.finding import Finding
from pipe.store.vault import Vault


def rights(data: Path) -> Finding:
    """Whether only the gateway's own user gets into the data folder."""
    state = data.stat()
    mode = stat.S_IMODE(state.st_mode)
    if state.st_uid != os.geteuid() and os.geteuid() != 0:
        hint = "run this and the gateway as the folder's owner"
        return Finding("data folder", "fail", f"{data} belongs to another user (uid {state.st_uid})", hint)
    if mode & 0o077:
        text = f"{data} can be entered by others (mode {mode:03o}): it holds what people sent"
        return Finding("data folder", "warn", text, f"chmod 700 {data}")
    return Finding("data folder", "ok", f"{data}, mode {mode:03o}")


def master_key(path: Path) -> Finding:
    """Whether the key file is there, readable to nobody else, and whole."""
    if not path.is_file():
        hint = "a first start makes it; for a folder that was in use, put back the copy that you keep"
        return Finding("master key", "warn", f"there is no key file {path}", hint)
    try:
        Vault(path)
    except (PipeError, ValueError, OSError) as error:
        return Finding("master key", "fail", f"{path} cannot be used: {error}", "put back the copy that you keep")
    if wide := _wide([path]):
        return Finding("master key", "fail", f"others may read {wide[0]}: it opens everything", f"chmod 600 {path}")
    return Finding("master key", "ok", f"{path}; keep a copy elsewhere: no backup holds it")


def secrets(paths: Iterable[Path]) -> Finding:
    """Whether the files that `${file:…}` names are there and are the gateway's alone."""
    every = sorted(set(paths))
    if lost := [path for path in every if not path.is_file()]:
        return Finding("secrets", "fail", f"{lost[0]} is not there", "write it, or correct its `${file:…}`")
    if wide := _wide(every):
        more = f" and {len(wide) - 1} more" if len(wide) > 1 else ""
        return Finding("secrets", "warn", f"others may read {wide[0]}{more}", f"chmod 600 {wide[0]}")
    return Finding("secrets", "ok", f"{len(every)} files of secrets, readable to their owner only")


def _wide(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077]


def space(data: Path, floor: int) -> Finding:
    """Free space against `disk_floor`, below which nothing is accepted."""
    free = shutil.disk_usage(data).free
    said = f"{free >> 20} MiB are free, `disk_floor` is {floor >> 20} MiB"
    if free < floor:
        return Finding("free space", "fail", f"{said}: nothing is accepted", "make room, or lower limits.disk_floor")
    if free < floor * 2:
        return Finding("free space", "warn", f"{said}: little is left", "make room soon")
    return Finding("free space", "ok", said)
