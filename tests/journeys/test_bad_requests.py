"""Requests that two servers would read differently, and data that would like to become a header or an address."""

from __future__ import annotations

import pytest

from tests.journeys.attacks import Siege, post, spoken

pytestmark = [
    pytest.mark.journey,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("others_are_served"),
]

BAD_HEADER = (422, "PIPE-3007", "caller.bad_header")
BAD_REQUEST = (400, "PIPE-5006", "caller.bad_request")

# --- I9: smuggling ------------------------------------------------------------------------------------------------

HIDDEN = b"POST /pipe/json HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 2\r\n\r\n{}"
"""what an attacker wants to be taken for the next caller's request"""
CHUNKED = "Transfer-Encoding: chunked"
EMPTY = b"0\r\n\r\n"


def smuggled(*fields: str, body: bytes = EMPTY) -> bytes:
    """A request with these fields; behind its body lies the hidden one."""
    return post("/pipe/json", body + HIDDEN, *fields, length=False)


def lines(text: bytes, body: bytes = b"") -> bytes:
    """A request line by line as written, the hidden one behind it."""
    return text + body + HIDDEN


SMUGGLED = [
    pytest.param(smuggled("Content-Length: 5", CHUNKED), id="length and chunks"),
    pytest.param(smuggled(CHUNKED, "Content-Length: 5"), id="chunks and length"),
    pytest.param(smuggled("Content-Length: 0", CHUNKED), id="length zero and chunks"),
    pytest.param(smuggled("Content-Length: 5", "Content-Length: 6", body=b"{}   "), id="two lengths"),
    pytest.param(smuggled("Content-Length: 5", "Content-Length: 5", body=b"{}   "), id="one length twice"),
    pytest.param(smuggled("Content-Length: 2, 2", body=b"{}"), id="two lengths in a field"),
    pytest.param(smuggled("Content-Length: +2", body=b"{}"), id="length with a plus"),
    pytest.param(smuggled("Content-Length: -2", body=b"{}"), id="negative length"),
    pytest.param(smuggled("Content-Length: 0x2", body=b"{}"), id="length in hex"),
    pytest.param(smuggled("Content-Length: 1_0", body=b"{}        "), id="length with an underscore"),
    pytest.param(smuggled("Content-Length: ٢", body=b"{}"), id="length in Arabic digits"),
    pytest.param(smuggled("Content-Length: 2.0", body=b"{}"), id="length with a point"),
    pytest.param(smuggled("Content-Length: ", body=b""), id="length left out"),
    pytest.param(smuggled(f"Content-Length: {1 << 64}", body=b"{}"), id="length beyond 64 bits"),
    pytest.param(smuggled(CHUNKED, CHUNKED), id="chunked twice"),
    pytest.param(smuggled("Transfer-Encoding: chunked, chunked"), id="chunked twice in a field"),
    pytest.param(smuggled("Transfer-Encoding: chunked, identity"), id="chunked is not the last"),
    pytest.param(smuggled("Transfer-Encoding: identity, chunked"), id="identity and chunked"),
    pytest.param(smuggled("Transfer-Encoding: gzip, chunked"), id="packed and chunked"),
    pytest.param(smuggled("Transfer-Encoding: identity"), id="identity"),
    pytest.param(smuggled("Transfer-Encoding: xchunked"), id="an encoding of that kind"),
    pytest.param(smuggled("Transfer-Encoding: chunked;q=1"), id="chunked with a parameter"),
    pytest.param(smuggled('Transfer-Encoding: "chunked"'), id="chunked in quotes"),
    pytest.param(smuggled("Transfer-Encoding: \x0bchunked"), id="a vertical tab"),
    pytest.param(smuggled("Transfer-Encoding: chunked\x00"), id="NUL behind chunked"),
    pytest.param(smuggled("Transfer-Encoding : chunked"), id="a space before the colon"),
    pytest.param(smuggled("Content-Length : 2", body=b"{}"), id="the same for the length"),
    pytest.param(smuggled(" Transfer-Encoding: chunked"), id="a first field that continues nothing"),
    pytest.param(smuggled("X: y", " Transfer-Encoding: chunked"), id="a field that goes on in the next line"),
    pytest.param(smuggled("X: y\r", "Content-Length: 2", body=b"{}"), id="two carriage returns"),
    pytest.param(smuggled("X: y\rContent-Length: 2", body=b"{}"), id="a bare carriage return"),
    pytest.param(smuggled("X: y\nContent-Length: 9", "Content-Length: 2", body=b"{}"), id="a bare line feed"),
    pytest.param(smuggled("X\x00: y", "Content-Length: 2", body=b"{}"), id="NUL in a name"),
    pytest.param(smuggled("X: a\x00b", "Content-Length: 2", body=b"{}"), id="NUL in a value"),
    pytest.param(smuggled("no colon", "Content-Length: 2", body=b"{}"), id="a line without a colon"),
    pytest.param(smuggled(": y", "Content-Length: 2", body=b"{}"), id="a field without a name"),
    pytest.param(smuggled("Host: other.test", "Content-Length: 2", body=b"{}"), id="two hosts"),
    pytest.param(smuggled(CHUNKED, body=b"2\n{}\n0\n\n"), id="chunks with bare line feeds"),
    pytest.param(smuggled(CHUNKED, body=b"0x2\r\n{}\r\n0\r\n\r\n"), id="chunk size with 0x"),
    pytest.param(smuggled(CHUNKED, body=b"-2\r\n{}\r\n0\r\n\r\n"), id="negative chunk size"),
    pytest.param(smuggled(CHUNKED, body=b"+2\r\n{}\r\n0\r\n\r\n"), id="chunk size with a plus"),
    pytest.param(smuggled(CHUNKED, body=b"2 \r\n{}\r\n0\r\n\r\n"), id="a space behind the chunk size"),
    pytest.param(smuggled(CHUNKED, body=b"10000000000000002\r\n{}\r\n0\r\n\r\n"), id="chunk size beyond 64 bits"),
    pytest.param(smuggled(CHUNKED, body=b"\r\n{}\r\n0\r\n\r\n"), id="chunk without a size"),
    pytest.param(smuggled(CHUNKED, body=b"2\r\n{}xx0\r\n\r\n"), id="chunk longer than it says"),
    pytest.param(smuggled(CHUNKED, body=b"2;a\nb\r\n{}\r\n0\r\n\r\n"), id="a line feed in a chunk's extension"),
    pytest.param(
        lines(b"POST /pipe/json HTTP/1.1\nHost: gateway.test\nContent-Length: 2\n\n", b"{}"), id="bare line feeds only"
    ),
    pytest.param(
        lines(b"POST /pipe/json HTTP/1.0\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n", EMPTY),
        id="chunks over HTTP/1.0",
    ),
    pytest.param(lines(b"POST /pipe/json HTTP/1.1\r\nContent-Length: 2\r\n\r\n", b"{}"), id="no host"),
    pytest.param(lines(b"POST /pipe/json\r\n\r\n"), id="HTTP/0.9"),
    pytest.param(lines(b"POST /pipe/json HTTP/2.0\r\nHost: gateway.test\r\n\r\n"), id="HTTP/2.0 in words"),
    pytest.param(lines(b"POST /pipe/json HTTP/1.1 x\r\nHost: gateway.test\r\n\r\n"), id="a fourth word"),
    pytest.param(lines(b"POST /pipe/json\tHTTP/1.1\r\nHost: gateway.test\r\n\r\n"), id="a tab in the request line"),
    pytest.param(lines(b"PO\x00ST /pipe/json HTTP/1.1\r\nHost: gateway.test\r\n\r\n"), id="NUL in the method"),
    pytest.param(lines(b"POST /pipe/json\x00 HTTP/1.1\r\nHost: gateway.test\r\n\r\n"), id="NUL in the address"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 without asking"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32), id="TLS on a plain port"),
]


@pytest.mark.parametrize("request_", SMUGGLED)
@pytest.mark.usefixtures("nothing_kept")
async def test_what_two_servers_would_read_differently_is_refused(siege: Siege, request_: bytes) -> None:
    """400 and a closed connection: what lies behind is never taken for a request of its own."""
    answers = await spoken(siege.gateway.address, request_, within=5, closing_too=True)
    assert [told.verdict for told in answers] == [BAD_REQUEST]


async def test_a_field_with_an_underscore_does_not_pose_as_another(siege: Siege) -> None:
    """`Content_Length` and `Transfer_Encoding` mean nothing, here and to what stands behind."""
    request = post("/pipe/json", b'{"a": 1}', "Transfer_Encoding: chunked", "Content_Length: 0")
    [told] = await spoken(siege.gateway.address, request)
    assert told.status == 202


async def test_requests_in_a_row_are_answered_in_their_order(siege: Siege) -> None:
    """Pipelining is no smuggling: each gets its own answer."""
    good, bad = post("/pipe/json", b'{"a": 1}'), post("/pipe/json", b'{"a": NaN}')
    last = post("/pipe/none", b"", "Connection: close")
    answers = await spoken(siege.gateway.address, good + bad + last, within=5, closing_too=True)
    assert [told.status for told in answers] == [202, 400, 404]


async def test_an_unread_body_is_not_the_next_request(siege: Siege) -> None:
    """What is refused before its body was read closes the connection."""
    before = siege.kept.messages(but="well")
    request = post("/pipe/none", HIDDEN) + HIDDEN
    answers = await spoken(siege.gateway.address, request, within=4, closing_too=True)
    assert [told.status for told in answers] in ([404], [404, 202])
    assert siege.kept.messages(but="well") - before == len(answers) - 1


# --- I8: data in headers and addresses ----------------------------------------------------------------------------

BREAKS = [
    pytest.param("a\\r\\nX-Admin: 1", id="line break"),
    pytest.param("a\\nX-Admin: 1", id="line feed"),
    pytest.param("a\\rX-Admin: 1", id="carriage return"),
    pytest.param("a\\u0000b", id="NUL"),
    pytest.param("a\\u000bb", id="vertical tab"),
    pytest.param("a\\u007fb", id="delete"),
    pytest.param("\\u001b[31m", id="escape"),
]


@pytest.mark.parametrize("value", BREAKS)
@pytest.mark.parametrize("path", ["/pipe/headers", "/pipe/sets"])
async def test_no_value_breaks_out_of_a_header(siege: Siege, path: str, value: str) -> None:
    """A control character in a mapped header is refused by name; the partner sees nothing."""
    seen = len(siege.partner.seen)
    told = await siege.ask(path, f'{{"note": "{value}"}}'.encode())
    assert told.verdict == BAD_HEADER
    assert [row for row in siege.partner.seen[seen:] if row[1] != "/well"] == []


@pytest.mark.parametrize("value", [*BREAKS, pytest.param("..", id="up"), pytest.param("a/../../b", id="up, inside")])
async def test_no_value_breaks_out_of_a_segment(siege: Siege, value: str) -> None:
    """Control characters and climbing are refused."""
    told = await siege.ask("/pipe/headers", f'{{"segment": "{value}"}}'.encode())
    assert told.verdict == BAD_HEADER


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("a/b", "/headers/a%2Fb"),
        ("a?b=c#d", "/headers/a%3Fb%3Dc%23d"),
        ("%2e%2e%2f", "/headers/%252e%252e%252f"),
        ("@evil.test", "/headers/%40evil.test"),
        ("//evil.test", "/headers/%2F%2Fevil.test"),
        ("\\\\\\\\evil", "/headers/%5C%5Cevil"),
        ("ї ", "/headers/%D1%97%20"),
        ("…/‥", "/headers/%E2%80%A6%2F%E2%80%A5"),
    ],
)
async def test_a_value_stays_within_its_segment(siege: Siege, value: str, sent: str) -> None:
    """Whatever means something in an address is encoded."""
    seen = len(siege.partner.seen)
    told = await siege.ask("/pipe/headers", f'{{"segment": "{value}"}}'.encode())
    assert told.status == 200
    assert [row[1] for row in siege.partner.seen[seen:] if row[1] != "/well"] == [sent]


@pytest.mark.parametrize("value", ["a\\r\\nX: 1", "a&b=c", "a#b", "a\\u0000"])
async def test_a_value_stays_within_its_query_parameter(siege: Siege, value: str) -> None:
    """A query takes any text, encoded: no sign of it ends the parameter or the request."""
    seen = len(siege.partner.seen)
    told = await siege.ask("/pipe/headers", f'{{"question": "{value}"}}'.encode())
    if told.verdict != BAD_HEADER:
        assert told.status == 200
        _, address, headers, _ = siege.partner.seen[seen]
        assert (address.count("&"), address.count("#"), "x" in headers) == (0, 0, False)


@pytest.mark.parametrize(
    "what", ["a%0d%0aX:1", "a%00", "..", "%2e%2e", "%2E%2e%2Fwell", "a%2F..%2Fb", "%5c..%5c", "%ff%fe"]
)
async def test_a_path_parameter_carries_nothing_into_the_next_address(siege: Siege, what: str) -> None:
    """What a caller writes into its own path is decoded once, and checked before it becomes part of another one."""
    seen = len(siege.partner.seen)
    told = await siege.ask(f"/pipe/asks/{what}", method="GET")
    assert told.status in {400, 404, 422}, told
    assert [row for row in siege.partner.seen[seen:] if row[1] != "/well"] == []


async def test_a_lone_surrogate_cannot_become_a_header(siege: Siege) -> None:
    """Bytes of a caller's own header that are not UTF-8 arrive as the Latin letters that they are."""
    request = (
        b"POST /pipe/sets HTTP/1.1\r\nHost: a\r\nX-Bytes: \xff\xfe\r\nContent-Length: 13\r\n\r\n" + b'{"note": "x"}'
    )
    [told] = await spoken(siege.gateway.address, request)
    assert told.status == 200
