"""What a WSDL means is compared, not how it says it; and it is fetched where the connection may go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.soap.client import SoapClient, SoapConfig, SoapTarget
from adapters.soap.files import read_wsdl
from monitoring.drift.changes import between
from pipe.errors import AddressForbidden, PipeError, Refused, ReplyInvalid
from pipe.testing import FakeServices
from tests.adapters.raw_server import RawServer, reply, says, serving
from tests.adapters.soap_bench import reader
from tests.adapters.test_soap_pinning import pinned, publisher

REGISTRY = Path(__file__).parents[2] / "docs" / "cookbook" / "wsdl" / "registry.wsdl"
TEXT = REGISTRY.read_text(encoding="utf-8")


def soap(address: str, wsdl: Any, **keys: Any) -> SoapClient:
    """A client of that WSDL and address."""
    config = {"type": "soap_client", "wsdl": wsdl, "url": address, **keys}
    return SoapClient("registry", SoapConfig.model_validate(config), FakeServices())


@pytest.fixture(scope="module")
def ours() -> Any:
    """Our copy, which was not pinned."""
    return read_wsdl(REGISTRY.name, reader(REGISTRY.parent))


@pytest.mark.parametrize(
    ("now", "changes"),
    [
        (TEXT.replace("<types>", "<!-- x -->\n<types>").replace("\n", "\n  "), []),
        (TEXT.replace('xmlns:r="', 'xmlns:q="').replace('"r:', '"q:'), []),
        (TEXT.replace('"date" minOccurs="0"', '"date"'), []),
        (TEXT.replace("xs:positiveInteger", "xs:decimal"), [("Pay request", "body.amount", "kind")]),
        (TEXT.replace(r"UA\d{27}", r"UA\d{29}"), [("Pay request", "body.iban", "kind")]),
        (TEXT.replace('name="born" type="xs:date" minOccurs="0"', 'name="born" type="xs:date"'),
         [("FindPerson answer", "body.born", "required")]),
        (TEXT.replace(' minOccurs="0" maxOccurs="unbounded"', ' minOccurs="0"'),
         [("FindPerson answer", "body.benefit", "list")]),
        (TEXT.replace('name="number"', 'name="paymentNumber"'),
         [("Pay answer", "body.number", "gone"), ("Pay answer", "body.paymentNumber", "new")]),
        (TEXT.replace('soapAction="urn:example:registry:Pay"', 'soapAction="urn:pay"'),
         [("Pay answer", "(action)", "kind"), ("Pay request", "(action)", "kind")]),
        (TEXT.replace('elementFormDefault="qualified"', ""),
         [(part, "(namespaces)", "kind") for part in
          ("FindPerson answer", "FindPerson request", "Pay answer", "Pay request")]),
    ],
    ids=["layout", "prefixes", "no word of it", "type", "pattern", "required", "list", "renamed", "action", "form"],
)  # fmt: skip
async def test_what_has_changed_is_told_field_by_field(
    ours: Any, now: str, changes: list[tuple[str, str, str]]
) -> None:
    """Nothing is told of another way to write the same."""
    async with serving(RawServer({"*": says(reply(200, now.encode()))})) as server:
        client = soap(f"http://127.0.0.1:{server.port}/soap", ours)
        found = await client.interface()
        await client.close()
    assert server.requests[0].target == "/soap?wsdl"
    assert found.pinned is not None
    told = between("wsdl", found.pinned, found.served, strict=found.strict)
    assert [(each.part, each.path, each.how) for each in told] == changes


@pytest.mark.key("soap_client.drift", "soap_client.drift.wsdl")
async def test_it_is_asked_for_where_it_was_pinned_from_or_where_the_configuration_says(
    tmp_path: Path, ours: Any
) -> None:
    """As far as the connection may go there; `false` asks nobody."""
    async with publisher() as (address, asked):
        await pinned(f"{address}/appeals.wsdl", tmp_path)
        copy = read_wsdl("x.wsdl", reader(tmp_path))
        client = soap(f"{address}/soap", copy)
        assert client.described_at() == ("wsdl", f"{address}/appeals.wsdl")
        found = await client.interface()
        assert found.served == found.pinned
        elsewhere = soap("http://127.0.0.2:1/soap", copy)
        assert elsewhere.described_at() == ("wsdl", "http://127.0.0.2:1/soap?wsdl")
        away = soap("http://127.0.0.2:1/soap", copy, drift={"wsdl": f"{address}/appeals.wsdl"})
        before = len(asked)
        with pytest.raises(AddressForbidden):
            await away.interface()
        assert len(asked) == before
    assert soap("http://127.0.0.1:1", ours, drift={"wsdl": False}).described_at() is None
    assert soap("http://127.0.0.1:1", ours, drift=False).described_at() is None
    assert SoapClient.operation(SoapTarget(call="Pay"), ("Pay",)) == "Pay"
    assert SoapClient.operation(SoapTarget(call="Pay"), ("FindPerson",)) is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(404), Refused),
        (reply(200, b"<html/>"), ReplyInvalid),
        (reply(200, TEXT.split("<service", maxsplit=1)[0].encode() + b"</definitions>"), ReplyInvalid),
        (reply(200, TEXT.replace("<types>", '<import namespace="urn:x" location="http://127.0.0.9:1/x"/><types>').encode()),
         AddressForbidden),
    ],
    ids=["not there", "no WSDL", "no service", "import from elsewhere"],
)  # fmt: skip
async def test_what_cannot_be_compared_is_an_error_with_a_name(
    ours: Any, answer: bytes, error: type[PipeError]
) -> None:
    """And no change of the interface."""
    async with serving(RawServer({"*": says(answer)})) as server:
        client = soap(f"http://127.0.0.1:{server.port}/soap", ours)
        with pytest.raises(error):
            await client.interface()
        await client.close()
