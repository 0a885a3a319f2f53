"""`pipe doctor` at a SOAP partner and at what we serve ourselves: each rung that can break; nothing is called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme

from adapters.soap.client import SoapClient, SoapTarget
from adapters.soap.server import SoapServer, SoapServerConfig, SoapSubscription
from pipe.contract import Examinable, Rung
from pipe.testing import FakeServices
from tests.adapters.soap_bench import client_config, partner, wsdl

WAY = [("name", "ok"), ("tcp", "ok")]
REGISTER = [SoapTarget.model_validate({"call": "Register"})]


async def examined(address: str, uses: Sequence[Any] = (), **keys: Any) -> list[Rung]:
    """The rungs of a partner."""
    made = SoapClient("registry", client_config(address, **keys), FakeServices())
    assert isinstance(made, Examinable)
    return checked([rung async for rung in made.examine(uses)])


async def served(uses: Sequence[Any], **keys: Any) -> list[Rung]:
    """The rungs of what we serve."""
    config = SoapServerConfig.model_validate({"wsdl": wsdl("appeals.wsdl"), "auth": "none", **keys})
    made = SoapServer("legacy", config, FakeServices())
    return checked([rung async for rung in made.examine(uses)])


def checked(found: list[Rung]) -> list[Rung]:
    """What holds of every examination: a cure for every mistake, and nothing after a failure."""
    assert [rung for rung in found if rung.state != "ok" and not rung.hint] == []
    assert "fail" not in [rung.state for rung in found[:-1]], found
    return found


def states(found: list[Rung]) -> list[tuple[str, str]]:
    """Names and states."""
    return [(rung.name, rung.state) for rung in found]


@pytest.fixture
def papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate with its key, and a password."""
    issued = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("ours.example", key_type=trustme.KeyType.RSA)
    (tmp_path / "ours.pem").write_bytes(issued.cert_chain_pems[0].bytes())
    (tmp_path / "ours.key").write_bytes(issued.private_key_pem.bytes())
    (tmp_path / "users").write_text("olena:s3cret\n", encoding="utf-8")
    monkeypatch.setenv("SECRET", "s3cret")
    return tmp_path


async def test_all_rungs_of_a_partner_are_climbed_and_nothing_is_called() -> None:
    """The way, the WSDL, each operation of the routes."""
    async with partner() as there:
        uses = [*REGISTER, SoapTarget.model_validate({"call": "Remind"})]
        found = await examined(there.address, uses)
    assert states(found) == [*WAY, ("wsdl", "ok"), ("operation", "ok"), ("operation", "ok"), ("credentials", "ok")]
    assert "AppealsService" in found[2].text
    assert (found[3].text, found[4].text) == ("Register in SOAP 1.1, answered", "Remind in SOAP 1.1, one-way")
    assert there.requests == []


async def test_credentials_are_read_and_said_to_be_untried(papers: Path) -> None:
    """The days of our certificate; the password is in no rung."""
    sign = {"cert": str(papers / "ours.pem"), "key": str(papers / "ours.key")}
    wsse = {"username": "pipe", "password": "${env:SECRET}", "sign": sign, "verify": str(papers / "ours.pem")}
    async with partner() as there:
        found = await examined(there.address, REGISTER, auth={"wsse": wsse})
    assert states(found)[4:] == [("our signature", "ok"), ("the partner's signature", "ok"), ("credentials", "warn")]
    assert "ours.example" in found[4].text
    assert "s3cret" not in str(found)
    assert there.requests == []


async def test_the_first_rung_that_fails_is_the_last(papers: Path) -> None:
    """A port where nobody listens, an operation that is not there, a header block that is not declared, a key gone."""
    sign = {"cert": str(papers / "ours.pem"), "key": str(papers / "gone.key")}
    header = [SoapTarget.model_validate({"call": "Register", "header": {"userId": "message.caller"}})]
    async with partner() as there:
        nothing = await examined(there.address, [SoapTarget.model_validate({"call": "Registr"})])
        block = await examined(there.address, header)
        key = await examined(there.address, REGISTER, auth={"wsse": {"sign": sign}})
        secret = await examined(there.address, auth={"bearer": "${env:NOT_THERE}"})
    closed = await examined(there.address, REGISTER)
    assert (states(closed)[-1], states(nothing)[-1]) == (("tcp", "fail"), ("operation", "fail"))
    assert "Did you mean `Register`?" in nothing[-1].text
    assert "no header block `userId` for Register; it declares session" in block[-1].text
    assert (states(key)[-1], "gone.key" in key[-1].text) == (("credentials", "fail"), True)
    assert (states(secret)[-1], "NOT_THERE" in secret[-1].text) == (("credentials", "fail"), True)


async def test_a_wsdl_that_cannot_be_used_is_told() -> None:
    """A port that it does not have."""
    async with partner() as there:
        found = await examined(there.address, REGISTER, port="Nothing")
    assert (states(found)[-1], "Nothing" in found[-1].text) == (("wsdl", "fail"), True)


async def test_what_we_serve_is_looked_at(papers: Path) -> None:
    """Listener, WSDL, operations without a route, callers."""
    uses = [SoapSubscription(operation=name) for name in ("Register", "Find", "Remind")]
    wsse = {"users": f"${{file:{papers / 'users'}}}", "certificates": str(papers / "ours.pem")}
    whole = await served(uses, auth={"wsse": wsse})
    part = await served(uses[:1])
    wrong = await served([SoapSubscription(operation="Nothing")])
    gone = await served(uses, auth={"wsse": {"certificates": str(papers / "gone.pem")}})
    assert states(whole) == [
        ("listener", "ok"), ("wsdl", "ok"), ("operations", "ok"), ("callers", "ok"), ("callers' certificates", "ok"),
    ]  # fmt: skip
    assert "olena" in whole[3].text
    assert "s3cret" not in str(whole)
    assert (states(part)[2], "Find, Remind" in part[2].text) == (("operations", "warn"), True)
    assert (states(wrong)[-1], states(gone)[-1]) == (("operations", "fail"), ("callers", "fail"))
