"""A WSDL with everything that it imports, from local files only; beside it a file of pins where it was fetched.

A pins file is `NAME.wsdl.pins`, a line a document: its sha256, its file, the address it came from. `pipe wsdl pin`
writes it. A document that is not what was pinned is refused.
"""

from __future__ import annotations

import functools
import hashlib
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from lxml import etree

from adapters.soap.names import SOAP_ENCODING, SWA_REF, VERSIONS, WSDL, XMIME, XML, XS
from adapters.soap.xml import parsed
from pipe.errors import PayloadError

MAX_FILES = 200
"""documents that one WSDL may be made of"""
PINS = ".pins"
KNOWN = (XML, XMIME, SWA_REF, SOAP_ENCODING, *(version.envelope for version in VERSIONS))
"""namespaces that need no document: the gateway knows them"""
_LINE = re.compile(r"([0-9a-f]{64})\s+(\S+)\s+(\S+)")
LINKS = {
    f"{{{WSDL}}}import": "location",
    f"{{{XS}}}import": "schemaLocation",
    f"{{{XS}}}include": "schemaLocation",
    f"{{{XS}}}redefine": "schemaLocation",
}

Read = Callable[[str], str]


@dataclass(frozen=True)
class Wsdl:
    """The documents of one WSDL, the links between them resolved. Two of the same content are equal."""

    path: str = field(compare=False)
    """of the first document, as the configuration says it"""
    documents: tuple[str, ...]
    """the first is the WSDL itself; links say `file:///wsdl/N`, N counted from 0"""
    origin: str = field(default="", compare=False)
    """the address that it was pinned from; empty where it was not"""

    def tree(self, number: int) -> Any:
        """A document, freshly parsed."""
        return etree.fromstring(self.documents[number].encode())

    @functools.cached_property
    def two_way(self) -> Mapping[str, bool]:
        """Operation → whether it has an output, as far as the port types say."""
        found: dict[str, bool] = {}
        for number in range(len(self.documents)):
            for operation in self.tree(number).iterfind(f"{{{WSDL}}}portType/{{{WSDL}}}operation"):
                name = operation.get("name", "")
                found[name] = found.get(name, False) or operation.find(f"{{{WSDL}}}output") is not None
        return found

    @functools.cached_property
    def services(self) -> tuple[str, ...]:
        """The names of its services."""
        return tuple(each.get("name", "") for each in self.tree(0).iterfind(f"{{{WSDL}}}service"))

    def address(self, service: str | None, port: str | None) -> str | None:
        """Where the partner is, as the first SOAP port that fits says; None where none says it."""
        for number in range(len(self.documents)):
            for each in self.tree(number).iterfind(f"{{{WSDL}}}service/{{{WSDL}}}port"):
                if service not in {None, each.getparent().get("name")} or port not in {None, each.get("name")}:
                    continue
                for version in VERSIONS:
                    found = each.find(f"{{{version.binding}}}address")
                    if found is not None and found.get("location"):
                        return str(found.get("location"))
        return None


def name_of(number: int) -> str:
    """How a document is called in links."""
    return f"file:///wsdl/{number}"


def number_of(link: str) -> int:
    """The document that such a link leads to."""
    return int(link.rpartition("/")[2])


def read_wsdl(path: str, read: Read) -> Wsdl:
    """The WSDL at `path` with all that it imports.

    Raises ValueError where a file is missing, is not what was pinned, is no XML, or lies elsewhere than in files.
    """
    pins = _pins(path, read)
    documents = _Documents(path, read, pins)
    root = documents.root()
    if root.tag != f"{{{WSDL}}}definitions":
        raise ValueError(f"`{path}` is no WSDL 1.1: its first element is {root.tag}")
    origin = next((url for url, (name, _) in pins.items() if name == posixpath.basename(path)), "")
    return Wsdl(path, documents.all(), origin)


class _Documents:
    """Follows links from document to document and rewrites them."""

    def __init__(self, path: str, read: Read, pins: Mapping[str, tuple[str, str]]) -> None:
        """`pins`: address → (file, sha256); empty where nothing was pinned."""
        self._read, self._pins, self._path = read, pins, path
        first = next((url for url, (name, _) in pins.items() if name == posixpath.basename(path)), None)
        if pins and first is None:
            raise ValueError(f"`{path}{PINS}` does not pin `{posixpath.basename(path)}`: run `pipe wsdl pin` again")
        self._numbers = {first or posixpath.normpath(path): 0}
        self._trees: list[Any] = []

    def root(self) -> Any:
        """The first document."""
        self._load()
        return self._trees[0]

    def all(self) -> tuple[str, ...]:
        """Every document as text."""
        while len(self._trees) < len(self._numbers):
            if len(self._trees) >= MAX_FILES:
                raise ValueError(f"`{self._path}` is made of more than {MAX_FILES} documents")
            self._load()
        return tuple(etree.tostring(tree, encoding="unicode") for tree in self._trees)

    def _load(self) -> None:
        place = list(self._numbers)[len(self._trees)]
        try:
            tree = parsed(self._text(place).encode(), f"`{place}`")
        except PayloadError as error:
            raise ValueError(error.text) from error
        self._trees.append(tree)
        for link, attribute in links(tree):
            self._rewrite(link, attribute, place)

    def _rewrite(self, link: Any, attribute: str, place: str) -> None:
        location = link.get(attribute)
        if location is None:
            return
        target = urljoin(place, location) if self._pins else posixpath.join(posixpath.dirname(place), location)
        target = target if "://" in target else posixpath.normpath(target)
        known = target in self._pins if self._pins else "://" not in location
        if known:
            link.set(attribute, name_of(self._numbers.setdefault(target, len(self._numbers))))
        elif link.get("namespace") in KNOWN:
            del link.attrib[attribute]
        elif self._pins:
            raise ValueError(f"`{self._path}{PINS}` does not pin {target}, which {place} imports")
        else:
            raise ValueError(
                f"`{place}` imports {location}: only local files are read; fetch and pin all of it with `pipe wsdl pin`"
            )

    def _text(self, place: str) -> str:
        if not self._pins:
            return _undeclared(self._read(place))
        name, digest = self._pins[place]
        file = posixpath.join(posixpath.dirname(self._path), name)
        text = self._read(file)
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            raise ValueError(
                f"`{file}` is not what was pinned: look at what has changed, then pin it anew with `pipe wsdl pin`"
            )
        return _undeclared(text)


def links(tree: Any) -> Iterator[tuple[Any, str]]:
    """The elements that lead to other documents, each with its attribute."""
    for element in list(tree.iter(*LINKS)):
        yield element, LINKS[element.tag]


def pins_line(text: str, name: str, url: str) -> str:
    """One line of a pins file."""
    return f"{hashlib.sha256(text.encode()).hexdigest()}  {name}  {url}"


def _pins(path: str, read: Read) -> dict[str, tuple[str, str]]:
    try:
        text = read(path + PINS)
    except ValueError:
        return {}
    pins = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or "/" in match[2] or match[2].startswith("."):
            raise ValueError(f"`{path}{PINS}` line {number} is not `sha256  file  address`")
        pins[match[3]] = (match[2], match[1])
    return pins


def _undeclared(text: str) -> str:
    """Without the declaration of an encoding: what is read here is text already."""
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
