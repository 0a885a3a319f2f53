"""WSDLs come from local files only, and are what was pinned; what cannot be served is refused with its reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adapters.soap.files import pins_line
from adapters.soap.message import build, received, values_of
from adapters.soap.reading import service_of
from adapters.soap.xml import written
from tests.adapters.soap_bench import FOLDER, wsdl


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the WSDLs, to be spoilt."""
    shutil.copytree(FOLDER, tmp_path / "wsdl")
    return tmp_path / "wsdl"


def spoil(folder: Path, name: str, old: str, new: str) -> None:
    """Changes one place of a file."""
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), encoding="utf-8")


def pin(folder: Path, **files: str) -> None:
    """Writes the pins of appeals.wsdl: file → address."""
    lines = [pins_line((folder / name).read_text(encoding="utf-8"), name, url) for name, url in files.items()]
    (folder / "appeals.wsdl.pins").write_text("\n".join(["# fetched", *lines]) + "\n", encoding="utf-8")


PINNED = {
    "appeals.wsdl": "http://partner.example/ws/appeals?wsdl",
    "common.xsd": "http://partner.example/ws/common.xsd",
    "names.xsd": "http://partner.example/ws/names.xsd",
}


def test_imports_are_followed_over_files() -> None:
    """A WSDL, a schema that it imports, one that this includes; and a ministry's, in circles."""
    assert len(wsdl("appeals.wsdl").documents) == 3
    assert len(wsdl("ministry/service.wsdl").documents) == 6


@pytest.mark.parametrize(
    ("name", "old", "new", "text"),
    [
        (
            "appeals.wsdl",
            'schemaLocation="common.xsd"',
            'schemaLocation="http://127.0.0.1:1/c.xsd"',
            "only local files",
        ),
        ("appeals.wsdl", 'schemaLocation="common.xsd"', 'schemaLocation="file:///etc/passwd"', "only local files"),
        ("appeals.wsdl", 'schemaLocation="common.xsd"', 'schemaLocation="gone.xsd"', "`gone.xsd` cannot be read"),
        ("common.xsd", "<?xml", '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><?xml', "not XML|DOCTYPE"),
        ("common.xsd", "<xs:schema targetNamespace", "<!DOCTYPE x><xs:schema targetNamespace", "DOCTYPE"),
        ("appeals.wsdl", "<wsdl:definitions name", "<wsdl:definitons name", "not XML"),
    ],
)
def test_nothing_is_fetched_and_no_doctype_is_read(folder: Path, name: str, old: str, new: str, text: str) -> None:
    """An address in an import is refused before anybody is asked."""
    spoil(folder, name, old, new)
    with pytest.raises(ValueError, match=text):
        wsdl("appeals.wsdl", folder)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('element="t:Register"', 'element="t:Nobody"', "operation `Register`"),
        ('type="c:Person"', 'type="c:Nobody"', "cannot be read|schema is wrong"),
        ('use="literal"', 'use="encoded"', "rpc/encoded"),
        ('<xs:element name="id" type="xs:string"/>', '<xs:elephant name="id"/>', "."),
        ('transport="http://schemas.xmlsoap.org/soap/http"', 'transport="urn:jms"', "has no SOAP port"),
    ],
)
def test_a_wsdl_that_cannot_be_served_says_why(folder: Path, old: str, new: str, text: str) -> None:
    """A ValueError, whatever zeep or libxml2 say."""
    spoil(folder, "appeals.wsdl", old, new)
    with pytest.raises(ValueError, match=text):
        service_of(wsdl("appeals.wsdl", folder), None, None)


def test_a_service_and_a_port_are_chosen_by_name() -> None:
    """Names that are not there are told with those that are."""
    assert [port.name for port in service_of(wsdl("appeals.wsdl"), None, "Port12").ports] == ["Port12"]
    with pytest.raises(ValueError, match="no service `X`; it has AppealsService"):
        service_of(wsdl("appeals.wsdl"), "X", None)
    with pytest.raises(ValueError, match="no SOAP port `X`; it has Port11, Port12"):
        service_of(wsdl("appeals.wsdl"), None, "X")


def test_what_was_pinned_is_read_by_its_addresses(folder: Path) -> None:
    """Links of the documents are addresses; the pins say which file each is."""
    spoil(folder, "appeals.wsdl", 'schemaLocation="common.xsd"', 'schemaLocation="/ws/common.xsd"')
    pin(folder, **PINNED)
    assert wsdl("appeals.wsdl", folder).documents != ()
    assert service_of(wsdl("appeals.wsdl", folder), None, None).operation("Register") is not None


def test_a_file_that_is_not_what_was_pinned_is_refused(folder: Path) -> None:
    """The text names the file and the command."""
    pin(folder, **PINNED)
    spoil(folder, "names.xsd", "xs:language", "xs:string")
    with pytest.raises(ValueError, match=r"`names.xsd` is not what was pinned.*pipe wsdl pin"):
        wsdl("appeals.wsdl", folder)


def test_an_import_that_was_not_pinned_is_refused(folder: Path) -> None:
    """A pinned WSDL is whole."""
    pin(folder, **{name: url for name, url in PINNED.items() if name != "names.xsd"})
    with pytest.raises(ValueError, match=r"does not pin http://partner.example/ws/names.xsd"):
        wsdl("appeals.wsdl", folder)


@pytest.mark.parametrize("line", ["nonsense", "0" * 64 + "  ../up.xsd  http://a.example/x"])
def test_a_spoilt_pins_file_is_refused(folder: Path, line: str) -> None:
    """It names the line; a file of another folder is nothing that pins could name."""
    (folder / "appeals.wsdl.pins").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 1 is not"):
        wsdl("appeals.wsdl", folder)


MIME = """<wsdl:input>
        <m:multipartRelated xmlns:m="http://schemas.xmlsoap.org/wsdl/mime/">
          <m:part><soap:body parts="parameters" use="literal"/></m:part>
          <m:part><m:content part="photo" type="image/jpeg"/></m:part>
        </m:multipartRelated>
      </wsdl:input>"""


def test_parts_that_the_binding_sends_as_attachments_are_no_part_of_the_body(folder: Path) -> None:
    """The MIME binding of WSDL 1.1: such a part travels in `@attachments`."""
    old = """<soap:operation soapAction="urn:example:appeals:Remind"/>
      <wsdl:input><soap:body use="literal"/></wsdl:input>"""
    spoil(folder, "appeals.wsdl", old, old.partition("<wsdl:input>")[0] + MIME)
    part = '<wsdl:part name="parameters" element="t:Remind"/>'
    spoil(folder, "appeals.wsdl", part, part + '<wsdl:part name="photo" type="xs:base64Binary"/>')
    found = service_of(wsdl("appeals.wsdl", folder), None, "Port11").operation("Remind")
    assert found is not None
    assert [field.key for field in found[1].input.elements] == ["Remind"]


def test_namespaces_that_everybody_knows_need_no_document(folder: Path) -> None:
    """References to attachments (swaRef), content types of binaries (xmime), languages (xml:lang)."""
    spoil(
        folder, "common.xsd", '<xs:include schemaLocation="names.xsd"/>',
        '<xs:include schemaLocation="names.xsd"/><xs:import namespace="http://ws-i.org/profiles/basic/1.1/xsd"/>'
        '<xs:import namespace="http://www.w3.org/2005/05/xmlmime" schemaLocation="http://www.w3.org/2005/05/xmlmime"/>',
    )  # fmt: skip
    spoil(
        folder, "common.xsd", '<xs:element name="office" type="xs:string"/>',
        '<xs:element name="office" type="xs:string"/><xs:element name="paper" minOccurs="0" '
        'xmlns:r="http://ws-i.org/profiles/basic/1.1/xsd" type="r:swaRef"/><xs:element name="face" minOccurs="0" '
        'xmlns:x="http://www.w3.org/2005/05/xmlmime" type="x:base64Binary"/>',
    )  # fmt: skip
    service = service_of(wsdl("appeals.wsdl", folder), None, None)
    official = {
        "@xsi:type": "Official", "name": {"#text": "n"}, "office": "x", "paper": "cid:p@x",
        "face": {"#text": "aGk=", "@contentType": "image/png"},
    }  # fmt: skip
    found = service.operation("Register")
    assert found is not None
    port, operation = found
    value = {"id": "1", "applicant": official, "phone": "+380671234567", "due": "2026-01-15"}
    raw = written(build(service, port.version, operation.input, value, service.small).envelope)
    assert values_of(received(raw, "text/xml"), operation.input, service) == value
