"""Envelopes: taken apart into values and put together from them, always held against the schema.

Beside the operation's own parameters the values may have `@header` (the header blocks that the WSDL declares) and
`@attachments` (parts beside the envelope, `{id, content_type, name, data}`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lxml import etree

from adapters.soap.mime import Attachment, Package, attachment_of, included, unpacked, value_of
from adapters.soap.model import Field
from adapters.soap.names import SECURITY, WSU, Version, local, space
from adapters.soap.schema import Validator, told
from adapters.soap.service import Service, Shape, version_of
from adapters.soap.text import Wrong
from adapters.soap.values import TEXT, Reader, Writer
from adapters.soap.xml import parsed
from pipe.errors import PayloadError, SchemaMismatch, Undecodable, Unencodable, WrongMediaType

HEADER, ATTACHMENTS = "@header", "@attachments"
LARGE = 64 * 1024
"""bytes from which a message is worked on in a thread"""


@dataclass(frozen=True, slots=True)
class Received:
    """An envelope as it came."""

    version: Version
    envelope: Any
    header: Any
    """its Header element; None where there is none"""
    body: Any
    package: Package
    attachments: tuple[Attachment, ...]
    """those that are not part of the XML"""

    @property
    def first(self) -> Any:
        """The first element of the Body; None where it is empty."""
        return next(iter(self.body), None)

    @property
    def fault(self) -> Any:
        """The Fault, where the Body holds one."""
        return self.body.find(self.version.tag("Fault"))


@dataclass(frozen=True, slots=True)
class Built:
    """An envelope to be sent."""

    envelope: Any
    binaries: tuple[Any, ...]
    attachments: tuple[Attachment, ...]


def received(raw: bytes, content_type: str) -> Received:
    """The envelope of these bytes.

    Raises Undecodable; WrongMediaType, whose fact `soap` is VersionMismatch where it is no envelope that we know.
    """
    package = unpacked(raw, content_type)
    root = parsed(package.envelope)
    version = version_of(space(root.tag))
    if version is None or local(root.tag) != "Envelope":
        raise WrongMediaType("the body is no SOAP 1.1 or 1.2 envelope", soap="VersionMismatch")
    attachments = included(root, package.attachments) if package.mtom else package.attachments
    body = root.find(version.tag("Body"))
    if body is None:
        raise Undecodable("the envelope has no Body")
    return Received(version, root, root.find(version.tag("Header")), body, package, attachments)


def check_schema(message: Received, validator: Validator) -> None:
    """Raises SchemaMismatch that tells up to ten mistakes, each with its path. Check signatures before."""
    # SOAP and WS-Security may mark any block with attributes of their own, which its schema need not know.
    for block in (*(() if message.header is None else message.header), *message.body):
        for name in block.keys():  # noqa: SIM118  an element is no dictionary
            if space(name) in {message.version.envelope, WSU}:
                del block.attrib[name]
    mistakes = validator.mistakes(message.envelope)
    if mistakes:
        raise SchemaMismatch(f"the message does not fit the WSDL: {told(mistakes)}", path=mistakes[0][0])


def check_understood(message: Received, shape: Shape, *, security: bool) -> None:
    """Raises PayloadError whose fact `soap` is MustUnderstand, where a block demands what nobody here does."""
    for block in () if message.header is None else message.header:
        demanded = block.get(message.version.tag("mustUnderstand")) in {"1", "true"}
        ours = (block.get(message.version.tag(message.version.actor)) or "") in message.version.ours
        known = block.tag in shape.headers or (security and block.tag == SECURITY)
        if demanded and ours and not known:
            raise PayloadError(f"the header block {block.tag} is not understood here", soap="MustUnderstand")


def values_of(message: Received, shape: Shape, service: Service) -> Any:
    """The operation's parameters as plain values, the wrapper element left out. The message fits the schema."""
    reader = Reader(service.types)
    value = _body(message, shape, reader)
    beside: dict[str, Any] = {}
    header = {
        shape.headers[block.tag].key: reader.read(block, shape.headers[block.tag].node)
        for block in (() if message.header is None else message.header)
        if block.tag in shape.headers
    }
    if header:
        beside[HEADER] = header
    if message.attachments:
        beside[ATTACHMENTS] = [value_of(each) for each in message.attachments]
    if not beside:
        return value
    return {**(value if isinstance(value, dict) else {TEXT: value}), **beside}


def _body(message: Received, shape: Shape, reader: Reader) -> Any:
    if shape.wrapper is not None:
        assert shape.parts is not None
        return reader.read(message.first, shape.parts)
    children = list(message.body)
    found = [_meant(field, child) for field, child in zip(shape.elements, children, strict=False)]
    if len(children) != len(shape.elements) or None in found:
        raise SchemaMismatch("the Body does not hold the elements of this operation", path="Body")
    values = {field.key: reader.read(child, field.node) for field, child in zip(found, children, strict=True) if field}
    if len(shape.elements) != 1:
        return values
    return next(iter(values.values()))


def _meant(field: Field, child: Any) -> Field | None:
    return next((each for each in field.each if each.tag == child.tag), None)


def build(service: Service, version: Version, shape: Shape, value: Any, validator: Validator) -> Built:
    """The envelope of these values. Raises Unencodable with the path to what the schema has no place for."""
    beside = value if isinstance(value, Mapping) else {}
    header, attachments = beside.get(HEADER), beside.get(ATTACHMENTS)
    if header is not None or attachments is not None:
        value = {key: part for key, part in beside.items() if key not in {HEADER, ATTACHMENTS}}
        value = value[TEXT] if list(value) == [TEXT] else value
    envelope = etree.Element(version.tag("Envelope"), nsmap={"soap": version.envelope})
    writer = Writer(service.types)
    try:
        if header:
            _write_header(etree.SubElement(envelope, version.tag("Header")), shape, header, writer)
        _write_body(etree.SubElement(envelope, version.tag("Body")), shape, value, writer)
        parts = tuple(attachment_of(each) for each in attachments or ())
    except Wrong as wrong:
        raise Unencodable(f"{wrong.place}: {wrong.reason}", path=wrong.place) from wrong
    except ValueError as error:
        raise Unencodable(f"{ATTACHMENTS}: {error}", path=f'body."{ATTACHMENTS}"') from error
    mistakes = validator.mistakes(envelope)
    if mistakes:
        raise Unencodable(f"the message does not fit the WSDL: {told(mistakes)}", path=mistakes[0][0])
    return Built(envelope, tuple(writer.binaries), parts)


def _write_header(header: Any, shape: Shape, value: Any, writer: Writer) -> None:
    if not isinstance(value, Mapping):
        raise Wrong(f"`{HEADER}` should be an object, a field a header block")
    fields = {field.key: field for field in shape.headers.values()}
    for key, part in value.items():
        field = fields.get(key)
        if field is None:
            wrong = Wrong(f"the WSDL declares no header block `{key}` here; it declares {', '.join(fields) or 'none'}")
            wrong.path.append(f'"{HEADER}"')
            raise wrong
        if part is not None:
            writer.write(header, field, part)


def _write_body(body: Any, shape: Shape, value: Any, writer: Writer) -> None:
    if shape.wrapper is not None:
        assert shape.parts is not None
        writer.fill(etree.SubElement(body, shape.wrapper), shape.parts, {} if value is None else value)
        return
    if len(shape.elements) == 1:
        field = shape.elements[0]
        element = etree.SubElement(body, field.tag)
        writer.fill(element, field.node, {} if value is None else value, nillable=field.nillable)
        return
    if not isinstance(value, Mapping) and shape.elements:
        raise Wrong("it should be an object with the message's parts")
    for field in shape.elements:
        writer.write(body, field, value.get(field.key))


def weight(value: Any, limit: int = LARGE) -> int:
    """About how many bytes these values are; counted no further than a little past the limit."""
    total, waiting = 0, [value]
    while waiting and total <= limit:
        part = waiting.pop()
        if isinstance(part, Mapping):
            total += 16 * len(part)
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part[: limit // 8])
            total += len(part) * 8
        else:
            total += len(part) if isinstance(part, (str, bytes)) else 8
    return total
