"""Reads a WSDL with zeep and makes of it what the adapters need. Slow (a large one takes seconds): call it in a thread.

zeep reads definitions, messages, port types and types; the bindings are read here, because zeep does not know `parts=`,
MIME parts and headers without `use=`. Nothing of zeep reads or writes a message: see docs/decisions/0013-soap.md.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from lxml import etree
from zeep.exceptions import Error as ZeepError
from zeep.settings import Settings
from zeep.wsdl import Document
from zeep.wsdl.definitions import Binding

from adapters.soap.files import Wsdl, name_of, number_of
from adapters.soap.known import KNOWN_SCHEMAS
from adapters.soap.model import Field, Object, Particle
from adapters.soap.names import SOAP_ENCODING, VERSIONS, WSDL, WSDL_MIME, XML, XS, Version, local
from adapters.soap.schema import Part, Validator, Wrapper, schema_files, substitutions
from adapters.soap.service import Operation, Port, Service, Shape
from adapters.soap.types import Types

_TRANSPORTS = {"http://schemas.xmlsoap.org/soap/http", "http://www.w3.org/2003/05/soap/bindings/HTTP/"}
_PLACE = "file:///known/"
_KNOWN = {_PLACE + namespace: text.encode() for namespace, text in KNOWN_SCHEMAS.items()} | {
    "https://www.w3.org/2001/xml.xsd": KNOWN_SCHEMAS[XML].encode(),  # zeep asks for it by itself
    SOAP_ENCODING: f'<xs:schema xmlns:xs="{XS}" targetNamespace="{SOAP_ENCODING}"/>'.encode(),
}
"""documents that no WSDL need bring along"""
_one_at_a_time = threading.Lock()  # warnings are caught for the whole process


@functools.lru_cache(maxsize=32)
def service_of(wsdl: Wsdl, name: str | None, port: str | None) -> Service:
    """The service of that name (the only one, if None), with that port alone or with all.

    Raises ValueError that says what is wrong with the WSDL, or what it does that is not supported.
    """
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zeep warns of what it leaves out; what is needed of that is missed below
        try:
            return _Reading(wsdl).service(name, port)
        except (ZeepError, etree.LxmlError, LookupError, TypeError, AttributeError, NotImplementedError) as error:
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"`{wsdl.path}` cannot be read: {text}") from error


class _Plain(Binding):
    """A SOAP binding as zeep's definitions hold it: its element, and where names are looked up."""

    @classmethod
    def match(cls, node: Any) -> bool:
        return _version(node) is not None

    @classmethod
    def parse(cls, definitions: Any, node: Any) -> _Plain:
        target = definitions.target_namespace
        kind = node.find("{*}binding").get("transport")
        if kind not in _TRANSPORTS:
            raise NotImplementedError(kind)  # zeep leaves such a binding out
        binding = cls(definitions.wsdl, _name(node, "name", target), _name(node, "type", target))
        binding.node, binding.definitions = node, definitions
        return binding

    node: Any
    definitions: Any

    def process_service_port(self, node: Any, force_https: bool = False) -> dict[str, Any]:
        return {}


class _Documents:
    """What zeep takes for its transport: gives out the documents, and nothing else."""

    binding_classes: ClassVar = [_Plain]

    def __init__(self, wsdl: Wsdl) -> None:
        self._wsdl = wsdl

    def load(self, link: str) -> bytes:
        """A document by its link. Raises ValueError for whatever is not among them."""
        if link in _KNOWN:
            return _KNOWN[link]
        if not link.startswith(name_of(0)[:-1]):
            raise ValueError(f"only local files are read, not {link}")
        tree = self._wsdl.tree(number_of(link))
        for schema in tree.iter(f"{{{XS}}}schema"):
            _bring_known(schema)
        return etree.tostring(tree)


def _bring_known(schema: Any) -> None:
    """Makes imports of namespaces that the gateway knows lead to what it knows."""
    imported = set()
    for link in schema.iterfind(f"{{{XS}}}import"):
        imported.add(link.get("namespace"))
        if link.get("namespace") in KNOWN_SCHEMAS and link.get("schemaLocation") is None:
            link.set("schemaLocation", _PLACE + link.get("namespace"))
    for namespace in {*schema.nsmap.values()} & {*KNOWN_SCHEMAS} - imported - {schema.get("targetNamespace")}:
        place = _PLACE + namespace
        schema.insert(0, etree.Element(f"{{{XS}}}import", namespace=namespace, schemaLocation=place))


class _Reading:
    def __init__(self, wsdl: Wsdl) -> None:
        self._wsdl = wsdl
        transport: Any = _Documents(wsdl)
        self._document = Document(name_of(0), transport, settings=Settings(strict=True, forbid_dtd=True))
        self._types = Types(self._document.types, substitutions(wsdl))
        self._wrappers: dict[tuple[str, str], Wrapper] = {}

    def service(self, name: str | None, port: str | None) -> Service:
        services = self._document.services
        if not services:
            raise ValueError(f"`{self._wsdl.path}` has no service")
        if name is None and len(services) > 1:
            raise ValueError(f"`{self._wsdl.path}` has several services: say `service:` ({', '.join(services)})")
        chosen = services.get(name or next(iter(services)))
        if chosen is None:
            raise ValueError(f"`{self._wsdl.path}` has no service `{name}`; it has {', '.join(services)}")
        ports = tuple(self._ports(chosen, port))
        if not ports:
            known = ", ".join(chosen.ports) or "none"
            raise ValueError(f"service `{chosen.name}` has no SOAP port{f' `{port}`' if port else ''}; it has {known}")
        files = schema_files(self._wsdl, self._wrappers.values())
        try:
            return Service(chosen.name, ports, self._types, Validator(files), Validator(files))
        except ValueError as error:
            raise ValueError(f"`{self._wsdl.path}`: {error}") from error

    def _ports(self, service: Any, only: str | None) -> Iterator[Port]:
        for port in service.ports.values():
            if only in {None, port.name} and isinstance(port.binding, _Plain):
                yield self._port(port.name, port.binding)

    def _port(self, name: str, binding: Any) -> Port:
        version = _version(binding.node)
        assert version is not None
        style = binding.node.find(f"{{{version.binding}}}binding").get("style", "document")
        operations = {}
        for node in binding.node.iterfind(f"{{{WSDL}}}operation"):
            each = self._operation(node, binding, version, style)
            operations[each.name] = each
        return Port(name, version, operations)

    def _operation(self, node: Any, binding: Any, version: Version, style: str) -> Operation:
        name = node.get("name")
        abstract = binding.port_type.operations.get(name)
        if abstract is None or abstract.input_message is None:
            raise ValueError(f"operation `{name}` of {local(str(binding.name))} has no messages that could be read")
        told = node.find(f"{{{version.binding}}}operation")
        style = style if told is None else told.get("style", style)
        action = "" if told is None else told.get("soapAction", "")
        make = functools.partial(self._shape, binding=binding, version=version, style=style, operation=name)
        output = None
        if abstract.output_message is not None:
            output = make(node.find(f"{{{WSDL}}}output"), abstract.output_message, suffix="Response")
        return Operation(
            name, action, make(node.find(f"{{{WSDL}}}input"), abstract.input_message), output, self._faults(abstract)
        )

    def _faults(self, abstract: Any) -> dict[str, Field]:
        found = {}
        for message in abstract.fault_messages.values():
            for part in message.parts.values():
                if part.element is not None and (field := self._types.element(part.element.qname.text)) is not None:
                    found[field.tag] = field
        return found

    def _shape(
        self, node: Any, message: Any, *, binding: Any, version: Version, style: str, operation: str, suffix: str = ""
    ) -> Shape:
        """`node` is the binding's input or output."""
        body = _find(node, version, "body")
        if body is not None and body.get("use") == "encoded":
            raise ValueError(
                f"operation `{operation}` is rpc/encoded, which is not supported: ask for document/literal"
            )
        parts = dict(message.parts)
        headers = {}
        for block in () if node is None else node.iter(f"{{{version.binding}}}header"):
            header = self._header(block, binding)
            headers[header.tag] = header
            if _name(block, "message", binding.definitions.target_namespace).text == message.name.text:
                parts.pop(block.get("part"), None)
        for content in () if node is None else node.iter(f"{{{WSDL_MIME}}}content"):
            parts.pop(content.get("part"), None)  # an attachment: see `@attachments`
        if body is not None and body.get("parts") is not None:
            parts = {name: part for name, part in parts.items() if name in body.get("parts").split()}
        if style == "rpc":
            return self._rpc(body, parts, headers, operation + suffix)
        return Shape(tuple(self._document_part(name, part, operation) for name, part in parts.items()), headers=headers)

    def _document_part(self, name: str, part: Any, operation: str) -> Field:
        field = None if part.element is None else self._types.element(part.element.qname.text)
        if field is None:
            raise ValueError(f"part `{name}` of `{operation}` names no element, which document style demands")
        return field

    def _rpc(self, body: Any, parts: Mapping[str, Any], headers: Mapping[str, Field], name: str) -> Shape:
        namespace = "" if body is None else body.get("namespace") or ""
        fields, told = [], []
        for part_name, part in parts.items():
            if part.type is None:
                raise ValueError(f"part `{part_name}` of `{name}` names no type, which rpc style demands")
            fields.append(self._types.field(part_name, part.type.resolve()))
            told.append(Part(part_name, str(part.type.qname.text)))
        self._wrappers.setdefault((namespace, name), Wrapper(namespace, name, told))
        tag = f"{{{namespace}}}{name}" if namespace else name
        return Shape((), tag, Object({}, Particle("sequence", tuple(fields))), headers)

    def _header(self, block: Any, binding: Any) -> Field:
        name = _name(block, "message", binding.definitions.target_namespace)
        part = binding.definitions.get("messages", name.text).parts[block.get("part")]
        if part.element is None:
            return self._types.field(block.get("part"), part.type.resolve())
        return self._types.element(part.element.qname.text) or self._types.field(part.element.qname.text, part.type)


def _version(node: Any) -> Version | None:
    return next((version for version in VERSIONS if node.find(f"{{{version.binding}}}binding") is not None), None)


def _find(node: Any, version: Version, name: str) -> Any:
    """The first element of SOAP's words in a WSDL, also within MIME parts."""
    return None if node is None else next(iter(node.iter(f"{{{version.binding}}}{name}")), None)


def _name(node: Any, attribute: str, target: str | None) -> Any:
    prefix, colon, name = node.get(attribute).rpartition(":")
    uri = node.nsmap.get(prefix if colon else None) if colon or attribute != "name" else target
    return etree.QName(uri or target or "", name) if uri or target else etree.QName(name)
