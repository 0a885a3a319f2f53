"""WS-Security in both directions, held against zeep's own implementation (xmlsec) and against forgeries."""

from __future__ import annotations

import base64
import copy
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme
import xmlsec
from argon2 import PasswordHasher
from lxml import etree
from zeep.wsse import Signature, UsernameToken
from zeep.wsse.signature import BinarySignature
from zeep.wsse.signature import verify_envelope as zeep_verifies

from adapters.soap.names import DS, SECURITY, SOAP11, WSSE, WSU
from adapters.soap.security import Wsse, secured
from adapters.soap.signature import check_signature
from pipe.clock import SystemClock
from pipe.contract import Receipt
from pipe.errors import BadRequest, NoCredentials, NotAuthorised, PeerError, ReplyInvalid
from pipe.testing import FakeClock
from tests.adapters.soap_bench import APPEAL, Door, T, called, calling, envelope, outgoing, partner, serving
from tests.adapters.test_soap_server import REGISTER

REMIND = f'<t:Remind xmlns:t="{T}"><t:id>7</t:id></t:Remind>'
GOOD = {"number": 7, "state": "ok"}
TRANSFORM: Any = vars(xmlsec)["Transform"]
RSA, SHA = TRANSFORM.RSA_SHA256, TRANSFORM.SHA256
USERS = "# comment\nolena:s3cret\nold:{hash}\n"


class Papers:
    """Certificates and users of one test."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA(key_type=trustme.KeyType.RSA)
        for name in ("ours", "theirs"):
            issued = authority.issue_cert(f"{name}.example", key_type=trustme.KeyType.RSA)
            (folder / f"{name}.pem").write_bytes(issued.cert_chain_pems[0].bytes())
            (folder / f"{name}.key").write_bytes(issued.private_key_pem.bytes())
        hashed = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("old-secret")
        (folder / "users").write_text(USERS.format(hash=hashed), encoding="utf-8")
        self.folder = folder

    def path(self, name: str) -> str:
        """Of a file."""
        return str(self.folder / name)

    def signing(self, name: str = "ours", **more: Any) -> dict[str, Any]:
        """A client's `wsse:`."""
        return {"sign": {"cert": self.path(f"{name}.pem"), "key": self.path(f"{name}.key")}, "timestamp": "5m", **more}


@pytest.fixture
def papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Papers:
    """Fresh certificates."""
    monkeypatch.setenv("SECRET", "s3cret")
    monkeypatch.setenv("OLD", "old-secret")
    return Papers(tmp_path)


def users(papers: Papers, **more: Any) -> dict[str, Any]:
    """A server's `auth:`."""
    return {"auth": {"wsse": {"users": f"${{file:{papers.path('users')}}}", **more}}}


def certificates(papers: Papers, name: str = "ours") -> dict[str, Any]:
    """A server's `auth:` with certificates alone."""
    return {"auth": {"wsse": {"certificates": papers.path(f"{name}.pem")}}}


# --- names and passwords


@pytest.mark.key(
    "soap_client.auth.wsse", "soap_client.auth.wsse.username", "soap_client.auth.wsse.password",
    "soap_client.auth.wsse.digest", "soap_server.auth.wsse", "soap_server.auth.wsse.users",
)  # fmt: skip
@pytest.mark.parametrize("digest", [False, True])
async def test_a_name_and_password_are_taken_as_text_and_as_digest(papers: Papers, digest: bool) -> None:
    """The caller is the name."""
    door = Door("Register", GOOD)
    wsse = {"username": "olena", "password": "${env:SECRET}", "digest": digest, "timestamp": "5m"}
    async with serving(door, config=users(papers)) as served:
        await called(served.address, "Register", APPEAL, auth={"wsse": wsse})
    assert [arrival.caller for arrival in door.arrivals] == ["olena"]


async def test_a_password_kept_as_a_hash_is_taken_as_text_alone(papers: Papers) -> None:
    """A digest needs the password itself."""
    door = Door("Register", GOOD)
    text = {"username": "old", "password": "${env:OLD}"}
    async with serving(door, config=users(papers)) as served:
        await called(served.address, "Register", APPEAL, auth={"wsse": text})
        with pytest.raises(NotAuthorised):
            await called(served.address, "Register", APPEAL, auth={"wsse": {**text, "digest": True}})
    assert [arrival.caller for arrival in door.arrivals] == ["old"]


@pytest.mark.parametrize("digest", [False, True])
async def test_the_token_of_another_implementation_is_taken(papers: Papers, digest: bool) -> None:
    """The UsernameToken of zeep."""
    made = etree.fromstring(envelope(REMIND))
    made, _ = UsernameToken("olena", "s3cret", use_digest=digest).apply(made, {})
    door = Door("Remind")
    async with serving(door, config=users(papers)) as served:
        first = await served.post(etree.tostring(made))
        second = await served.post(etree.tostring(made))
    assert (first[0], second[0]) == (202, 500 if digest else 202)


async def test_a_nonce_and_a_signature_are_handed_to_the_door_as_what_may_come_once(papers: Papers) -> None:
    """So that they are known after a restart, whichever operation they are sent to."""
    text = {"username": "olena", "password": "${env:SECRET}"}
    digest = {**text, "digest": True}
    door = Door("Register", GOOD)
    async with serving(door, config=users(papers)) as served:
        for wsse in (text, digest, digest):
            await called(served.address, "Register", APPEAL, auth={"wsse": wsse})
        door.answer = NoCredentials("what may be used once was used before")
        with pytest.raises(NotAuthorised):
            await called(served.address, "Register", APPEAL, auth={"wsse": digest})
    async with serving(Door("Remind"), config=certificates(papers), clock=FakeClock()) as served:
        raw = etree.tostring(signed(papers))
        first, again = await served.post(raw), await served.post(raw)
    once = [arrival.once for arrival in door.arrivals[:3]]
    assert (once[0], len(set(once)), str(once[1]).startswith("nonce olena ")) == (None, 3, True)
    assert (first[0], again[0], b"FailedAuthentication" in again[2]) == (202, 500, True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("password", ["s3cret", "<![CDATA[s3cret]]>", "s3<!-- -->cret", "s3c&#114;et"])
async def test_what_came_is_kept_with_the_message_without_its_password(
    papers: Papers, encoding: str, password: str
) -> None:
    """The very bytes, else as much of the envelope as can be said without it."""
    door, sent = Door("Remind"), envelope(REMIND, header=token("olena", password))
    sent = sent.decode().replace("UTF-8", encoding).encode(encoding)
    async with serving(door, config=users(papers)) as served:
        status, _, _ = await served.post(sent, kind=f"text/xml; charset={encoding}")
    wire = door.arrivals[0].wire
    assert wire is not None
    assert (status, wire.size, b"s3c" in wire.data, etree.fromstring(wire.data).findtext(".//{*}id")) == (
        202, len(sent), False, "7",
    )  # fmt: skip
    if (encoding, password) == ("utf-8", "s3cret"):
        assert wire.data == sent.replace(b"s3cret", b"***")


def token(name: str, password: str, more: str = "", kind: str = "PasswordText") -> str:
    """A Security header written by hand."""
    profile = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"
    return (
        f'<w:Security xmlns:w="{WSSE}" xmlns:u="{WSU}" s:mustUnderstand="1">{more}<w:UsernameToken>'
        f'<w:Username>{name}</w:Username><w:Password Type="{profile}#{kind}">{password}</w:Password>'
        "</w:UsernameToken></w:Security>"
    )


STALE = "<u:Timestamp><u:Created>2026-01-15T09:00:00Z</u:Created></u:Timestamp>"
EARLY = "<u:Timestamp><u:Created>2026-01-15T10:05:00Z</u:Created></u:Timestamp>"
EXPIRED = "<u:Timestamp><u:Expires>2026-01-15T09:58:00Z</u:Expires></u:Timestamp>"
FRESH = "<u:Timestamp><u:Created>2026-01-15T09:59:00Z</u:Created></u:Timestamp>"


@pytest.mark.key("soap_server.auth.wsse.window")
@pytest.mark.parametrize(
    "header",
    [
        "",
        token("olena", "wrong"),
        token("nobody", "s3cret"),
        token("olena", ""),
        token("olena", "s3cret", kind="PasswordDigest"),
        token("olena", "s3cret", kind="Nonsense"),
        token("old", "$argon2id$v=19$m=64,t=1,p=1$x$y"),
        token("olena", "s3cret", STALE),
        token("olena", "s3cret", EARLY),
        token("olena", "s3cret", EXPIRED),
        token("olena", "s3cret", "<u:Timestamp><u:Created>yesterday</u:Created></u:Timestamp>"),
        f'<w:Security xmlns:w="{WSSE}"/>',
    ],
)
async def test_whatever_is_wrong_gets_the_same_fault(papers: Papers, header: str) -> None:
    """wsse:FailedAuthentication, nothing accepted, no word about what was wrong."""
    door = Door("Remind")
    async with serving(door, config=users(papers), clock=FakeClock()) as served:
        status, headers, raw = await served.post(envelope(REMIND, header=header))
        good = await served.post(envelope(REMIND, header=token("olena", "s3cret", FRESH)))
    root: Any = etree.fromstring(raw)
    assert (status, headers["X-Pipe-Error"], len(door.arrivals), good[0]) == (500, "caller.no_credentials", 1, 202)
    assert root.findtext(".//faultcode").partition(":")[2] == "FailedAuthentication"
    assert root.findtext(".//faultstring") == "the WS-Security header is missing or wrong"


async def test_a_way_of_http_and_wsse_may_stand_side_by_side(papers: Papers) -> None:
    """A list means any of them."""
    door = Door("Remind")
    http = {"basic": {"users": f"${{file:{papers.path('hashes')}}}"}}
    lines = [line for line in (papers.folder / "users").read_text().splitlines() if "$argon2" in line]
    (papers.folder / "hashes").write_text("\n".join(lines))
    async with serving(door, config={"auth": [http, users(papers)["auth"]]}) as served:
        pair = base64.b64encode(b"old:old-secret").decode()
        await served.post(envelope(REMIND), Authorization=f"Basic {pair}")
        await served.post(envelope(REMIND, header=token("olena", "s3cret")))
        status, _, _ = await served.post(envelope(REMIND))
    assert ([arrival.caller for arrival in door.arrivals], status) == (["old", "olena"], 500)


async def test_without_credentials_of_http_the_answer_is_401(papers: Papers) -> None:
    """A fault, with the challenge that HTTP clients wait for."""
    (papers.folder / "keys").write_text(f"name:{'0' * 64}\n")
    config = {"auth": {"api_keys": f"${{file:{papers.path('keys')}}}"}}
    async with serving(Door("Remind"), config=config) as served:
        status, headers, raw = await served.post(envelope(REMIND))
    assert (status, headers["WWW-Authenticate"], b"Fault" in raw) == (401, "Bearer", True)


# --- signatures


@pytest.mark.key(
    "soap_client.auth.wsse.sign", "soap_client.auth.wsse.sign.cert", "soap_client.auth.wsse.sign.key",
    "soap_client.auth.wsse.timestamp", "soap_server.auth.wsse.certificates",
)  # fmt: skip
async def test_our_signature_is_taken_by_us_and_by_another_implementation(papers: Papers) -> None:
    """What we send is verified by xmlsec, and our server names the certificate."""
    door = Door("Register", GOOD)
    async with serving(door, config=certificates(papers)) as served:
        await called(served.address, "Register", APPEAL, auth={"wsse": papers.signing()})
    assert door.arrivals[0].caller == "OU=" + (door.arrivals[0].caller or "").partition("OU=")[2]
    made = etree.fromstring(envelope(REMIND))
    secured(made, SOAP11, Wsse.model_validate(papers.signing()), SystemClock().now())
    zeep_verifies(etree.fromstring(etree.tostring(made)), papers.path("ours.pem"))


def locked(papers: Papers, name: str) -> None:
    """Gives a private key the passphrase `s3cret`."""
    from cryptography.hazmat.primitives import serialization as s

    file = papers.folder / f"{name}.key"
    key: Any = s.load_pem_private_key(file.read_bytes(), None)
    encryption = s.BestAvailableEncryption(b"s3cret")
    file.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, encryption))


@pytest.mark.key("soap_client.auth.wsse.sign.password")
async def test_the_passphrase_of_a_key_is_used(papers: Papers, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encrypted key."""
    locked(papers, "ours")
    config = papers.signing()
    with pytest.raises(NotAuthorised, match="cannot be used"):
        secured(etree.fromstring(envelope(REMIND)), SOAP11, Wsse.model_validate(config), 0)
    config["sign"]["password"] = "${env:SECRET}"
    secured(etree.fromstring(envelope(REMIND)), SOAP11, Wsse.model_validate(config), 0)


def signed(papers: Papers, kind: type = BinarySignature, body: str = REMIND, who: str = "ours") -> Any:
    """An envelope that zeep signed, with a Timestamp."""
    from zeep.wsse.utils import WSU as MAKER

    made = etree.fromstring(envelope(body))
    now = "2026-01-15T10:00:00Z"
    stamp = MAKER.Timestamp(MAKER.Created(now), MAKER.Expires("2026-01-15T10:05:00Z"))
    UsernameToken("olena", "s3cret", timestamp_token=stamp).apply(made, {})
    kind(papers.path(f"{who}.key"), papers.path(f"{who}.pem"), signature_method=RSA, digest_method=SHA).apply(made, {})
    return made


@pytest.mark.parametrize("kind", [BinarySignature, Signature])
async def test_a_signature_of_another_implementation_is_taken(papers: Papers, kind: type) -> None:
    """With the certificate as a token and as X509Data."""
    door = Door("Remind")
    async with serving(door, config=certificates(papers), clock=FakeClock()) as served:
        status, _, raw = await served.post(etree.tostring(signed(papers, kind)))
    assert (status, len(door.arrivals)) == (202, 1), raw


def changed(made: Any) -> None:
    """The Body says something else."""
    made.find(f".//{{{T}}}id").text = "8"


def wrapped(made: Any) -> None:
    """Signature wrapping: the signed Body moves aside, another stands in its place."""
    body = made.find("{*}Body")
    forged = copy.deepcopy(body)
    forged.find(f".//{{{T}}}id").text = "8"
    made.find("{*}Header").append(etree.Element("{urn:x}aside"))
    made.find("{*}Header")[-1].append(body)
    made.append(forged)


def wrapped_with_another_id(made: Any) -> None:
    """The same, and the forged Body has an Id of its own."""
    wrapped(made)
    made.find("{*}Body").set(f"{{{WSU}}}Id", "other")


def unsigned_body(made: Any) -> None:
    """The signature covers the Timestamp alone."""
    info = made.find(f".//{{{DS}}}SignedInfo")
    info.remove(info.find(f"{{{DS}}}Reference"))


def no_timestamp(made: Any) -> None:
    """It could be sent again for ever."""
    security = made.find(f".//{SECURITY}")
    security.remove(security.find(f"{{{WSU}}}Timestamp"))


def no_signature(made: Any) -> None:
    """Only the token."""
    security = made.find(f".//{SECURITY}")
    security.remove(security.find(f"{{{DS}}}Signature"))


def two_signatures(made: Any) -> None:
    """Which of them counts?"""
    security = made.find(f".//{SECURITY}")
    security.append(copy.deepcopy(security.find(f"{{{DS}}}Signature")))


@pytest.mark.parametrize(
    "forge",
    [changed, wrapped, wrapped_with_another_id, unsigned_body, no_timestamp, no_signature, two_signatures],
)
async def test_a_forged_message_is_refused(papers: Papers, forge: Any) -> None:
    """Nothing is accepted."""
    door = Door("Remind")
    made = signed(papers)
    forge(made)
    async with serving(door, config=certificates(papers), clock=FakeClock()) as served:
        status, headers, _ = await served.post(etree.tostring(made))
    assert (status, headers["X-Pipe-Error"], door.arrivals) == (500, "caller.no_credentials", [])


async def test_a_certificate_that_is_not_trusted_is_refused(papers: Papers) -> None:
    """Although it is good, and of the same authority."""
    door = Door("Remind")
    async with serving(door, config=certificates(papers, "theirs"), clock=FakeClock()) as served:
        status, _, _ = await served.post(etree.tostring(signed(papers)))
    assert (status, door.arrivals) == (500, [])


@pytest.mark.key(
    "soap_server.auth.wsse.sign", "soap_server.auth.wsse.sign.cert", "soap_server.auth.wsse.sign.key",
    "soap_server.auth.wsse.sign.password",
)  # fmt: skip
async def test_our_answers_are_signed_where_sign_says_so(papers: Papers) -> None:
    """Body and Timestamp, so that a caller can demand it; without it the same caller trusts no answer."""
    locked(papers, "theirs")
    sign = {"cert": papers.path("theirs.pem"), "key": papers.path("theirs.key"), "password": "${env:SECRET}"}
    wsse = {"username": "olena", "password": "${env:SECRET}", "verify": papers.path("theirs.pem")}
    async with serving(Door("Register", GOOD), config=users(papers, sign=sign)) as served:
        assert (await called(served.address, "Register", APPEAL, auth={"wsse": wsse})).body == GOOD
    async with serving(Door("Register", GOOD), config=users(papers)) as served:
        with pytest.raises(ReplyInvalid, match="no Security header"):
            await called(served.address, "Register", APPEAL, auth={"wsse": wsse})


@pytest.mark.parametrize(
    "answer",
    [Receipt(404, body=orjson.dumps({"text": "no such appeal"})), BadRequest("it is too old")],
    ids=["told by the route", "a refusal"],
)
async def test_our_faults_are_signed_for_callers_we_know(papers: Papers, answer: Any) -> None:
    """Whoever demands signed answers may believe a fault too; one whose password is wrong costs us no signature."""
    locked(papers, "theirs")
    sign = {"cert": papers.path("theirs.pem"), "key": papers.path("theirs.key"), "password": "${env:SECRET}"}
    clock = FakeClock()
    async with serving(Door("Register", answer), config=users(papers, sign=sign), clock=clock) as served:
        for password, known in (("s3cret", True), ("wrong", False)):
            _, _, raw = await served.post(envelope(REGISTER, header=token("olena", password, FRESH)))
            root: Any = etree.fromstring(raw)
            assert root.find(".//faultcode") is not None
            security = root.find(f".//{SECURITY}")
            assert (security is not None) is known
            if known:
                body = ("Body", root.find(SOAP11.tag("Body")))
                check_signature(security, [body], (papers.folder / "theirs.pem").read_bytes(), clock.now())


ANSWER = f'<t:RegisterResponse xmlns:t="{T}"><t:number>7</t:number><t:state>ok</t:state></t:RegisterResponse>'


@pytest.mark.key("soap_client.auth.wsse.verify")
async def test_an_answer_must_be_signed_where_verify_says_so(papers: Papers) -> None:
    """By the certificate that was named; else it is not trusted, and the call may have taken effect."""
    wsse = {"verify": papers.path("theirs.pem")}
    for made, kind in ((signed(papers, body=ANSWER, who="theirs"), None), (signed(papers, body=ANSWER), ReplyInvalid),
                       (etree.fromstring(envelope(ANSWER)), ReplyInvalid)):  # fmt: skip
        async with (
            partner(body=etree.tostring(made)) as there,
            calling(there.address, clock=FakeClock(), auth={"wsse": wsse}) as client,
        ):
            if kind is None:
                assert (await client.send(outgoing("Register", APPEAL))).body == GOOD
                continue
            with pytest.raises(PeerError) as caught:
                await client.send(outgoing("Register", APPEAL))
            assert type(caught.value) is kind
