"""What the HTTP client sends, and what it makes of what comes back."""

import asyncio
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.http_client import HttpConfig, HttpTarget
from adapters.http_replies import retry_after
from pipe.contract import Blob, Health
from pipe.errors import (
    BadHeader,
    Busy,
    MappingFailed,
    NotAuthorised,
    PeerBroke,
    PeerError,
    PeerFailed,
    Refused,
)
from pipe.testing import FakeServices
from tests.adapters.http_bench import client, outgoing, sent, target
from tests.adapters.raw_server import RawServer, Received, reply, says, serving


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    """A partner that answers 200 to everything."""
    async with serving(RawServer()) as running:
        yield running


# --- what is sent


async def test_a_post_carries_the_body_and_what_it_is(server: RawServer) -> None:
    """Body, content type, length and the delivery's id reach the partner."""
    await sent(server, body=b'{"a":1}', to=target(post="/orders"))
    request = server.requests[0]
    assert (request.method, request.target, request.body) == ("POST", "/orders", b'{"a":1}')
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == "7"
    assert request.headers["x-pipe-message-id"] == "d-1"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.key(
    "http_client.url",
    "to.http_client.get",
    "to.http_client.post",
    "to.http_client.put",
    "to.http_client.patch",
    "to.http_client.delete",
)
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
async def test_each_method_goes_to_the_path_below_the_url(server: RawServer, method: str) -> None:
    """Paths are appended to the path of `url`."""
    async with client(server, url=f"http://127.0.0.1:{server.port}/v2/") as partner:
        await partner.send(outgoing(to=target(**{method: "/orders/7"})))
    assert (server.requests[0].method, server.requests[0].target) == (method.upper(), "/v2/orders/7")


@pytest.mark.parametrize("method", ["get", "delete"])
async def test_get_and_delete_have_no_body(server: RawServer, method: str) -> None:
    """Servers treat a body there as an error or ignore it."""
    await sent(server, body=b"{}", to=target(**{method: "/x"}))
    assert server.requests[0].body == b""
    assert "content-length" not in server.requests[0].headers


async def test_an_empty_post_says_that_it_is_empty(server: RawServer) -> None:
    """Without `Content-Length: 0` some servers wait for a body."""
    await sent(server, body=b"")
    assert server.requests[0].headers["content-length"] == "0"


async def test_the_idempotency_key_is_sent(server: RawServer) -> None:
    """`idempotent_by` reaches the partner as `Idempotency-Key`."""
    await sent(server, key="order-7")
    assert server.requests[0].headers["idempotency-key"] == "order-7"


async def test_a_repetition_says_which_attempt_it_is(server: RawServer) -> None:
    """A partner that sees one id twice can tell the later request; the first says nothing, as most are the only one."""
    await sent(server)
    await sent(server, attempt=3)
    assert [request.headers.get("x-pipe-attempt") for request in server.requests] == [None, "3"]


@pytest.mark.key("to.http_client.query", "to.http_client.headers")
async def test_query_and_headers_are_filled_from_the_message(server: RawServer) -> None:
    """Expressions make the query, templates the headers; null leaves a name out, a list repeats it."""
    to = target(
        get="/find",
        query={"q": "params.text", "none": "params.absent", "tag": '`["a", "b"]`', "yes": "`true`"},
        headers={"X-Region": "${params.region}-1"},
    )
    await sent(server, to=to, params={"text": "їжак & co", "region": "kyiv"})
    assert server.requests[0].target == "/find?q=%D1%97%D0%B6%D0%B0%D0%BA%20%26%20co&tag=a&tag=b&yes=true"
    assert server.requests[0].headers["x-region"] == "kyiv-1"


async def test_a_header_of_the_target_replaces_ours(server: RawServer) -> None:
    """A header is never sent twice, whatever its case."""
    await sent(server, to=target(post="/", headers={"content-type": "application/vnd.x+json", "ACCEPT": "text/plain"}))
    head = server.requests[0].head.lower()
    assert (head.count(b"content-type:"), head.count(b"accept:")) == (1, 1)
    assert server.requests[0].headers["content-type"] == "application/vnd.x+json"


async def test_an_object_in_the_query_is_a_mapping_error(server: RawServer) -> None:
    """Nothing sensible can be sent, so nothing is."""
    with pytest.raises(MappingFailed, match="takes text or a number"):
        await sent(server, to=target(get="/", query={"q": "body"}), body={"a": 1})
    assert server.requests == []


async def test_a_large_body_is_streamed_with_its_length(server: RawServer, tmp_path: Path) -> None:
    """A Blob arrives whole, with Content-Length, not chunked."""
    path = tmp_path / "body"
    path.write_bytes(bytes(range(256)) * 8192)
    await sent(server, body=Blob(path, path.stat().st_size, ""))
    assert server.requests[0].body == path.read_bytes()
    assert server.requests[0].headers["content-length"] == "2097152"


# --- addresses made from data (I8)


@pytest.mark.parametrize(
    "value", ["../admin", "..", "a/../../b", "..\\x", "a\r\nX: 1", "a\nb", "a\0b", "\x7f", "", "."]
)
async def test_a_value_that_would_leave_its_segment_is_refused(server: RawServer, value: str) -> None:
    """Climbing, control characters and emptiness are refused before anything is sent."""
    with pytest.raises(BadHeader):
        await sent(server, to=target(delete="/people/${params.id}"), params={"id": value})
    assert server.connections == 0


async def test_two_values_together_cannot_climb_either(server: RawServer) -> None:
    """`${a}${b}` with two dots is `..` all the same."""
    with pytest.raises(BadHeader, match="climb"):
        await sent(server, to=target(get="/x/${params.a}${params.b}/y"), params={"a": ".", "b": "."})


async def test_a_slash_in_a_value_stays_in_its_segment(server: RawServer) -> None:
    """Data fills a segment and never makes one."""
    await sent(server, to=target(get="/people/${params.id}?v=1"), params={"id": "a/b?c#d%e"})
    assert server.requests[0].target == "/people/a%2Fb%3Fc%23d%25e?v=1"


async def test_letters_in_the_configured_path_are_encoded(server: RawServer) -> None:
    """What the integrator writes plainly is sent as HTTP wants it."""
    await sent(server, to=target(get="/заявки/a b"))
    assert server.requests[0].target == "/%D0%B7%D0%B0%D1%8F%D0%B2%D0%BA%D0%B8/a%20b"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=st.text(max_size=20))
async def test_any_value_is_refused_or_is_one_segment(server: RawServer, value: str) -> None:
    """Whatever data says, the partner sees exactly the segments of the configuration."""
    server.requests.clear()
    try:
        await sent(server, to=target(get="/a/${params.id}/b"), params={"id": value})
    except BadHeader:
        assert server.requests == []
    else:
        assert server.requests[0].target.count("/") == 3
        assert server.requests[0].target.isascii()


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\nb", "a\0b"])
@pytest.mark.parametrize("where", ["header", "key", "content type"])
async def test_a_line_break_never_becomes_a_header(server: RawServer, where: str, value: str) -> None:
    """CR, LF and NUL are refused wherever data reaches a header."""
    to = target(post="/", headers={"X-Name": "${params.name}"})
    more = {"key": value} if where == "key" else {"content_type": value} if where == "content type" else {}
    name = value if where == "header" else "fine"
    with pytest.raises(BadHeader, match="control character"):
        await sent(server, to=to, params={"name": name}, **more)
    assert server.connections == 0


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "Connection", "Proxy-Authorization", "a b", "a:b", ""]
)
def test_headers_that_frame_the_request_cannot_be_configured(name: str) -> None:
    """The gateway writes them; two of them would smuggle a request."""
    with pytest.raises(ValidationError):
        HttpTarget.model_validate({"get": "/", "headers": {name: "x"}})


@pytest.mark.parametrize("keys", [{}, {"get": "/", "post": "/"}])
def test_a_target_has_exactly_one_method(keys: dict[str, str]) -> None:
    """None and two are mistakes that lint names."""
    with pytest.raises(ValidationError, match="exactly one of"):
        HttpTarget.model_validate(keys)


@pytest.mark.parametrize(
    "url", ["ftp://x", "https://user:pw@x", "https://x?key=1", "https://x#a", "file:///etc/passwd", "gopher://x", "x"]
)
def test_an_address_with_credentials_or_another_scheme_is_refused(url: str) -> None:
    """Credentials belong under `auth`, a query under `query`; only HTTP is spoken here."""
    with pytest.raises(ValidationError) as caught:
        HttpConfig.model_validate({"type": "http_client", "url": url})
    assert "pw" not in str(caught.value.errors()[0]["msg"])


def test_what_may_be_repeated_follows_the_method() -> None:
    """GET, PUT and DELETE are idempotent by HTTP's own rules; POST and PATCH are not."""
    server = RawServer(port=1)

    async def natural() -> list[bool]:
        async with client(server) as partner:
            return [partner.natural(target(**{name: "/"})) for name in ("get", "put", "delete", "post", "patch")]

    assert asyncio.run(natural()) == [True, True, True, False, False]


# --- what comes back


async def test_a_json_reply_becomes_plain_values(server: RawServer) -> None:
    """Status, headers in lower_snake and the parsed body are there for expressions."""
    server.answers(
        reply(201, b'{"State":"ok","n":1.5}', Content_Type="application/json; charset=utf-8", X_Request_Id="7")
    )
    receipt = await sent(server)
    assert (receipt.status, receipt.body) == (201, {"State": "ok", "n": 1.5})
    assert receipt.headers["x_request_id"] == "7"


@pytest.mark.parametrize(
    ("content_type", "raw", "body"),
    [
        ("text/plain; charset=windows-1251", "добре".encode("cp1251"), "добре"),
        ("text/html", "так".encode(), "так"),
        ("application/xml", b"<a/>", b"<a/>"),
        ("text/xml; charset=utf-8", b"<a/>", b"<a/>"),
        ("application/octet-stream", b"\x00\xff", b"\x00\xff"),
        ("application/problem+json", b'{"a":[]}', {"a": []}),
        ("application/json", b"", None),
        ("application/json", b"OK", b"OK"),
        ("application/json", b'{"a":1,"a":2}', b'{"a":1,"a":2}'),
        ("application/json", b'{"a":NaN}', b'{"a":NaN}'),
        ("application/json", b"[" * 100000, b"[" * 100000),
        ("text/plain; charset=nonsense", b"x", b"x"),
        ("text/plain", b"\xff", b"\xff"),
    ],
)  # fmt: skip
async def test_a_reply_is_read_by_its_content_type(
    server: RawServer, content_type: str, raw: bytes, body: object
) -> None:
    """JSON strictly, text in its charset, everything else and everything doubtful stays bytes."""
    server.answers(reply(200, raw, Content_Type=content_type))
    assert (await sent(server)).body == body


async def test_a_repeated_header_is_joined(server: RawServer) -> None:
    """Nothing of the reply's headers is lost."""
    server.answers(b"HTTP/1.1 200 OK\r\nVary: a\r\nVary: b\r\nContent-Length: 0\r\n\r\n")
    assert (await sent(server)).headers["vary"] == "a, b"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (300, Refused), (301, Refused), (302, Refused), (304, Refused), (307, Refused),
        (400, Refused), (401, NotAuthorised), (403, NotAuthorised), (404, Refused), (407, NotAuthorised),
        (408, PeerFailed), (409, Refused),
        (410, Refused), (413, Refused), (422, Refused), (425, PeerFailed), (429, Busy), (499, Refused),
        (500, PeerBroke), (501, PeerFailed), (502, PeerFailed), (503, PeerFailed), (504, PeerFailed), (599, PeerFailed),
    ],
)  # fmt: skip
async def test_each_status_has_its_error_with_the_reply_in_it(
    server: RawServer, status: int, kind: type[PeerError]
) -> None:
    """The engine decides by the class; `success:` and its fellows can still look at the reply."""
    body = b"" if status == 304 else b'{"why":"so"}'
    server.answers(reply(status, body, Content_Type="application/json"))
    with pytest.raises(PeerError) as caught:
        await sent(server)
    assert type(caught.value) is kind
    assert (caught.value.reply.status, caught.value.reply.body) == (status, {"why": "so"} if body else None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(server: RawServer, status: int) -> None:
    """It is refused, naming the host that it leads to and not the path, which may hold a token."""
    server.answers(reply(status, b"", Location=f"http://127.0.0.1:{server.port}/elsewhere?token=secret"))
    with pytest.raises(Refused, match=f"redirects to 127.0.0.1:{server.port}") as caught:
        await sent(server)
    assert len(server.requests) == 1
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("text", "pause"), [("7", 7.0), ("-5", 0.0), ("86400", 3600.0), ("0", 0.0), ("9" * 400, 3600.0)]
)
async def test_the_partner_may_ask_for_a_pause_in_seconds(
    server: RawServer, status: int, text: str, pause: float
) -> None:
    """`Retry-After` in seconds, at least 0 and at most an hour."""
    server.answers(reply(status, b"", Retry_After=text))
    with pytest.raises(Busy) as caught:
        await sent(server)
    assert caught.value.retry_after == pause


async def test_the_partner_may_ask_for_a_pause_until_a_date(server: RawServer) -> None:
    """`Retry-After` as an HTTP date counts from the clock's now."""
    services = FakeServices()
    server.answers(reply(429, b"", Retry_After=formatdate(services.clock.now() + 90, usegmt=True)))
    async with client(server, services) as partner:
        with pytest.raises(Busy) as caught:
            await partner.send(outgoing())
    assert caught.value.retry_after == 90


@pytest.mark.parametrize("text", ["soon", "1.5", "", "Mon, 99 Foo 2026", "1e9", "\u0663"])
async def test_a_senseless_pause_is_ignored(server: RawServer, text: str) -> None:
    """429 stays Busy, without a pause of the partner's."""
    server.answers(reply(429, b"", Retry_After=text))
    with pytest.raises(Busy) as caught:
        await sent(server)
    assert caught.value.retry_after is None


@given(text=st.text(max_size=40), now=st.floats(0, 4e9))
def test_a_pause_is_none_or_between_zero_and_an_hour(text: str, now: float) -> None:
    """Whatever a partner writes there."""
    pause = retry_after(text, now)
    assert pause is None or 0 <= pause <= 3600


# --- the kept connection


async def test_a_connection_is_used_again(server: RawServer) -> None:
    """Ten messages in a row need one connection."""
    async with client(server) as partner:
        for _ in range(10):
            await partner.send(outgoing())
    assert server.connections == 1


async def test_a_connection_that_the_partner_left_is_not_used_again(server: RawServer) -> None:
    """Its farewell is seen before the next request leaves, even when the event loop has not read it yet."""
    server.answers(reply(200))
    async with client(server) as partner:
        await partner.send(outgoing())
        server.drop_idle()
        await partner.send(outgoing())
    assert [request.connection for request in server.requests] == [0, 1]


async def test_many_connections_that_the_partner_left_are_not_used_again(server: RawServer) -> None:
    """Messages that leave in one turn of the event loop share a look at the idle connections."""
    everyone = asyncio.Barrier(8)

    async def together(request: Received, writer: asyncio.StreamWriter) -> None:
        await everyone.wait()
        writer.write(reply(200))

    server.on("/together", together)
    async with client(server, concurrency=8) as partner:

        async def burst(count: int, path: str) -> None:
            await asyncio.gather(*(partner.send(outgoing(to=target(post=path))) for _ in range(count)))

        await burst(8, "/together")
        await burst(2, "/")
        server.drop_idle()
        await burst(8, "/together")
    used = [request.connection for request in server.requests]
    assert [set(used[:8]), set(used[10:])] == [{*range(8)}, {*range(8, 16)}]


async def test_a_connection_that_was_used_in_this_turn_of_the_loop_is_looked_at_again(server: RawServer) -> None:
    """What was seen before an exchange says nothing about the time after it."""
    server.answers(reply(200))
    async with client(server, concurrency=2) as partner:
        for _ in range(5):
            await asyncio.gather(partner.send(outgoing()), partner.send(outgoing()))
            server.drop_idle()
    assert (server.connections, len(server.requests)) == (10, 10)


async def test_the_partners_own_limit_of_keeping_is_heeded(server: RawServer) -> None:
    """`Keep-Alive: timeout=1` means: not worth the risk."""
    server.answers(reply(200, b"", Keep_Alive="timeout=1, max=100"))
    async with client(server) as partner:
        await partner.send(outgoing())
        await partner.send(outgoing())
    assert server.connections == 2


async def test_an_idle_connection_is_given_up(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 15 s (here less), before the partner does: nothing is left open for a partner that nobody asks."""
    monkeypatch.setattr("adapters.http_lines.KEEP_ALIVE", 0.05)
    async with client(server) as partner:
        await partner.send(outgoing())
        await server.left_alone()
    assert server.connections == 1


async def test_a_partner_that_closes_after_each_reply_is_served(server: RawServer) -> None:
    """`Connection: close` and a body without a length, up to the end of the connection."""
    server.on("*", says(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it", end=True))
    async with client(server) as partner:
        first, second = await partner.send(outgoing()), await partner.send(outgoing())
    assert (first.body, second.body) == ("all of it", "all of it")


async def test_interim_answers_are_passed_over(server: RawServer) -> None:
    """100 and 103 are not the answer."""
    server.answers(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + reply(201, b"x"))
    assert (await sent(server)).status == 201


@pytest.mark.key("connections.concurrency")
async def test_no_more_connections_than_the_concurrency_says(server: RawServer) -> None:
    """Twenty messages at once through two connections."""
    async with client(server, concurrency=2) as partner:
        await asyncio.gather(*(partner.send(outgoing()) for _ in range(20)))
    assert (server.connections, len(server.requests)) == (2, 20)


# --- health


@pytest.mark.key("http_client.probe", "probe.get")
async def test_check_asks_the_probe(server: RawServer) -> None:
    """Any answer below 500 is well."""
    server.on("/ping", says(reply(404)), says(reply(503)))
    async with client(server, probe={"get": "/ping"}) as partner:
        first, second = await partner.check(), await partner.check()
    assert first == Health("up")
    assert (second.state, "503" in second.reason) == ("down", True)
    assert [request.target for request in server.requests] == ["/ping", "/ping"]


async def test_check_without_a_probe_only_connects(server: RawServer) -> None:
    """The partner gets no request that nobody asked for."""
    async with client(server) as partner:
        assert await partner.check() == Health("up")
    assert server.requests == []


async def test_check_tells_why_a_partner_is_down() -> None:
    """It says so and never raises, also before open and after close."""
    async with serving(RawServer()) as server:
        pass
    async with client(server) as partner:
        health = await partner.check()
    assert (health.state, "does not take the connection" in health.reason) == ("down", True)
    assert (await partner.check()).state == "down"
