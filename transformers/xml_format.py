"""XML by xmltodict's conventions: `@name` is an attribute, `#text` the text beside children, repeated elements a list.

Reading is on expat, writing by hand: two and five times as fast as xmltodict, and equal to it by property tests.
What the conventions cannot keep: the order of mixed siblings, blanks around text, and whether an empty element was null
or "".

Two things differ on purpose: a carriage return in text is written as `&#13;` (else the reader would get a line feed),
and values that xmltodict would write as Python shows them (a list in a list) are refused.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from pipe.errors import TooDeep, Undecodable, Unencodable
from transformers.text_format import scalar

MAX_DEPTH = 64
"""levels of elements that are read, unless the step says otherwise"""
MAX_WRITTEN = 128
"""levels of elements that are written"""
LARGE = 256 << 10
"""signs of a text, or of a document, that is not copied more often than need be"""
MANY = 4096
"""pieces of a list that are put together before the next come"""
MEDIA_TYPE = "application/xml"
_XML_NAMESPACE = {"http://www.w3.org/XML/1998/namespace": "xml"}


# --- reading --------------------------------------------------------------------------------------------------------


class _Reader:
    """Builds plain values from expat's events, as xmltodict does."""

    def __init__(self, lists: frozenset[str], depth: int, namespaces: Mapping[str, str] | None) -> None:
        self.item: Any = None
        self._lists = lists
        self._depth = depth
        self._namespaces = None if namespaces is None else {**_XML_NAMESPACE, **namespaces}
        self._text: list[str] = []
        self._stack: list[tuple[Any, list[str]]] = []
        self._path: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        stack = self._stack
        if len(stack) >= self._depth:
            raise _Deep
        stack.append((self.item, self._text))
        if self._lists:
            self._path.append(self._named(name))
        if attributes:
            self.item = {f"@{self._named(key)}": value for key, value in attributes.items()}
        else:
            self.item = None
        self._text = []

    def end(self, name: str) -> None:
        """An element ends: it becomes part of the one around it."""
        text = "".join(self._text).strip() or None
        item: Any = self.item
        if item is None:
            item = text
        elif text:
            item["#text"] = text
        parent, self._text = self._stack.pop()
        if self._namespaces is not None:
            name = self._named(name)
        if parent is None:
            parent = {}
        if name in parent:
            before = parent[name]
            if type(before) is list:
                before.append(item)
            else:
                parent[name] = [before, item]
        else:
            parent[name] = [item] if self._lists and ".".join(self._path) in self._lists else item
        if self._lists:
            self._path.pop()
        self.item = parent

    def text(self, data: str) -> None:
        """A piece of text."""
        self._text.append(data)

    def _named(self, name: str) -> str:
        if self._namespaces is None:
            return name
        uri, separator, local = name.rpartition(" ")
        prefix = self._namespaces.get(uri, uri)
        return f"{prefix}:{local}" if separator and prefix else local


class _Deep(Exception):
    """More levels than the limit."""


class _Doctype(Exception):
    """A document type declaration."""


def _refuse_doctype(*_: Any) -> None:
    raise _Doctype


def decode(
    pieces: Iterable[bytes],
    *,
    charset: str | None = None,
    lists: Iterable[str] = (),
    depth: int = MAX_DEPTH,
    namespaces: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The document as plain values, all texts. `charset` is what the sender declared outside of the document.

    `lists` are dotted paths of elements that are lists even where they stand once. With `namespaces` (URI: prefix)
    names carry these prefixes, whichever the sender chose; without, names are as written. Raises Undecodable with line
    and column for what is not well-formed and for any DOCTYPE; TooDeep.
    """
    reader = _Reader(frozenset(lists), depth, namespaces)
    try:
        parser = expat.ParserCreate(charset, None if namespaces is None else " ")
    except LookupError as error:
        raise Undecodable(f"the charset {charset} is unknown", path="content_type") from error
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        place = f"line {error.lineno}, column {error.offset + 1}"
        raise Undecodable(f"the body is not XML: {expat.ErrorString(error.code)} at {place}", path=place) from error
    except _Deep as error:
        place = f"line {parser.CurrentLineNumber}, column {parser.CurrentColumnNumber + 1}"
        raise TooDeep(f"the body has more than {depth} levels of elements at {place}", path=place) from error
    except _Doctype as error:
        place = f"line {parser.CurrentLineNumber}"
        raise Undecodable("the body has a DOCTYPE, which is refused: entities can be attacks", path=place) from error
    except (LookupError, UnicodeError, ValueError) as error:
        raise Undecodable(f"the body's charset cannot be read: {error}", path="line 1") from error
    result: dict[str, Any] = reader.item
    return result


# --- writing --------------------------------------------------------------------------------------------------------

_FIRST = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_PART = f"[{_FIRST}][{_FIRST}.0-9\u00b7\u0300-\u036f\u203f\u2040-]*"
_NAME = re.compile(f"{_PART}(:{_PART})?")
_CONTROLS = bytes(set(range(0x20)) - set(b"\t\n\r"))
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _CannotSay(Exception):
    """A value that XML has no form for; `path` grows on the way out."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.path: list[str] = []


def encode(value: Any, *, charset: str = "utf-8", root: str | None = None, declaration: bool = True) -> bytes:
    """The document of an object with one key, the root element; `root` wraps any other value in an element.

    Raises Unencodable that names the field: control characters, names that XML does not allow, several roots, lists in
    lists, bytes. Signs that the charset lacks are written as references.
    """
    head = f'<?xml version="1.0" encoding="{charset}"?>\n' if declaration else ""
    out = _Out(value, head.encode() if charset == "utf-8" else None)
    try:
        _document(out, {root: value} if root else value)
    except _CannotSay as error:
        path = ".".join(["body", *reversed(error.path)]).replace(".[", "[")
        raise Unencodable(f"XML cannot say {path}: {error.reason}", path=path) from error
    if out.written is not None:
        out.write()
        return out.written.getvalue()
    text = "".join(out)
    raw = _as_utf8(text, value)
    return head.encode() + raw if charset == "utf-8" else _in_charset(head + text, charset, value)


def _bundled(texts: Iterable[str]) -> Iterator[str]:
    """The same signs, neither in crumbs nor in lumps."""
    bundle: list[str] = []
    length = 0
    for text in texts:
        for start in range(0, len(text), LARGE):
            part = text[start : start + LARGE]
            bundle.append(part)
            length += len(part)
            if length >= LARGE:
                yield "".join(bundle)
                bundle, length = [], 0
    yield "".join(bundle)


def _as_utf8(text: str, value: Any) -> bytes:
    """The document in UTF-8. Raises Unencodable for a sign that XML forbids, naming the first field that holds one."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:  # half a character
        raw = b"\0"
    # To take control characters out and compare the lengths is the quickest way to know that there are none.
    if len(raw.translate(None, _CONTROLS)) == len(raw) and "\ufffe" not in text and "\uffff" not in text:
        return raw
    path, sign = _holder(value, "body"), next(_FORBIDDEN.finditer(text))[0]
    raise Unencodable(f"XML cannot say {path}: it holds the control character U+{ord(sign):04X}", path=path)


def _in_charset(text: str, charset: str, value: Any) -> bytes:
    try:
        return text.encode(charset)
    except UnicodeEncodeError:
        # A reference can stand for a sign in text, but not in a name.
        for name in _names(value):
            if name.encode(charset, "ignore").decode(charset) != name:
                raise Unencodable(f"XML in {charset} cannot say the name {name}", path=f"body…{name}") from None
        return text.encode(charset, "xmlcharrefreplace")


_Open = list[Any]
"""where the start tag of an element lies, its name, its value"""
SETTLED = -1


class _Out(list[str]):
    """The pieces of a document. Those of a large one in UTF-8 are written away as they come.

    At no time is there more of it than the bytes and a few pieces; a hundred thousand texts would take ten times that.
    """

    def __init__(self, value: Any, head: bytes | None) -> None:
        """`head` is what the bytes begin with; None where they are in another charset."""
        self._value, self._head = value, head
        self.written: io.BytesIO | None = None
        self.open: list[_Open] = []
        """elements that have begun and not ended: their start tags wait for attributes behind their children"""

    def write(self) -> None:
        """Writes the pieces away; in another charset, puts them together."""
        for element in self.open:
            start, tag, value = element
            if start >= 0:
                attributes = (_attribute(key, part) for key, part in value.items() if _is_attribute(key))
                self[start] = f"<{tag}{''.join(attributes)}>"
                element[0] = SETTLED
        if self._head is None:
            self[:] = ["".join(self)]
            return
        if self.written is None:
            self.written = io.BytesIO()
            self.written.write(self._head)
        for text in _bundled(self):
            self.written.write(_as_utf8(text, self._value))
        self.clear()


def _document(out: _Out, value: Any) -> None:
    for name, part in _top(value).items():
        try:
            _element(out, name, part, 0)
        except _CannotSay as error:
            error.path.append(str(name))
            raise


def _top(value: Any) -> Mapping[Any, Any]:
    """The root element, which may be a list of one, and the comments beside it."""
    if type(value) is not dict and not isinstance(value, Mapping):
        raise _CannotSay("a document is an object with one key, its root element; name one with `root:`")
    roots = [name for name in value if name != "#comment"]
    if len(roots) != 1:
        shown = ", ".join(str(name) for name in roots[:4]) or "none"
        raise _CannotSay(f"a document has one root element, not {len(roots)} ({shown}); name one with `root:`")
    (root,) = roots
    if not isinstance(value[root], list):
        return value
    if len(value[root]) != 1:
        raise _CannotSay(f"its root element `{root}` is a list; a document has one root; name one with `root:`")
    return {**value, root: value[root][0]} if type(value[root]) is list else value


def _element(out: _Out, name: Any, value: Any, depth: int) -> None:
    if not is_name(name):
        if name != "#comment":
            raise _no_name(name)
        _comment(out, value)
    elif type(value) is dict or (type(value) not in _SAID and isinstance(value, Mapping)):
        _object(out, name, value, depth)
    else:
        out.append(f"<{name}>{_SAID.get(type(value), _said)(value)}</{name}>")


def _elements(out: _Out, name: Any, values: list[Any], depth: int) -> None:
    for value in values:
        if type(value) is list:
            raise _CannotSay("it is a list with a list in it")
        _element(out, name, value, depth)
        if len(out) > MANY:
            out.write()


def _object(out: _Out, tag: str, value: Mapping[str, Any], depth: int) -> None:
    if depth >= MAX_WRITTEN:
        raise _CannotSay(f"it is nested deeper than {MAX_WRITTEN} levels")
    attributes, text, key = "", None, ""
    element: _Open = [len(out), tag, value]
    out.open.append(element)
    out.append(f"<{tag}>")
    try:
        for key, part in value.items():
            kind = type(part)
            if kind is str and is_name(key):  # most fields: no call in between
                has_markup = "&" in part or "<" in part or ">" in part or "\r" in part
                if len(part) > LARGE:
                    out += (f"<{key}>", _escaped(part) if has_markup else part, f"</{key}>")
                    out.write()
                else:
                    out.append(f"<{key}>{_escaped(part) if has_markup else part}</{key}>")
            elif kind in _SAID and is_name(key):
                out.append(f"<{key}>{_SAID[kind](part)}</{key}>")
            elif kind is dict and is_name(key):
                _object(out, key, part, depth + 1)
            elif key == "#text":
                text = None if part is None else _scalar(part)
            elif _is_attribute(key):
                attributes += _attribute(key, part)
            elif type(part) is list:
                _elements(out, key, part, depth + 1)
            else:
                _element(out, key, part, depth + 1)
    except _CannotSay as error:
        error.path.append(str(key))
        raise
    out.open.pop()
    if attributes and element[0] != SETTLED:
        out[element[0]] = f"<{tag}{attributes}>"
    out.append(f"</{tag}>" if text is None else f"{_escaped(text)}</{tag}>")


def _is_attribute(key: Any) -> bool:
    return type(key) is str and key[:1] == "@"


def _attribute(key: str, value: Any) -> str:
    if key == "@xmlns" and isinstance(value, Mapping):
        return "".join(_attribute(f"@xmlns:{prefix}" if prefix else "@xmlns", uri) for prefix, uri in value.items())
    if not is_name(key[1:]):
        raise _no_name(key[1:])
    return f" {key[1:]}={quoteattr('' if value is None else _scalar(value))}"


def _comment(out: _Out, value: Any) -> None:
    for part in value if isinstance(value, list) else [value]:
        text = "" if part is None else _scalar(part)
        if "--" in text or text.endswith("-"):
            raise _CannotSay("a comment cannot hold two dashes or end with one")
        if text:
            out.append(f"<!--{_escaped(text)}-->")


def _scalar(value: Any) -> str:
    text = scalar(value)
    if text is None:
        raise _CannotSay(f"{type(value).__name__} has no form as text")
    return text


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def _said(value: Any) -> str:
    return _escaped(_scalar(value))


_SAID: dict[type, Callable[[Any], str]] = {
    str: _escaped,
    int: str,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "",
}
"""what stands between the tags, for the commonest types"""


def _no_name(name: Any) -> _CannotSay:
    return _CannotSay(f"{name!r} is not a name for an element or attribute")


@lru_cache(maxsize=4096)
def is_name(name: object) -> bool:
    """Whether both editions of XML 1.0 take it: the fifth by its signs, the fourth by what expat says."""
    if type(name) is not str or _NAME.fullmatch(name) is None:
        return False
    return name.isascii() or _is_read(f"<{name}/>")


def _is_read(document: str) -> bool:
    try:
        expat.ParserCreate("utf-8").Parse(document, True)
    except expat.ExpatError:
        return False
    return True


def _names(value: Any) -> Iterator[str]:
    """All names of elements and attributes."""
    if isinstance(value, Mapping):
        yield from value
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _names(part)


def _holder(value: Any, path: str) -> str:
    """The first field whose text holds a forbidden sign."""
    parts: Iterable[tuple[str, Any]] = ()
    if isinstance(value, Mapping):
        parts = ((f"{path}.{name}", part) for name, part in value.items())
    elif isinstance(value, list):
        parts = ((f"{path}[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, str) and _FORBIDDEN.search(value):
        return path
    return next((found for inner, part in parts if (found := _holder(part, inner))), "")
