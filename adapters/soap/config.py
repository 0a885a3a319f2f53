"""What both SOAP adapters say in the configuration about their WSDL."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, PlainValidator, ValidationInfo, WithJsonSchema
from yarl import URL

from adapters.soap.files import Wsdl, read_wsdl
from pipe.contract import read_beside
from pipe.errors import ConfigError

if TYPE_CHECKING:
    from adapters.soap.service import Service


def _read(value: Any, info: ValidationInfo) -> Wsdl:
    if isinstance(value, Wsdl):
        return value
    if not isinstance(value, str):
        raise ValueError("`wsdl:` names a file")
    if "://" in value:
        raise ValueError(f"a WSDL is read from a local file: fetch and pin it with `pipe wsdl pin {value}`")
    return read_wsdl(posixpath.normpath(value), lambda path: read_beside(info, path))


def _published(text: str) -> str:
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host or url.raw_user is not None or url.raw_fragment:
        raise ValueError(f"`{text}` is no address of a WSDL: write `https://host/path?wsdl`")
    return text


Published = Annotated[str, AfterValidator(_published)]
"""an address on the web that a WSDL is served at"""
WsdlFile = Annotated[Wsdl, PlainValidator(_read), WithJsonSchema({"type": "string"})]
"""a WSDL beside the YAML file, with all that it imports; it becomes part of the revision"""


def service_at(wsdl: Wsdl, name: str | None, port: str | None) -> Service:
    """The service that the configuration means; slow the first time. Raises ConfigError."""
    from adapters.soap.reading import service_of  # zeep is slow to import, and most gateways speak no SOAP

    try:
        return service_of(wsdl, name, port)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def reviewed(wsdl: Wsdl, service: str | None, port: str | None, operation: str) -> Iterable[str]:
    """What is wrong with naming this operation."""
    try:
        found = service_at(wsdl, service, port)
    except ConfigError as error:
        return [error.text]
    if found.operation(operation) is not None:
        return []
    near = get_close_matches(operation, list(found.names), 1)
    meant = f"Did you mean `{near[0]}`?" if near else f"It has {', '.join(found.names)}."
    return [f"service `{found.name}` has no operation `{operation}`. {meant}"]
