"""SOAP faults, read and written: whose fault it is, in words, and the details that the WSDL declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lxml import etree

from adapters.soap.message import Received
from adapters.soap.model import Field
from adapters.soap.names import SOAP12, WSSE, XML, Code, Version, local
from adapters.soap.schema import Validator
from adapters.soap.service import Operation, Service
from adapters.soap.text import Wrong
from adapters.soap.values import Reader, Writer
from pipe.contract import Receipt
from pipe.errors import NotAuthorised, PeerError, PeerFailed, PipeError, Refused, Verdict

_OF_12 = {"Sender": "Client", "Receiver": "Server", "DataEncodingUnknown": "Client"}
_TO_12 = {"Client": "Sender", "Server": "Receiver"}
_CREDENTIALS = {
    "FailedAuthentication", "InvalidSecurity", "InvalidSecurityToken", "SecurityTokenUnavailable", "FailedCheck",
    "UnsupportedSecurityToken",
}  # fmt: skip

# --- reading ----------------------------------------------------------------------------------------------------------


def fault_of(message: Received, operation: Operation, service: Service, validator: Validator) -> dict[str, Any]:
    """`{code, subcode, text, actor, detail}` of the Fault in the Body; code is Client, Server or the partner's own."""
    fault = message.fault
    if message.version is SOAP12:
        value, sub, text = _parts_of_12(message.version, fault)
        actor, detail = fault.findtext(message.version.tag("Role")), fault.find(message.version.tag("Detail"))
    else:
        value, sub, text = fault.findtext("faultcode"), None, fault.findtext("faultstring")
        actor, detail = fault.findtext("faultactor"), fault.find("detail")
    code, namespace = _code(value, fault.nsmap)
    code, dot, rest = code.partition(".")
    found: dict[str, Any] = {"code": _OF_12.get(code, code), "text": (text or "").strip()}
    if namespace == WSSE:
        found = {"code": "Client", "subcode": code, "text": found["text"]}
    elif sub or (dot and rest):
        found["subcode"] = _code(sub, fault.nsmap)[0] if sub else rest
    if actor:
        found["actor"] = actor.strip()
    found["detail"] = (
        {} if detail is None else _details(detail, operation, service, not validator.mistakes(message.envelope))
    )
    return found


def _parts_of_12(version: Version, fault: Any) -> tuple[str | None, str | None, str | None]:
    code = fault.find(version.tag("Code"))
    value = None if code is None else code.findtext(version.tag("Value"))
    sub = None if code is None else code.findtext(f"{version.tag('Subcode')}/{version.tag('Value')}")
    return value, sub, fault.findtext(f"{version.tag('Reason')}/{version.tag('Text')}")


def _code(text: str | None, spaces: Mapping[str | None, str]) -> tuple[str, str]:
    prefix, _, name = (text or "Server").strip().rpartition(":")
    return name, spaces.get(prefix or None, "")


def _details(detail: Any, operation: Operation, service: Service, fits: bool) -> dict[str, Any]:
    reader = Reader(service.types)
    found: dict[str, Any] = {}
    for child in detail:
        field = operation.faults.get(child.tag) or service.types.element(child.tag)
        # A detail that does not fit its schema is told all the same: it is the reason of a failure.
        found[local(child.tag)] = (
            reader.read(child, field.node) if field and fits else reader.anything(child, short=True)
        )
    if not found and (text := (detail.text or "").strip()):
        return {"#text": text}
    return found


def failure_of(fault: Mapping[str, Any], receipt: Receipt, who: str) -> PeerError:
    """What a partner's fault means: Server is worth another try, anything else is not; credentials close the way."""
    code, text = str(fault.get("code")), f"{who} answered with a fault: {fault.get('code')}: {fault.get('text')}"
    if fault.get("subcode") in _CREDENTIALS:
        return NotAuthorised(text, reply=receipt)
    return PeerFailed(text, reply=receipt) if code == "Server" else Refused(text, reply=receipt)


# --- writing ----------------------------------------------------------------------------------------------------------


def code_of(error: PipeError) -> Code:
    """Whose fault a failure of ours is: Client where sending the same again cannot help."""
    named = error.facts.get("soap")
    if named in {"MustUnderstand", "VersionMismatch"}:
        return "MustUnderstand" if named == "MustUnderstand" else "VersionMismatch"
    return "Client" if error.blame == "caller" and error.verdict is Verdict.DEAD else "Server"


def fault_envelope(
    version: Version,
    code: Code,
    text: str,
    detail: Mapping[str, Any] | None = None,
    *,
    operation: Operation | None = None,
    service: Service | None = None,
    subcode: tuple[str, str] | None = None,
    extra: Any = None,
) -> Any:
    """The envelope of a fault. `detail`: element's name → its values, as the WSDL declares them.

    `subcode` is a namespace and a name in it; `extra` is an element for the detail. Raises Wrong where the detail
    has no place in the WSDL.
    """
    envelope = etree.Element(version.tag("Envelope"), nsmap={"soap": version.envelope, "sub": (subcode or (WSSE,))[0]})
    fault = etree.SubElement(etree.SubElement(envelope, version.tag("Body")), version.tag("Fault"))
    clean = "".join(sign if sign.isprintable() else " " for sign in text)
    if version is SOAP12:
        told = etree.SubElement(fault, version.tag("Code"))
        etree.SubElement(told, version.tag("Value")).text = f"soap:{_TO_12.get(code, code)}"
        if subcode is not None:
            inner = etree.SubElement(told, version.tag("Subcode"))
            etree.SubElement(inner, version.tag("Value")).text = f"sub:{subcode[1]}"
        reason = etree.SubElement(etree.SubElement(fault, version.tag("Reason")), version.tag("Text"))
        reason.text = clean
        reason.set(f"{{{XML}}}lang", "en")
        name = version.tag("Detail")
    else:
        etree.SubElement(fault, "faultcode").text = f"sub:{subcode[1]}" if subcode else f"soap:{code}"
        etree.SubElement(fault, "faultstring").text = clean
        name = "detail"
    if detail or extra is not None:
        place = etree.SubElement(fault, name)
        if detail:
            _write_details(place, detail, operation, service)
        if extra is not None:
            place.append(extra)
    return envelope


def _write_details(place: Any, detail: Mapping[str, Any], operation: Operation | None, service: Service | None) -> None:
    if operation is None or service is None:
        raise Wrong("this fault has no operation")
    fields: dict[str, Field] = {field.key: field for field in operation.faults.values()}
    writer = Writer(service.types)
    for key, value in detail.items():
        field = fields.get(key)
        if field is None:
            raise Wrong(f"the WSDL declares no fault `{key}`; it declares {', '.join(fields) or 'none'}")
        writer.write(place, field, value)
