"""API keys of callers, and the gateway's own secrets. A key is shown once, a secret never."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipe.config.references import Secret
from pipe.errors import BadRequest, NotFound
from pipe.operations.host import Host, reason_given
from pipe.store import secret_store


async def issue_key(host: Host, name: str, connection: str | None = None, file: str | None = None) -> dict[str, Any]:
    """A new key for a caller; its hash goes into the key file, the key itself is kept nowhere."""
    path = _key_file(host, connection, file)
    try:
        key, line = host.built.issue_key(name)
    except ValueError as error:
        raise BadRequest(str(error)) from None
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    joined = before if not before or before.endswith("\n") else before + "\n"
    # Written beside first: the audit must not name a key that could not be kept.
    fresh = _beside(path, joined + line + "\n")
    after = {"file": path.name, "hash": line.split(":")[1][:16]}
    await host.store.write(lambda tx: tx.audit("key.issued", after=after, target=name, actor=host.actor))
    _put(fresh, path)
    return {"name": name, "key": key, "file": str(path)}


async def revoke_key(
    host: Host, name: str, reason: str, connection: str | None = None, file: str | None = None
) -> dict[str, Any]:
    """Takes all keys of a caller out of the key file, at once. Raises NotFound where there is none."""
    path, why = _key_file(host, connection, file), reason_given(reason)
    text, gone = host.built.revoke_key(path.read_text(encoding="utf-8") if path.exists() else "", name)
    if not gone:
        raise NotFound(f"{path.name} has no key of `{name}`")
    fresh = _beside(path, text)
    after = {"file": path.name, "keys": gone, "reason": why}
    await host.store.write(lambda tx: tx.audit("key.revoked", after=after, target=name, actor=host.actor))
    _put(fresh, path)
    return {"name": name, "revoked": gone, "file": str(path)}


async def list_secrets(host: Host) -> list[dict[str, Any]]:
    """Names, versions and times of the secrets in the store."""
    return await host.store.read(secret_store.listed)


async def set_secret(host: Host, name: str, value: str) -> dict[str, Any]:
    """Stores a new value; the one before stays accepted until the next one. In use at once."""
    version = await host.store.write(lambda tx: secret_store.put(tx, host.store.vault, name, value, host.actor))
    await _take_up(host)
    return {"name": name, "version": version}


async def remove_secret(host: Host, name: str, reason: str) -> dict[str, Any]:
    """Forgets all values of a name. Raises NotFound where there is none."""
    why = reason_given(reason)
    gone = await host.store.write(lambda tx: secret_store.remove(tx, name, host.actor, why))
    if not gone:
        raise NotFound(f"there is no secret `{name}`")
    await _take_up(host)
    return {"name": name, "removed": gone}


async def _take_up(host: Host) -> None:
    if host.engine is not None:
        await host.built.secrets_changed()


# --- key files ----------------------------------------------------------------------------------------------------


def _key_file(host: Host, connection: str | None, file: str | None) -> Path:
    if file is not None:
        return Path(file)
    found = {
        name: list(_key_files(spec.config))
        for name, spec in host.configuration().connections.items()
        if connection in (None, name)
    }
    files = sorted({path for paths in found.values() for path in paths})
    if len(files) == 1:
        return files[0]
    if not files:
        raise NotFound(f"{connection or 'no connection'} has no `api_keys: ${{file:…}}`; name the key file with --file")
    names = ", ".join(name for name, paths in found.items() if paths)
    raise BadRequest(f"several connections have key files ({names}): name one with --connection")


def _key_files(value: Any) -> Iterator[Path]:
    """The files behind every `api_keys:` of a connection's configuration."""
    if isinstance(value, BaseModel):
        for name, inner in value:
            if name == "api_keys" and isinstance(inner, Secret) and inner.path is not None:
                yield inner.path
            else:
                yield from _key_files(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _key_files(inner)


def _beside(path: Path, text: str) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        Path(name).chmod(path.stat().st_mode & 0o777)
    return Path(name)


def _put(fresh: Path, path: Path) -> None:
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
