"""`check:` holds a body against a schema: JSON Schema for values, XSD for XML that is still bytes."""

from __future__ import annotations

import posixpath
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any, ClassVar, Protocol
from urllib.parse import urljoin

import jsonschema_rs
from lxml import etree
from pydantic import BaseModel, ConfigDict, PlainValidator, RootModel, ValidationInfo, WithJsonSchema

from pipe.contract import Blob, Message, read_beside
from pipe.errors import PayloadError, SchemaMismatch, TooDeep, Undecodable
from transformers import json_format

MAX_FINDINGS = 10
"""how many mistakes one refusal tells"""
MAX_SIGNS = 200
"""signs of one mistake's text"""
MAX_FILES = 100
"""files that one schema may be made of"""
_FILE = "file:///a/b/c/d/e/f/"
"""where schema files seem to lie, deep enough for `../`: their names are never opened, only looked up"""

Read = Callable[[str], str]
Finding = tuple[str, str]
"""path and what is wrong there"""


class Schema(Protocol):
    """A compiled schema."""

    def findings(self, message: Message) -> Iterator[Finding]:
        """What is wrong with the message, one after another."""


# --- JSON Schema ------------------------------------------------------------------------------------------------------


class JsonSchema:
    """A JSON Schema with all files it refers to. Values are not shown in findings: they may be personal."""

    def __init__(self, path: str, read: Read) -> None:
        """Raises ValueError where it is no schema or a file is missing."""
        files = _json_files(path, read)
        try:
            self._validator = jsonschema_rs.validator_for(
                files[_FILE + path],
                base_uri=_FILE + path,
                retriever=lambda uri: files[uri],
                mask="the value",
                pattern_options=jsonschema_rs.RegexOptions(),
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, KeyError, ValueError) as error:
            raise ValueError(f"`{path}` is no JSON Schema: {str(error).splitlines()[0]}") from error

    def findings(self, message: Message) -> Iterator[Finding]:
        """What is wrong with the body's values."""
        body = message.body
        if isinstance(body, (bytes, Blob)):
            yield "body", "it is bytes: decode it before this check"
            return
        lazy = isinstance(body, Sequence) and not isinstance(body, (str, list))
        for error in self._validator.iter_errors(list(body) if lazy else body):
            yield _dotted(error.instance_path), error.message


def _dotted(path: Sequence[str | int]) -> str:
    return "body" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def _json_files(path: str, read: Read) -> dict[str, Any]:
    """The schema and what its `$ref` name, by the URI under which they will be asked for."""
    files: dict[str, Any] = {}
    waiting = [(_FILE + path, path)]
    while waiting:
        uri, name = waiting.pop()
        if uri in files:
            continue
        if len(files) >= MAX_FILES:
            raise ValueError(f"`{path}` refers to more than {MAX_FILES} files")
        try:
            files[uri] = json_format.decode(read(name).encode())
        except PayloadError as error:
            raise ValueError(f"`{name}` is not JSON: {error.text}") from error
        for reference in _references(files[uri]):
            location = reference.partition("#")[0]
            if location and "://" not in location:
                beside = posixpath.normpath(posixpath.join(posixpath.dirname(name), location))
                waiting.append((urljoin(uri, location), beside))
    return files


def _references(schema: Any) -> Iterator[str]:
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


# --- XSD --------------------------------------------------------------------------------------------------------------

_XS = "{http://www.w3.org/2001/XMLSchema}"
_LINKS = (f"{_XS}include", f"{_XS}import", f"{_XS}redefine")
MAX_XML_DEPTH = 128
"""levels of elements"""


def _parser() -> Any:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


class _Files(etree.Resolver):
    """Gives libxml2 the files that were read; nothing else exists for it."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__()
        self._files = files

    def resolve(self, system_url: str | None, public_id: str | None, context: Any) -> Any:
        name = (system_url or "").rpartition("/")[2]
        if name not in self._files:
            raise OSError(f"{system_url} is not among the schema's files")
        return self.resolve_string(self._files[name], context, base_url=_FILE + name)


class Xsd:
    """An XML Schema with all files that it includes or imports."""

    def __init__(self, path: str, read: Read) -> None:
        """Raises ValueError where it is no schema or a file is missing."""
        files = _xsd_files(path, read)
        parser = _parser()
        parser.resolvers.add(_Files(files))
        try:
            self._schema = etree.XMLSchema(etree.fromstring(files["0.xsd"], parser, base_url=f"{_FILE}0.xsd"))
        except (etree.XMLSchemaParseError, OSError) as error:
            raise ValueError(f"`{path}` is no XML Schema: {str(error).splitlines()[0]}") from error
        # lxml keeps the mistakes of a validation in the schema, so two threads must not validate at once.
        self._lock = threading.Lock()

    def findings(self, message: Message) -> Iterator[Finding]:
        """What is wrong with the XML of the body. Raises Undecodable, also for any DOCTYPE; TooDeep."""
        body = message.body
        if not isinstance(body, (bytes, str, Blob)):
            yield "body", "it is not XML any more: an XSD is checked before `decode: xml`"
            return
        tree = _xml(body)
        with self._lock:
            self._schema.validate(tree)
            found = [(entry.path or "body", _masked(entry.message)) for entry in islice(self._schema.error_log, 100)]
        yield from found


def _xsd_files(path: str, read: Read) -> dict[str, bytes]:
    """The schema as `0.xsd` and what it includes as `1.xsd` …, the links between them renamed alike."""
    names = {posixpath.normpath(path): "0.xsd"}
    files: dict[str, bytes] = {}
    for name in _growing(names):
        try:
            root = etree.fromstring(read(name).encode(), _parser())
        except etree.XMLSyntaxError as error:
            raise ValueError(f"`{name}` is not XML: {error}") from error
        for link in root.iter(*_LINKS):
            location = link.get("schemaLocation")
            if location is None:
                continue
            if "://" in location:
                raise ValueError(f"`{name}` imports {location}: put a copy beside it, schemas are read from files only")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), location))
            link.set("schemaLocation", names.setdefault(target, f"{len(names)}.xsd"))
        files[names[name]] = etree.tostring(root)
    return files


def _growing(names: dict[str, str]) -> Iterator[str]:
    done = 0
    while done < len(names):
        if done >= MAX_FILES:
            raise ValueError(f"a schema is made of at most {MAX_FILES} files")
        yield list(names)[done]
        done += 1


def _xml(body: bytes | str | Blob) -> Any:
    raw = body.read() if isinstance(body, Blob) else body.encode() if isinstance(body, str) else body
    try:
        root = etree.fromstring(raw, _parser())
    except etree.XMLSyntaxError as error:
        raise Undecodable(f"the body is not XML: {error.msg}", path=f"line {error.lineno}") from error
    tree = root.getroottree()
    if tree.docinfo.doctype:
        raise Undecodable("the body has a DOCTYPE, which is refused: entities can be attacks", path="line 1")
    level, depth = [root], 0
    while level:
        depth += 1
        level = [child for element in level for child in element]
    if depth > MAX_XML_DEPTH:
        raise TooDeep(f"the body has {depth} levels of elements", path="body")
    return tree


_VALUE = re.compile(r"(: |The value )'.*' (is|has|does)\b", re.DOTALL)


def _masked(text: str) -> str:
    return _VALUE.sub(lambda found: f"{found[1]}the value {found[2]}".replace("The value the value", "The value"), text)


# --- the step ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """A schema file and what was made of it."""

    path: str
    schema: Schema = field(compare=False, repr=False)


def _compiled(value: Any, info: ValidationInfo) -> SchemaFile:
    if isinstance(value, SchemaFile):
        return value
    if not isinstance(value, str) or not value.endswith((".json", ".xsd")):
        raise ValueError("`check:` names a file that ends in .json (JSON Schema) or .xsd (XML Schema)")
    kind = JsonSchema if value.endswith(".json") else Xsd
    return SchemaFile(value, kind(value, lambda path: read_beside(info, path)))


class CheckConfig(
    RootModel[
        Annotated[
            SchemaFile, PlainValidator(_compiled), WithJsonSchema({"type": "string", "pattern": r"\.(json|xsd)$"})
        ]
    ]
):
    """A schema file, relative to the YAML file: `.json` is JSON Schema (after `decode`), `.xsd` XSD (before it)."""

    model_config = ConfigDict(
        frozen=True, strict=True, json_schema_extra={"examples": ["schemas/appeal.json", "schemas/appeal.xsd"]}
    )


class Check:
    """Refuses what does not fit the schema."""

    name: ClassVar[str] = "check"
    Config: ClassVar[type[BaseModel]] = CheckConfig
    heavy: ClassVar[bool] = False

    def __init__(self, config: CheckConfig) -> None:
        self._file = config.root

    def apply(self, message: Message) -> Message:
        """The same message. Raises SchemaMismatch that tells up to ten mistakes, each with its path."""
        found = list(islice(self._file.schema.findings(message), MAX_FINDINGS + 1))
        if not found:
            return message
        told = [f"{path[:MAX_SIGNS]}: {text[:MAX_SIGNS]}" for path, text in found[:MAX_FINDINGS]]
        if len(found) > MAX_FINDINGS:
            told.append("and more")
        raise SchemaMismatch(
            f"the body does not fit {self._file.path}: {'; '.join(told)}", path=found[0][0][:MAX_SIGNS]
        )
