"""What is said over each WSDL: values of ours, and what else other stacks need to say the same."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCAN = base64.b64encode(b"\x89PNG\r\n\x1a\n\x00" + bytes(range(256)) * 4).decode()
"""large enough to leave the XML in MTOM, with every byte in it"""


@dataclass(frozen=True)
class Call:
    """One exchange."""

    operation: str
    values: Any
    reply: Any = None
    """None: one-way"""
    types: Mapping[str, str] = field(default_factory=dict)
    """types of objects by their keys, `{namespace}Name`, for stacks that must be told"""
    php: Any = None
    """how PHP says the same, where it is not plain"""


@dataclass(frozen=True)
class Wsdl:
    """One WSDL, and what is said over it."""

    path: str
    style: str
    about: str
    calls: tuple[Call, ...]
    versions: tuple[str, ...] = ("1.1", "1.2")

    @property
    def name(self) -> str:
        """For files and tests."""
        return self.path.removesuffix(".wsdl").removesuffix("/service")

    def port(self, version: str) -> str | None:
        """Of that version; None where there is but one."""
        return f"Port{version.replace('.', '')}" if len(self.versions) > 1 else None


def twice(operation: str, values: Any, **more: Any) -> Call:
    """An answer that says the same as the request."""
    return Call(operation, values, more.pop("reply", values), **more)


LETTER = {"subject": "Скарга", "scan": SCAN}
RECEIPT = {"number": 7, "copy": SCAN}
_D, _P, _S = "urn:example:derived", "http://registry.example/person", "urn:example:simple"
_APPEAL_TYPES = {"applicant": "{urn:example:common}Official", "name": "{urn:example:common}Name"}

LETTERS = (
    Wsdl("letters_wrapped.wsdl", "document, wrapped", "every feature",
         (Call("Deliver", {"letter": LETTER}, {"receipt": RECEIPT}), Call("Note", {"subject": "Подяка"}))),
    Wsdl("letters_bare.wsdl", "document, bare", "every feature",
         (Call("Deliver", LETTER, RECEIPT), Call("Note", "Подяка"))),
    Wsdl("letters_rpc.wsdl", "rpc", "every feature",
         (Call("Deliver", {"letter": LETTER, "copies": 2}, {"receipt": RECEIPT}), Call("Note", {"subject": "Подяка"}))),
)  # fmt: skip
TRAITS = (
    Wsdl("actions.wsdl", "document, bare", "two operations with one element, told apart by their action",
         (Call("Lock", "k-1", "locked"), Call("Open", "k-1", "open"))),
    Wsdl("appeals.wsdl", "document, wrapped", "derived type, choice, attribute, nil, list, imported schema",
         (Call("Register",
               {"@urgent": True, "id": "1",
                "applicant": {"@xsi:type": "Official", "name": {"#text": "Олена", "@lang": "uk"}, "office": "o"},
                "phone": "+380671234567", "due": None, "tag": ["a", "b"]},
               {"number": 7, "state": "ok"}, _APPEAL_TYPES),)),
    Wsdl("attributes.wsdl", "document, bare", "attributes: required, of a group, beside text",
         (twice("Check",
                {"@id": "b-1", "@urgent": True, "@by": "olena", "@on": "2026-01-15",
                 "total": {"@currency": "UAH", "#text": 10.5},
                 "part": [{"@currency": "UAH", "#text": 4}, {"@currency": "EUR", "#text": 6.5}]},
                types={"total": "{urn:example:attributes}Amount", "part": "{urn:example:attributes}Amount"}),)),
    Wsdl("choice.wsdl", "document, wrapped", "choices, also nested and repeated",
         (twice("Reach", {"contact": {"id": "1", "country": "380", "number": "671234567", "note": ["n"]}}),
          twice("Reach", {"contact": {"id": "2", "email": "o@partner.example"}}))),
    Wsdl("derived.wsdl", "document, wrapped", "an abstract type and xsi:type",
         (twice("Show", {"document": {"@xsi:type": "Passport", "number": "123456", "series": "АА"}},
                types={"document": f"{{{_D}}}Passport"}),)),
    Wsdl("dotnet.wsdl", "document, wrapped", "as .NET writes it: tempuri.org, ArrayOf",
         (Call("GetPersons", {"filter": {"Surname": "Ш", "Limit": 2}},
               {"GetPersonsResult": {"Person": [{"Name": "Олена", "Id": 1}, {"Name": "Іван", "Id": 2}]}}),)),
    Wsdl("empty.wsdl", "document, wrapped", "a request and an answer that hold nothing",
         (Call("Status", {}, {"state": "up"}), Call("Reset", {"hard": True}, {}))),
    Wsdl("groups.wsdl", "document, wrapped", "groups of elements, xs:all",
         (Call("Settle", {"home": {"city": "Київ", "flat": 5}, "options": {"light": True, "heat": False}},
               {"home": {"city": "Київ", "street": "Хрещатик", "flat": 5}}),)),
    Wsdl("imported/service.wsdl", "document, wrapped", "schemas in files that import each other in a circle",
         (Call("Ask", {"who": {"#text": "Олена", "@lang": "uk"}, "about": {"title": "water", "level": 3}},
               {"topic": [{"title": "water", "level": 3}, {"title": "heat", "level": 1}]},
               {"who": "{urn:example:imported}Name"}),)),
    Wsdl("ministry/service.wsdl", "document, bare", "imported WSDL, X-Road headers, lists in attributes",
         (Call("getPerson",
               {"@mode": ["x", "y"], "criterion": {"@xsi:type": "ByCode", "code": "1234567890"},
                "@header": {"client": {"@objectType": "MEMBER", "xRoadInstance": "UA", "memberCode": "1"},
                            "userId": "olena", "id": "q-1"}},
               {"missing": ["nobody"]}, {"criterion": f"{{{_P}}}ByCode"}),), ("1.1",)),
    Wsdl("nillable.wsdl", "document, wrapped", "nil, absent and empty; local names without a namespace",
         (twice("Save", {"person": {"name": "Олена", "middle": "", "born": "1990-01-02", "phone": ["1", "2"],
                                    "address": None}}),
          twice("Save", {"person": {"name": None, "address": {"city": "Київ"}}}))),
    Wsdl("open.wsdl", "document, wrapped", "any element of any namespace",
         (Call("Extend", {"thing": {"name": "n", "{urn:example:elsewhere}colour": "blue"}}, {"thing": {"name": "n"}},
               php={"thing": {"name": "n", "any": '<e:colour xmlns:e="urn:example:elsewhere">blue</e:colour>'}}),)),
    Wsdl("payments_rpc.wsdl", "rpc", "types without elements, parts of built-in types",
         (Call("Pay", {"ref": "r-1", "sum": 10.5, "account": {"iban": "UA1"}},
               {"number": 3, "account": {"iban": "UA1", "owner": "О"}}),), ("1.1",)),
    Wsdl("simple.wsdl", "document, wrapped", "lists, unions, enumerations, patterns, long numbers, times, hex",
         (twice("Measure", {"values": {
             "colour": "blue", "code": "AB1234", "numbers": [1, 2, 3], "either": "yellow",
             "long": 9007199254740993, "exact": 12345678.25, "yes": True, "at": "2026-01-15T10:00:00Z",
             "hex": "00FF"}}),)),
    Wsdl("substitution.wsdl", "document, wrapped", "elements that stand in the place of an abstract one",
         (twice("Record", {"birth": {"at": "2026-01-15", "child": "Марко"}}),)),
    Wsdl("tree.wsdl", "document, wrapped", "a type that holds itself",
         (twice("Grow", {"root": {"name": "a", "node": [{"name": "b", "node": [{"name": "c"}]}, {"name": "d"}]}}),)),
)  # fmt: skip
WSDLS = {each.name: each for each in (*LETTERS, *TRAITS)}
FEATURES = {
    "call": "a request and its answer",
    "header": "a header block that the WSDL declares",
    "fault": "a typed fault of the WSDL",
    "one_way": "a one-way operation",
    "password": "WS-Security, UsernameToken with the password as text",
    "digest": "WS-Security, UsernameToken with a digest, nonce and time",
    "x509": "WS-Security, signature over Body and Timestamp, both ways",
    "mtom": "MTOM, both ways",
    "swa": "SOAP with Attachments, both ways",
}
CALLERS = {"suds": "suds", "php": "PHP SoapClient", "gsoap": "gSOAP"}
PARTNERS = {"php_server": "PHP SoapServer", "gsoap_server": "gSOAP", "spyne": "spyne"}
STACKS = {**CALLERS, **PARTNERS}


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination."""

    wsdl: str
    version: str
    feature: str
    stack: str

    @property
    def id(self) -> str:
        """As its test is called."""
        return f"{self.wsdl}-{self.version}-{self.feature}-{self.stack}"

    @property
    def file(self) -> str:
        """Of its wire bytes."""
        return f"{self.wsdl}/{self.version}-{self.feature}-{self.stack}.wire"


def rows() -> list[tuple[Wsdl, str, str]]:
    """WSDL, version and feature: all that a column has cells for."""
    letters = [(each, version, feature) for each in LETTERS for version in each.versions for feature in FEATURES]
    return [*letters, *((each, version, "call") for each in TRAITS for version in each.versions)]


def cells() -> list[Cell]:
    """Every combination."""
    return [Cell(each.name, version, feature, stack) for each, version, feature in rows() for stack in STACKS]
