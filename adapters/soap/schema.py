"""One strict XML Schema made of everything that a WSDL says, envelope included: what zeep would let pass stops here."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from lxml import etree

from adapters.soap.files import Wsdl, links, number_of
from adapters.soap.known import KNOWN_SCHEMAS
from adapters.soap.names import VERSIONS, WSDL, XS

MAX_FINDINGS = 10
"""how many mistakes one refusal tells"""
MAX_SIGNS = 200
_BASE = "file:///schema/"
_VALUE = re.compile(r"(: |The value )'.*' (is|has|does)\b", re.DOTALL)
_ENVELOPES = {version.envelope for version in VERSIONS}
_CLARK = re.compile(r"\{[^}]*\}")


class Part(NamedTuple):
    """One part of an rpc message."""

    name: str
    type: str
    """as {namespace}name"""


class Wrapper(NamedTuple):
    """The element around the parts of an rpc message, which no schema of the WSDL declares."""

    namespace: str
    name: str
    parts: Sequence[Part]


class Validator:
    """Holds whole envelopes against the schema. For one thread at a time; others wait."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Raises ValueError where the schema is none."""
        parser = etree.XMLParser(no_network=True, resolve_entities=False)
        parser.resolvers.add(_Files(files))
        try:
            self._schema = etree.XMLSchema(etree.fromstring(files["top"], parser, base_url=f"{_BASE}top"))
        except etree.XMLSchemaParseError as error:
            entry = next(iter(error.error_log), None)
            raise ValueError(f"its schema is wrong: {_CLARK.sub('', entry.message if entry else str(error))}") from None
        self._lock = threading.Lock()

    def mistakes(self, envelope: Any) -> list[tuple[str, str]]:
        """Up to ten mistakes, each its path and what is wrong there; values are not told, they may be personal."""
        with self._lock:
            if self._schema.validate(envelope.getroottree()):
                return []
            log = self._schema.error_log
            return [(_path(entry.path), _masked(entry.message)) for entry in islice(log, MAX_FINDINGS)]


def told(mistakes: Iterable[tuple[str, str]]) -> str:
    """The mistakes in one line."""
    return "; ".join(f"{path}: {text}" for path, text in mistakes)


def schema_files(wsdl: Wsdl, wrappers: Iterable[Wrapper]) -> dict[str, bytes]:
    """The documents of the schema by name, `top` the first.

    libxml2 takes one document for each namespace, a WSDL may have many: so each namespace gets a driver that includes
    them all, and every import leads to the driver.
    """
    return _Drivers(wsdl, wrappers).files()


class _Drivers:
    def __init__(self, wsdl: Wsdl, wrappers: Iterable[Wrapper]) -> None:
        self._schemas: dict[str, Any] = {}
        self._members: dict[str, list[str]] = {}
        """namespace → its documents, without those that only others include"""
        self._collect(wsdl)
        for number, wrapper in enumerate(wrappers):
            self._schemas[f"rpc{number}"] = _wrapper_schema(wrapper)
            self._members.setdefault(wrapper.namespace, []).append(f"rpc{number}")
        for namespace, text in KNOWN_SCHEMAS.items():
            if namespace not in self._members:
                self._schemas[f"known{len(self._schemas)}"] = etree.fromstring(text)
                self._members[namespace] = [f"known{len(self._schemas) - 1}"]
        self._names = {namespace: f"driver{number}" for number, namespace in enumerate(self._members)}

    def files(self) -> dict[str, bytes]:
        for schema in self._schemas.values():
            self._lead_to_drivers(schema)
        files = {name: etree.tostring(schema) for name, schema in self._schemas.items()}
        top = etree.Element(f"{{{XS}}}schema")
        for namespace, driver in self._names.items():
            if not namespace:
                for member in self._members[""]:
                    etree.SubElement(top, f"{{{XS}}}include", schemaLocation=_BASE + member)
                continue
            files[driver] = _driver(namespace, self._members[namespace])
            etree.SubElement(top, f"{{{XS}}}import", namespace=namespace, schemaLocation=_BASE + driver)
        files["top"] = etree.tostring(top)
        return files

    def _collect(self, wsdl: Wsdl) -> None:
        included: set[int] = set()
        imported: set[int] = set()
        for number in range(len(wsdl.documents)):
            tree = wsdl.tree(number)
            for link, attribute in links(tree):
                target = link.get(attribute)
                if target is not None:
                    is_import = link.tag.endswith("}import")
                    (imported if is_import else included).add(number_of(target))
            if tree.tag == f"{{{XS}}}schema":
                self._schemas[str(number)] = tree
            else:
                for place, schema in enumerate(tree.iterfind(f"{{{WSDL}}}types/{{{XS}}}schema")):
                    # Written and read again, so that prefixes declared further out come along.
                    self._add(f"{number}.{place}", etree.fromstring(etree.tostring(schema, with_tail=False)))
        for number in imported - (included - imported):
            if str(number) in self._schemas:
                self._add(str(number), self._schemas[str(number)])

    def _add(self, name: str, schema: Any) -> None:
        namespace = schema.get("targetNamespace") or ""
        self._schemas[name] = schema
        if namespace not in _ENVELOPES:  # ours are stricter about what stands in a Body
            self._members.setdefault(namespace, []).append(name)

    def _lead_to_drivers(self, schema: Any) -> None:
        seen = {schema.get("targetNamespace") or ""}
        for link, attribute in links(schema):
            target = link.get(attribute)
            if not link.tag.endswith("}import"):
                link.set(attribute, f"{_BASE}{number_of(target)}") if target else None
                continue
            namespace = link.get("namespace") or ""
            if namespace in seen or namespace not in self._names:
                schema.remove(link)
                continue
            seen.add(namespace)
            self._lead(link, namespace)
        # Ugly WSDLs refer to namespaces that they forgot to import.
        for namespace in dict.fromkeys(uri for element in schema.iter() for uri in element.nsmap.values()):
            if namespace in self._names and namespace not in seen:
                seen.add(namespace)
                link = etree.Element(f"{{{XS}}}import", namespace=namespace)
                self._lead(link, namespace)
                schema.insert(0, link)

    def _lead(self, link: Any, namespace: str) -> None:
        if namespace:
            link.set("schemaLocation", _BASE + self._names[namespace])
        else:
            link.set("schemaLocation", _BASE + self._members[""][0])


class _Files(etree.Resolver):
    """Gives libxml2 the documents that were made; nothing else exists for it."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__()
        self._files = files

    def resolve(self, system_url: str | None, public_id: str | None, context: Any) -> Any:
        name = (system_url or "").rpartition("/")[2]
        if name not in self._files:
            raise OSError(f"{system_url} is not among the schema's documents")
        return self.resolve_string(self._files[name], context, base_url=_BASE + name)


def _driver(namespace: str, members: Iterable[str]) -> bytes:
    driver = etree.Element(f"{{{XS}}}schema", targetNamespace=namespace)
    for member in members:
        etree.SubElement(driver, f"{{{XS}}}include", schemaLocation=_BASE + member)
    return etree.tostring(driver)


def _wrapper_schema(wrapper: Wrapper) -> Any:
    spaces = {f"p{number}": each for number, each in enumerate(sorted({_space(part.type) for part in wrapper.parts}))}
    prefixes = {uri: prefix for prefix, uri in spaces.items()}
    schema = etree.Element(f"{{{XS}}}schema", nsmap={**spaces, "xs": XS})
    if wrapper.namespace:
        schema.set("targetNamespace", wrapper.namespace)
    element = etree.SubElement(schema, f"{{{XS}}}element", name=wrapper.name)
    sequence = etree.SubElement(etree.SubElement(element, f"{{{XS}}}complexType"), f"{{{XS}}}sequence")
    for part in wrapper.parts:
        qualified = f"{prefixes[_space(part.type)]}:{part.type.rpartition('}')[2]}"
        etree.SubElement(sequence, f"{{{XS}}}element", name=part.name, type=qualified)
    return schema


def _space(name: str) -> str:
    return name[1:].partition("}")[0]


def _path(path: str | None) -> str:
    """`/s:Envelope/s:Body/n:Pay/sum[2]` in the words of a caller: `Pay/sum[2]`."""
    steps = [step.rpartition(":")[2] for step in (path or "").split("/") if step]
    while steps and steps[0].partition("[")[0] in {"Envelope", "Body", "Header"}:
        steps.pop(0)
    return "/".join(steps)[:MAX_SIGNS] or "Envelope"


def _masked(text: str) -> str:
    plain = _CLARK.sub("", text)
    return _VALUE.sub(
        lambda found: f"{found[1]}the value {found[2]}".replace("The value the value", "The value"), plain
    )[:MAX_SIGNS]


def substitutions(wsdl: Wsdl) -> Iterator[tuple[str, str]]:
    """(head, member) of every substitution group, as {namespace}name."""
    for number in range(len(wsdl.documents)):
        for schema in wsdl.tree(number).iter(f"{{{XS}}}schema"):
            for element in schema.iterfind(f"{{{XS}}}element[@substitutionGroup]"):
                prefix, _, name = element.get("substitutionGroup").rpartition(":")
                head = f"{{{element.nsmap.get(prefix or None, '')}}}{name}"
                yield head, f"{{{schema.get('targetNamespace') or ''}}}{element.get('name')}"
