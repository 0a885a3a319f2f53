"""Which combinations a stack itself cannot do, and why; and the table that docs/reference/soap.md is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.adapters.soap_matrix.cases import CALLERS, FEATURES, STACKS, Cell, cells, rows
from tests.adapters.soap_matrix.wires import FOLDER

FILE = Path(__file__).parent / "matrix.json"
TEST = "tests/adapters/test_soap_matrix.py"


@dataclass(frozen=True)
class Reason:
    """Why some combinations of a stack are not there."""

    stack: str
    text: str
    applies: Callable[[Cell], bool]
    seen: str | None = None
    """what comes of it when it is tried all the same, as a regular expression; None: `test` shows it in its own way"""
    test: str = "test_what_a_stack_cannot_do"

    @property
    def example(self) -> Cell:
        """The first combination that it is the reason for."""
        return next(each for each in cells() if reason(each) is self)


def _features(*names: str) -> Callable[[Cell], bool]:
    return lambda cell: cell.feature in names


def _wsdl(*names: str) -> Callable[[Cell], bool]:
    return lambda cell: cell.wsdl in names


def _traits(cell: Cell) -> bool:
    return not cell.wsdl.startswith("letters")


def _rpc_answers_of_12(cell: Cell) -> bool:
    """An answer in rpc style and SOAP 1.2; neither a fault nor nothing."""
    return (cell.wsdl, cell.version) == ("letters_rpc", "1.2") and cell.feature in {
        "call", "header", "password", "digest"}  # fmt: skip


_SUBSTITUTION = "it knows no substitution groups: it asks for the abstract element"
_NETWORK = "it fetches the schema of `xml:lang` from the network and takes no file instead"
REASONS: tuple[Reason, ...] = (
    Reason("suds", "it speaks SOAP 1.1 only", lambda cell: cell.version == "1.2", "VersionMismatch|TypeNotFound"),
    Reason("suds", "it has no signatures", _features("x509"), "FailedAuthentication"),
    Reason("suds", "it sends binaries within the XML", _features("mtom"), "what suds sends is not mtom"),
    Reason("suds", "it reads no answer with attachments", _features("swa"), "syntax error"),
    Reason("suds", _SUBSTITUTION, _wsdl("substitution"), "TypeNotFound"),
    Reason("suds", "it writes an element `any` where any element may stand", _wsdl("open"), "Element 'any'"),
    Reason("suds", _NETWORK, _wsdl("ministry"), "URLError"),
    Reason("php", "it has no signatures", _features("x509"), "FailedAuthentication|Security header is missing"),
    Reason("php", "it sends binaries within the XML", _features("mtom"), "what php sends is not mtom"),
    Reason("php", "it reads no answer with attachments", _features("swa"), "no XML document"),
    Reason("php", _SUBSTITUTION, _wsdl("substitution"), "object has no 'event' property"),
    Reason("php_server", "it has no signatures", _features("x509"), "there is no Security header"),
    Reason("php_server", "it reads no multipart message", _features("mtom", "swa"), "Bad Request"),
    Reason("php_server", _SUBSTITUTION, _wsdl("substitution"), "object has no 'event' property"),
    Reason("php_server", _NETWORK, _wsdl("ministry"), "can't import schema"),
    Reason("php_server", "it puts an `rpc:result` into answers of rpc style, as if they were encoded",
           _rpc_answers_of_12, "Element 'result'"),
    Reason("gsoap_server", "it tells operations apart by their elements, not by their actions",
           _wsdl("actions"), "the planned answer cannot be read"),
    Reason("spyne", "it makes a WSDL of its own code, and takes none that is given", _traits,
           test="test_spyne_takes_no_given_wsdl"),
    Reason("spyne", "it has no rpc style", _wsdl("letters_rpc"), test="test_spyne_has_no_rpc_style"),
    Reason("spyne", "it passes over header blocks that its code does not name, WS-Security too",
           _features("header", "password", "digest"), test="test_spyne_passes_over_header_blocks"),
    Reason("spyne", "it has no signatures", _features("x509"), "there is no Security header"),
    Reason("spyne", "its reader of multipart messages fails", _features("mtom", "swa"), "answered 500"),
    Reason("spyne", "its writer of typed faults fails in SOAP 1.2",
           lambda cell: (cell.feature, cell.version) == ("fault", "1.2"), "answered 500"),
)  # fmt: skip


def reason(cell: Cell) -> Reason | None:
    """Why this combination is not there; None where it is."""
    return next((each for each in REASONS if each.stack == cell.stack and each.applies(cell)), None)


def document() -> dict[str, Any]:
    """The table as data: for each row what is in each column, the file of its bytes or the number of a reason."""
    reasons = [{"stack": STACKS[each.stack], "text": each.text, "test": f"{TEST}::{each.test}"} for each in REASONS]
    found = []
    for wsdl, version, feature in rows():
        line: dict[str, Any] = {"wsdl": wsdl.path, "style": wsdl.style, "about": wsdl.about, "version": version}
        line |= {"feature": feature, "cells": {}}
        for stack in STACKS:
            cell = Cell(wsdl.name, version, feature, stack)
            why = reason(cell)
            line["cells"][stack] = cell.file if why is None else REASONS.index(why) + 1
        found.append(line)
    return {
        "features": FEATURES,
        "stacks": {name: [label, name in CALLERS] for name, label in STACKS.items()},
        "reasons": reasons,
        "rows": found,
    }


def written() -> bytes:
    """As it stands in the file."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2) + b"\n"


def _wanted() -> set[str]:
    return {each.file for each in cells() if reason(each) is None}


def _there() -> set[str]:
    return {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.wire")}


def left_over() -> list[str]:
    """Files of combinations that are no longer there."""
    return sorted(_there() - _wanted())


def wrong() -> list[str]:
    """What is missing, or is there for nothing."""
    told = [f"{name}: the bytes are not written" for name in sorted(_wanted() - _there())]
    told += [f"{name}: bytes of no combination" for name in left_over()]
    if not FILE.exists() or FILE.read_bytes() != written():
        told.append("matrix.json is stale")
    return told
