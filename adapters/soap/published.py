"""The WSDL as callers get it: `?wsdl`, its documents under `?wsdl=N`, and the address under which it was asked for."""

from __future__ import annotations

from lxml import etree

from adapters.soap.files import Wsdl, links, number_of
from adapters.soap.names import VERSIONS, WSDL
from adapters.soap.xml import written


def published(wsdl: Wsdl, number: int, address: str) -> bytes | None:
    """A document of the WSDL, its links and addresses leading to `address`; None where it has no such document."""
    if not 0 <= number < len(wsdl.documents):
        return None
    tree = wsdl.tree(number)
    for link, attribute in links(tree):
        target = link.get(attribute)
        if target is not None:
            link.set(attribute, f"{address}?wsdl={number_of(target)}")
    for version in VERSIONS:
        for place in tree.iterfind(f"{{{WSDL}}}service/{{{WSDL}}}port/{{{version.binding}}}address"):
            place.set("location", address)
    etree.cleanup_namespaces(tree, keep_ns_prefixes=[prefix for prefix in tree.nsmap if prefix])
    return written(tree)
