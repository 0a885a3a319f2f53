"""The names of SOAP, WSDL, XML Schema and their neighbours, and what differs between SOAP 1.1 and 1.2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WSDL = "http://schemas.xmlsoap.org/wsdl/"
WSDL_MIME = "http://schemas.xmlsoap.org/wsdl/mime/"
XS = "http://www.w3.org/2001/XMLSchema"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XML = "http://www.w3.org/XML/1998/namespace"
XMIME = "http://www.w3.org/2005/05/xmlmime"
XOP = "http://www.w3.org/2004/08/xop/include"
SWA_REF = "http://ws-i.org/profiles/basic/1.1/xsd"
SOAP_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"

XSI_TYPE, XSI_NIL = f"{{{XSI}}}type", f"{{{XSI}}}nil"
SECURITY = f"{{{WSSE}}}Security"

Code = Literal["Client", "Server", "MustUnderstand", "VersionMismatch"]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of SOAP."""

    name: Literal["1.1", "1.2"]
    envelope: str
    """namespace of its envelope"""
    binding: str
    """namespace of its words in a WSDL"""
    media_type: str
    actor: str
    """attribute of a header block that says who it is for"""
    ours: frozenset[str]
    """values of `actor` that mean whoever receives it"""

    def tag(self, name: str) -> str:
        """An element of the envelope's namespace."""
        return f"{{{self.envelope}}}{name}"


SOAP11 = Version(
    "1.1",
    "http://schemas.xmlsoap.org/soap/envelope/",
    "http://schemas.xmlsoap.org/wsdl/soap/",
    "text/xml",
    "actor",
    frozenset({"", "http://schemas.xmlsoap.org/soap/actor/next"}),
)
SOAP12 = Version(
    "1.2",
    "http://www.w3.org/2003/05/soap-envelope",
    "http://schemas.xmlsoap.org/wsdl/soap12/",
    "application/soap+xml",
    "role",
    frozenset(
        {
            "",
            "http://www.w3.org/2003/05/soap-envelope/role/next",
            "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver",
        }
    ),
)
VERSIONS = (SOAP11, SOAP12)


def local(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition("}")[2]


def space(tag: str) -> str:
    """The namespace of a name; empty where it has none."""
    return tag[1:].partition("}")[0] if tag.startswith("{") else ""
