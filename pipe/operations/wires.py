"""What came over the line before it was made into values, as people may see it."""

from __future__ import annotations

from typing import Any

from pipe.contract import Wire
from pipe.redact import MASK
from pipe.store import codec


def wire_of(row: Any, loader: Any, *, whole: bool = False) -> dict[str, Any] | None:
    """The message as it came, for JSON; None where the source handed over just that, or nothing is kept.

    Of a sealed message only the skeleton is shown: a sender may write a value in ways in which no search finds it.
    `whole` shows it all.
    """
    from pipe.operations.messages import body_of  # which itself shows what this module makes

    wire = codec.read_wire(bytes(row["envelope"]), loader.vault, row["id"])
    if wire is None:
        return None
    told = {"content_type": wire.content_type, "size": wire.size}
    shown = {"body": _skeleton(wire)} if row["sealed"] is not None and not whole else body_of(wire.data)
    return {**told, **shown, **({"body_cut": True} if len(wire.data) < wire.size else {})}


def _skeleton(wire: Wire) -> str:
    """Its elements and attributes, every value masked; nothing where it is not whole XML."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(wire.data, parser)
    except etree.XMLSyntaxError:
        return MASK
    for element in root.iter(etree.Element):
        for name in element.attrib:
            element.set(name, MASK)
        element.tail = None
        element.text = MASK if element.text and element.text.strip() else None
    etree.indent(root)
    return str(etree.tostring(root, encoding="unicode"))
