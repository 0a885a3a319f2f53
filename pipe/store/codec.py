"""How messages lie in rows: body, envelope, checksum, and sealing of what is sensitive."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any

import orjson

from pipe.contract import Blob, Message, Wire
from pipe.errors import MappingFailed, NotFound, RowDamaged
from pipe.store.vault import Vault

_DECIMAL = "\x00decimal"
_EXACT = b" "  # before what orjson would not give back exactly
_ENVELOPE = ("headers", "params", "query", "content_type", "deadline", "caller", "company", "item", "parent", "hops")
_ENVELOPED = attrgetter(*_ENVELOPE)
_WIRE = "wire"


def dump(value: Any) -> bytes:
    """Plain values as JSON; a Decimal keeps its digits. Raises MappingFailed for anything that is no plain value."""
    try:
        return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError:
        return _dump_exact(value)


def load(data: bytes) -> Any:
    """The value that `dump` was given."""
    return json.loads(data, object_hook=_untagged) if data[:1] == _EXACT else orjson.loads(data)


def pack(body: Any, vault: Vault | None, about: str) -> tuple[str, bytes, int]:
    """Kind, bytes and size in bytes of a body; sealed where a vault is given."""
    if isinstance(body, bytes):
        kind, data, size = "bytes", body, len(body)
    elif isinstance(body, Blob):
        # Its name must be found without a key, so that what no row names can be swept away.
        key = body.key.hex() if vault is None else "+" + vault.seal(body.key, body.path.name).hex()
        kind, data, size = "blob", dump([body.path.name, body.size, body.sha256, key]), body.size
    else:
        kind, data = "json", dump(body)
        size = len(data)
    if vault is not None and kind != "blob":
        return kind + "+", vault.seal(data, about), size
    return kind, data, size


def unpack(kind: str, data: bytes, blobs: Path, vault: Vault, about: str) -> Any:
    """The body that `pack` was given. Raises RowDamaged where that cannot be told."""
    if kind.endswith("+"):
        kind, data = kind[:-1], vault.open(data, about)
    if kind == "bytes":
        return data
    if kind == "gone":
        raise NotFound("the body is no longer kept: its retention is over", message=about)
    if kind == "blob":
        name, size, sha256, key = load(data)
        opened = vault.open(bytes.fromhex(key[1:]), name) if key[:1] == "+" else bytes.fromhex(key)
        return Blob(blobs / name, size, sha256, opened)
    if kind != "json":
        # The kind decides what the bytes mean, and no checksum covers it.
        raise RowDamaged(f"the stored body is of no known kind: {kind!r}", message=about)
    return load(data)


def envelope(message: Message, vault: Vault | None = None, wire: Wire | None = None) -> bytes:
    """All of a message but body, id, route and time; sealed where a vault is given, as it may hold the same values."""
    fields = {
        name: value
        for name, value in zip(_ENVELOPE, _ENVELOPED(message), strict=True)
        if value or (name == "item" and value is not None)
    }
    if wire is not None:
        fields[_WIRE] = [wire.content_type, b64encode(wire.data).decode(), wire.size]
    data = dump(fields)
    return b"+" + vault.seal(data, f"{message.id} envelope") if vault is not None else data


def read_envelope(data: bytes, vault: Vault, message_id: str) -> dict[str, Any]:
    """The message's fields that `envelope` stored."""
    fields = _fields(data, vault, message_id)
    fields.pop(_WIRE, None)
    return fields


def read_wire(data: bytes, vault: Vault, message_id: str) -> Wire | None:
    """What came over the line, where `envelope` stored it."""
    kept = _fields(data, vault, message_id).get(_WIRE)
    return None if kept is None else Wire(kept[0], b64decode(kept[1]), kept[2])


def _fields(data: bytes, vault: Vault, message_id: str) -> dict[str, Any]:
    if data[:1] == b"+":
        data = vault.open(data[1:], f"{message_id} envelope")
    fields: dict[str, Any] = load(data)
    return fields


def checksum(message_id: str, body: bytes, envelope_: bytes) -> int:
    """CRC-32 over what must not change."""
    return zlib.crc32(envelope_, zlib.crc32(body, zlib.crc32(message_id.encode())))


def verify(message_id: str, body: bytes, envelope_: bytes, expected: int) -> None:
    """Raises RowDamaged where a stored message is not what was written."""
    if checksum(message_id, body, envelope_) != expected:
        raise RowDamaged("the stored message does not match its checksum", message=message_id)


def _dump_exact(value: Any) -> bytes:
    """The slow way, for decimals and for integers beyond 64 bits."""
    try:
        return (
            _EXACT
            + json.dumps(value, default=_tagged, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
        )
    except (ValueError, RecursionError) as error:
        raise MappingFailed(f"the body cannot be stored as plain values: {error}") from error


def _tagged(thing: Any) -> dict[str, str]:
    if isinstance(thing, Decimal) and thing.is_finite():
        return {_DECIMAL: str(thing)}
    raise MappingFailed(f"a {type(thing).__name__} is no plain value", value=repr(thing)[:80])


def _untagged(fields: dict[str, Any]) -> Any:
    return Decimal(fields[_DECIMAL]) if fields.keys() == {_DECIMAL} else fields
