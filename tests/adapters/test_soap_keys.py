"""What the keys do that the SOAP adapters share with HTTP: each reaches the wire."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from adapters.http_keys import issue
from adapters.soap.reading import service_of
from pipe.clock import SystemClock
from pipe.config.models import Listener, Tls
from pipe.errors import AddressForbidden, ConfigError, NoAnswer, PeerError, TlsFailed
from tests.adapters.soap_bench import APPEAL, Door, T, called, calling, envelope, outgoing, partner, serving, wsdl
from tests.adapters.test_soap_client import GOOD
from tests.adapters.test_soap_security import Papers

REMIND = envelope(f'<t:Remind xmlns:t="{T}"><t:id>7</t:id></t:Remind>')
SECRET = "s3cret-s3cret-s3cret-s3cret-s3cret"
TWO = (
    '<wsdl:service name="Other"><wsdl:port name="P" binding="tns:Appeals11">'
    '<soap:address location="http://127.0.0.1:2/other"/></wsdl:port></wsdl:service></wsdl:definitions>'
)


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `${env:SECRET}` stands for."""
    monkeypatch.setenv("SECRET", SECRET)


@pytest.mark.key("soap_client.auth", "soap_client.auth.bearer", "soap_client.auth.basic", "soap_client.auth.api_key")
@pytest.mark.key("soap_client.auth.hmac")
@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ("none", "Authorization", None),
        ({"bearer": "${env:SECRET}"}, "Authorization", f"Bearer {SECRET}"),
        ({"basic": {"username": "u", "password": "${env:SECRET}"}}, "Authorization",
         "Basic " + base64.b64encode(f"u:{SECRET}".encode()).decode()),
        ({"api_key": {"header": "X-Key", "value": "${env:SECRET}"}}, "X-Key", SECRET),
        ({"hmac": {"secret": "${env:SECRET}"}}, "webhook-id", "d-1"),
    ],
)  # fmt: skip
async def test_our_credentials_reach_the_partner(auth: Any, header: str, value: str | None) -> None:
    """As they do over HTTP."""
    async with partner(body=GOOD) as there:
        await called(there.address, "Register", APPEAL, auth=auth)
    assert there.requests[0][0].get(header) == value


@pytest.mark.key("soap_client.auth.oauth2")
async def test_a_token_is_fetched_and_fetched_again_after_a_401() -> None:
    """One repetition, with a new token."""
    async with partner(body=b'{"access_token": "t-1"}', kind="application/json") as tokens:
        oauth2 = {"token_url": tokens.address, "client_id": "c", "client_secret": "${env:SECRET}"}
        async with partner(status=401) as there, calling(there.address, auth={"oauth2": oauth2}) as client:
            with pytest.raises(PeerError):
                await client.send(outgoing("Register", APPEAL))
    assert [headers["Authorization"] for headers, _ in there.requests] == ["Bearer t-1"] * 2
    assert len(tokens.requests) == 2


@pytest.mark.key("soap_client.tls", "soap_client.auth.mtls")
async def test_tls_checks_the_partner_and_shows_our_certificate(tmp_path: Path) -> None:
    """Without `tls: ca` the partner is not trusted; without `mtls` it does not let us in."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = authority.issue_cert("us.example")
    own.cert_chain_pems[0].write_to_path(tmp_path / "own.pem")
    own.private_key_pem.write_to_path(tmp_path / "own.key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    trusted = {"ca": str(tmp_path / "ca.pem")}
    papers = {"mtls": {"cert": str(tmp_path / "own.pem"), "key": str(tmp_path / "own.key")}}
    async with partner(body=GOOD, tls=context) as there:
        receipt = await called(there.address, "Register", APPEAL, tls=trusted, auth=papers)
        with pytest.raises(TlsFailed):
            await called(there.address, "Register", APPEAL)
        with pytest.raises((TlsFailed, NoAnswer)):  # TLS 1.3 tells a client only after its request
            await called(there.address, "Register", APPEAL, tls=trusted)
    assert receipt.status == 200


@pytest.mark.key("soap_client.proxy")
async def test_a_proxy_is_asked_with_the_whole_address() -> None:
    """The partner's name is resolved by the proxy."""
    async with partner(body=GOOD) as proxy:
        keys: dict[str, Any] = {"proxy": {"url": proxy.address.removesuffix("/soap")}}
        receipt = await called("http://registry.example/soap", "Register", APPEAL, **keys)
    assert (receipt.status, proxy.requests[0][0]["Host"]) == (200, "registry.example")


@pytest.mark.key("soap_client.allow")
async def test_a_name_may_lead_to_a_private_network_only_where_allow_says_so() -> None:
    """The one of `localhost`, for example."""
    async with partner(body=GOOD) as there:
        address = there.address.replace("127.0.0.1", "localhost")
        with pytest.raises(AddressForbidden):
            await called(address, "Register", APPEAL)
        receipt = await called(address, "Register", APPEAL, allow={"networks": ["127.0.0.0/8", "::1/128"]})
    assert receipt.status == 200


@pytest.mark.key("soap_client.service", "soap_server.service", "soap_server.port")
async def test_a_service_and_a_port_are_chosen(tmp_path: Path) -> None:
    """A WSDL with several services must be told which; a port not chosen is not served."""
    text = (Path(__file__).parent / "wsdl" / "appeals.wsdl").read_text(encoding="utf-8")
    (tmp_path / "two.wsdl").write_text(text.replace("</wsdl:definitions>", TWO), encoding="utf-8")
    for name in ("common.xsd", "names.xsd"):
        (tmp_path / name).write_bytes((Path(__file__).parent / "wsdl" / name).read_bytes())
    two = wsdl("two.wsdl", tmp_path)
    with pytest.raises(ValueError, match="say `service:`"):
        service_of(two, None, None)
    assert two.address("Other", None) == "http://127.0.0.1:2/other"
    with pytest.raises(ConfigError, match="several services"):
        await called("http://127.0.0.1:1/x", "Register", APPEAL, wsdl=two)
    door = Door("Remind")
    async with serving(door, config={"wsdl": two, "service": "AppealsService", "port": "Port11"}) as served:
        await called(served.address, "Remind", {"id": "1"}, wsdl=two, service="AppealsService")
        status, _, raw = await served.post(
            REMIND.replace(b"http://schemas.xmlsoap.org/soap/envelope/", b"http://www.w3.org/2003/05/soap-envelope"),
            "application/soap+xml",
        )
    assert (len(door.arrivals), status, b"VersionMismatch" in raw) == (1, 500, True)


# --- who calls us


@pytest.mark.key("soap_server.auth.api_keys", "soap_server.auth.basic", "soap_server.auth.hmac", "soap_server.auth.jwt")
async def test_callers_prove_who_they_are_as_over_http(tmp_path: Path) -> None:
    """A key, a password, a signature, a token; everybody else gets 401."""
    papers, (key, line) = Papers(tmp_path), issue("by-key")
    (tmp_path / "keys").write_text(f"{line}\n", encoding="utf-8")
    hashed = next(each for each in (tmp_path / "users").read_text().splitlines() if "$argon2" in each)
    (tmp_path / "hashes").write_text(hashed, encoding="utf-8")
    rsa = RSAKey.generate_key(2048, {"kid": "k", "use": "sig", "alg": "RS256"})
    (tmp_path / "jwks").write_text(json.dumps(KeySet([rsa]).as_dict(private=False)), encoding="utf-8")
    now = SystemClock().now()
    claims = {"iss": "https://issuer.example", "aud": "pipe", "sub": "by-token", "exp": int(now) + 300, "iat": int(now)}
    token = jwt.encode({"alg": "RS256", "kid": "k"}, claims, rsa, algorithms=["RS256"])
    mac = hmac.new(SECRET.encode(), f"m-1.{int(now)}.".encode() + REMIND, hashlib.sha256).digest()
    signature = {
        "webhook-id": "m-1", "webhook-timestamp": str(int(now)),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }  # fmt: skip
    ways = {
        "by-key": ({"api_keys": f"${{file:{tmp_path}/keys}}"}, {"X-Api-Key": key}),
        "old": ({"basic": {"users": f"${{file:{papers.path('hashes')}}}"}},
                {"Authorization": "Basic " + base64.b64encode(b"old:old-secret").decode()}),
        "signer": ({"hmac": {"secret": "${env:SECRET}", "caller": "signer"}}, signature),
        "by-token": ({"jwt": {"keys": f"${{file:{tmp_path}/jwks}}", "issuer": claims["iss"], "audience": "pipe"}},
                     {"Authorization": f"Bearer {token}"}),
    }  # fmt: skip
    for name, (auth, headers) in ways.items():
        door = Door("Remind")
        async with serving(door, config={"auth": auth}) as served:
            good, _, _ = await served.post(REMIND, **headers)
            bad, _, _ = await served.post(REMIND)
        assert (good, bad, [arrival.caller for arrival in door.arrivals]) == (202, 401, [name]), name


@pytest.mark.key("soap_server.auth.mtls", "soap_server.listener")
async def test_a_certificate_of_the_listener_names_the_caller(tmp_path: Path) -> None:
    """The connection is served on the listener that it names, and on no other."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = authority.issue_cert("127.0.0.1")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    tls = Tls(cert=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem"), client_ca=str(tmp_path / "ca.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    authority.issue_cert("kyiv.example").configure_cert(context)
    door = Door("Remind")
    config = {"auth": {"mtls": {"names": ["kyiv.example"]}}, "listener": "partners"}
    listener = Listener(address="127.0.0.1:0", tls=tls)
    async with serving(door, config=config, listener=listener, other="partners") as served:
        headers = {"Content-Type": "text/xml"}
        async with served.client.post(served.address, data=REMIND, headers=headers, ssl=context) as answer:
            assert answer.status == 202
        host, port = served.services.listeners.addresses()["first"]
        async with served.client.post(f"http://{host}:{port}/soap/legacy", data=REMIND, headers=headers) as answer:
            assert answer.status == 404
    assert [arrival.caller for arrival in door.arrivals] == ["kyiv.example"]


@pytest.mark.key("soap_server.rate")
async def test_a_caller_that_sends_too_much_gets_a_fault() -> None:
    """A Server fault with Retry-After."""
    async with serving(Door("Remind"), config={"rate": "1/m"}) as served:
        first, second = await served.post(REMIND), await served.post(REMIND)
    assert (first[0], second[0], second[1]["X-Pipe-Error"]) == (202, 500, "caller.rate_limited")
    assert int(second[1]["Retry-After"]) > 30
