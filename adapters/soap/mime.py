"""Messages with attachments: MTOM (binaries out of the XML) and SwA (parts beside it), both as multipart/related."""

from __future__ import annotations

import base64
import binascii
import quopri
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.message import Message as MimeHeaders
from email.parser import BytesHeaderParser
from typing import Any
from urllib.parse import unquote

from lxml import etree

from adapters.soap.names import XOP, Version
from pipe.errors import BadHeader, Undecodable

MAX_PARTS = 100
OUT_OF_LINE = 768
"""bytes from which a binary leaves the XML in MTOM; below, the part's header would be larger than what it saves"""
_INCLUDE = f"{{{XOP}}}Include"
_ID = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]{1,200}")
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(; ?[A-Za-z0-9-]+=[\x20-\x7e]+)*")


@dataclass(frozen=True, slots=True)
class Attachment:
    """One part beside the envelope."""

    id: str
    """its Content-ID without brackets"""
    content_type: str
    data: bytes
    name: str | None = None
    """of the file, where the sender says one"""


@dataclass(frozen=True, slots=True)
class Package:
    """A message taken out of its wrapping."""

    envelope: bytes
    media_type: str
    """of the envelope, lower case"""
    action: str | None
    """what a content type may say (SOAP 1.2)"""
    attachments: tuple[Attachment, ...] = ()
    mtom: bool = False


def unpacked(raw: bytes, content_type: str) -> Package:
    """The envelope and its attachments. Raises Undecodable where the parts are not well made."""
    head = _headers(b"Content-Type: " + content_type.encode("latin-1", "replace"))
    media_type = head.get_content_type()
    action = _parameter(head, "action")
    if media_type != "multipart/related":
        return Package(raw, media_type, action)
    boundary = _parameter(head, "boundary")
    if not boundary or len(boundary) > 200:
        raise Undecodable("the multipart message names no boundary")
    parts = [_part(piece) for piece in _pieces(raw, boundary.encode("latin-1", "replace"))]
    start = (_parameter(head, "start") or "").strip("<>")
    root = next((part for part in parts if start and part[0].id == start), parts[0])
    inner = root[1]
    mtom = inner.get_content_type() == "application/xop+xml"
    kind = (_parameter(inner, "type") or "text/xml") if mtom else inner.get_content_type()
    return Package(
        root[0].data,
        kind.partition(";")[0].strip().lower(),
        _parameter(inner, "action") or action or _parameter(_headers(f"Content-Type: {kind}".encode()), "action"),
        tuple(attachment for attachment, _ in parts if attachment is not root[0]),
        mtom,
    )


def included(root: Any, attachments: Sequence[Attachment]) -> tuple[Attachment, ...]:
    """Puts what `xop:Include` refers to back into the XML as Base64; returns the attachments that are left.

    Raises Undecodable where a reference leads anywhere but to an attachment: nothing is ever fetched.
    """
    by_id = {each.id: each for each in attachments}
    taken: set[str] = set()
    for include in list(root.iter(_INCLUDE)):
        href = include.get("href") or ""
        found = by_id.get(unquote(href[4:])) if href.lower().startswith("cid:") else None
        parent = include.getparent()
        if found is None or parent is None or len(parent) != 1:
            raise Undecodable(f"xop:Include refers to {href[:80]!r}, which is no attachment of this message")
        parent.remove(include)
        parent.text = base64.b64encode(found.data).decode()
        taken.add(found.id)
    return tuple(each for each in attachments if each.id not in taken)


def excluded(binaries: Iterable[Any]) -> tuple[Attachment, ...]:
    """Takes large binaries out of the XML, leaving `xop:Include` in their places."""
    attachments = []
    for element in binaries:
        text = element.text or ""
        if len(text) * 3 // 4 < OUT_OF_LINE:
            continue
        part = Attachment(f"{uuid.uuid4()}@pipe", "application/octet-stream", base64.b64decode(text))
        element.text = None
        etree.SubElement(element, _INCLUDE, nsmap={"xop": XOP}).set("href", f"cid:{part.id}")
        attachments.append(part)
    return tuple(attachments)


def packed(
    envelope: bytes, version: Version, action: str, attachments: Sequence[Attachment], *, mtom: bool
) -> tuple[bytes, str]:
    """The bytes to send and their content type."""
    inner = version.media_type + (f'; action="{action}"' if version.name == "1.2" and action else "")
    plain = version.media_type + "; charset=utf-8" + inner[len(version.media_type) :]
    if not attachments and not mtom:
        return envelope, plain
    boundary, start = f"pipe-{uuid.uuid4()}", f"envelope-{uuid.uuid4()}@pipe"
    root_type = f'application/xop+xml; charset=utf-8; type="{_quoted(inner)}"' if mtom else plain
    pieces = [_written(boundary, Attachment(start, root_type, envelope))]
    pieces += [_written(boundary, each) for each in attachments]
    pieces.append(f"\r\n--{boundary}--\r\n".encode())
    outer = "application/xop+xml" if mtom else version.media_type
    info = f'; start-info="{_quoted(inner)}"' if mtom else ""
    action_told = f'; action="{action}"' if version.name == "1.2" and action else ""
    return b"".join(pieces), (
        f'multipart/related; boundary="{boundary}"; type="{outer}"; start="<{start}>"{info}{action_told}'
    )


def attachment_of(value: Any) -> Attachment:
    """What an entry of `@attachments` says: `{id, content_type, data}` with Base64. Raises ValueError, BadHeader."""
    if not isinstance(value, dict):
        raise ValueError("an attachment is an object with `data`, and `id`, `content_type`, `name` if you like")
    unknown = set(value) - {"id", "content_type", "data", "name"}
    if unknown:
        raise ValueError(f"an attachment has no `{sorted(unknown)[0]}`")
    named, kind = value.get("id") or f"{uuid.uuid4()}@pipe", value.get("content_type") or "application/octet-stream"
    name = value.get("name")
    if not (isinstance(named, str) and _ID.fullmatch(named)):
        raise BadHeader("the `id` of an attachment should be short plain text without blanks")
    if not (isinstance(kind, str) and _TYPE.fullmatch(kind)):
        raise BadHeader("the `content_type` of an attachment is none")
    if name is not None and (not isinstance(name, str) or not name.isprintable() or '"' in name or "\\" in name):
        raise BadHeader("the `name` of an attachment holds what cannot stand in a header")
    data = value.get("data")
    if isinstance(data, (bytes, bytearray)):
        return Attachment(named, kind, bytes(data), name)
    try:
        return Attachment(named, kind, base64.b64decode(data or "", validate=True), name)
    except (binascii.Error, TypeError, ValueError):
        raise ValueError("the `data` of an attachment should be Base64") from None


def value_of(attachment: Attachment) -> dict[str, Any]:
    """The same as an entry of `@attachments`."""
    value = {
        "id": attachment.id,
        "content_type": attachment.content_type,
        "data": base64.b64encode(attachment.data).decode(),
    }
    return value if attachment.name is None else {**value, "name": attachment.name}


def _pieces(raw: bytes, boundary: bytes) -> list[bytes]:
    """The bytes between the boundaries."""
    mark = b"\r\n--" + boundary
    whole = (b"\r\n" + raw).split(mark, MAX_PARTS + 2)
    ends = [number for number, piece in enumerate(whole) if number and piece.startswith(b"--")]
    if not ends or len(whole) > MAX_PARTS + 2:
        raise Undecodable(f"the multipart message does not end, or has more than {MAX_PARTS} parts")
    pieces = whole[1 : ends[0]]
    if not pieces:
        raise Undecodable("the multipart message has no parts")
    return pieces


def _part(piece: bytes) -> tuple[Attachment, MimeHeaders]:
    line, _, rest = piece.partition(b"\r\n")
    if line.strip():
        raise Undecodable("a boundary of the multipart message is followed by something else")
    if rest.startswith(b"\r\n"):
        head, data = b"", rest[2:]
    else:
        head, found, data = rest.partition(b"\r\n\r\n")
        if not found:
            raise Undecodable("a part of the multipart message has no body")
    headers = _headers(head)
    named = str(headers.get("Content-ID", "")).strip().strip("<>")
    kind = str(headers.get("Content-Type", "text/plain")).replace("\r\n", " ")
    return Attachment(named, kind, _decoded(headers, data), headers.get_filename()), headers


def _decoded(headers: MimeHeaders, data: bytes) -> bytes:
    encoding = str(headers.get("Content-Transfer-Encoding", "binary")).strip().lower()
    if encoding in {"7bit", "8bit", "binary"}:
        return data
    if encoding == "quoted-printable":
        return quopri.decodestring(data)
    try:
        if encoding == "base64":
            return base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error:
        raise Undecodable("a part of the multipart message is not the Base64 that it says") from None
    raise Undecodable(f"Content-Transfer-Encoding `{encoding[:40]}` is not taken")


def _headers(head: bytes) -> MimeHeaders:
    if len(head) > 16384:
        raise Undecodable("a part of the multipart message has too large a header")
    return BytesHeaderParser().parsebytes(head)


def _parameter(headers: MimeHeaders, name: str) -> str | None:
    value = headers.get_param(name)
    return value if isinstance(value, str) else None


def _written(boundary: str, part: Attachment) -> bytes:
    name = "" if part.name is None else f'Content-Disposition: attachment; filename="{part.name}"\r\n'
    head = (
        f"\r\n--{boundary}\r\nContent-Type: {part.content_type}\r\nContent-Transfer-Encoding: binary\r\n"
        f"Content-ID: <{part.id}>\r\n{name}\r\n"
    )
    return head.encode() + part.data


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
