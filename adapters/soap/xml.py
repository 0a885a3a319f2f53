"""XML as it comes over the wire, read safely: no DOCTYPE, no entities, no network, a limited depth."""

from __future__ import annotations

from typing import Any

from lxml import etree

from pipe.errors import TooDeep, Undecodable

MAX_DEPTH = 128
"""levels of elements"""


def parser() -> Any:
    """A parser that fetches nothing and expands nothing; comments and processing instructions are left out."""
    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )


def parsed(raw: bytes, what: str = "the body") -> Any:
    """The root element. Raises Undecodable, also for any DOCTYPE; TooDeep."""
    try:
        root = etree.fromstring(raw, parser())
    except (etree.XMLSyntaxError, ValueError) as error:  # ValueError: an encoding that nobody knows
        line = getattr(error, "lineno", None)
        text = str(getattr(error, "msg", None) or error).splitlines()[0] if str(error) else "it is empty"
        raise Undecodable(f"{what} is not XML: {text}", path=f"line {line}" if line else "line 1") from error
    if root.getroottree().docinfo.doctype:
        raise Undecodable(f"{what} has a DOCTYPE, which is refused: entities can be attacks", path="line 1")
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise TooDeep(f"{what} has more than {MAX_DEPTH} levels of elements", path="body", hint=_HINT)
        level = [child for element in level for child in element]
    return root


_HINT = f"the limit of XML is {MAX_DEPTH} levels"


def written(root: Any) -> bytes:
    """A whole document in UTF-8."""
    raw: bytes = etree.tostring(root, xml_declaration=True, encoding="utf-8")
    return raw
