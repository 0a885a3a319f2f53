"""Whatever is thrown at the gateway from outside: a clear answer, nothing kept, and everybody else served as before."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
import zlib

import orjson
import pytest
from aiohttp import web

from tests.journeys.attacks import MIB, Partner, Siege, forget_peak, memory, most_memory, post, soon, spoken

pytestmark = [
    pytest.mark.journey,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("others_are_served"),
]

UNDECODABLE = (400, "PIPE-3001", "caller.undecodable")
WRONG_TYPE = (415, "PIPE-3002", "caller.wrong_media_type")
TOO_LARGE = (413, "PIPE-3003", "caller.too_large")
BOMB = (413, "PIPE-3008", "caller.bomb")
TOO_DEEP = (400, "PIPE-3009", "caller.too_deep")


# --- I1: size -----------------------------------------------------------------------------------------------------

CHUNKED = "Transfer-Encoding: chunked"


def chunked(*chunks: bytes, end: bool = True) -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + (b"0\r\n\r\n" if end else b"")


@pytest.mark.usefixtures("nothing_kept")
async def test_one_byte_beyond_the_limit_is_refused(siege: Siege) -> None:
    """The limit binds to the byte, and the answer comes before the body."""
    told = await siege.ask("/pipe/json", b" " * (256 * 1024 + 1))
    assert told.verdict == TOO_LARGE


@pytest.mark.usefixtures("nothing_kept")
async def test_a_length_that_is_only_claimed_is_refused_without_the_body(siege: Siege) -> None:
    """A caller that announces ten gigabytes hears no at once."""
    request = post("/pipe/large", b"", f"Content-Length: {10 << 30}", length=False)
    [told] = await spoken(siege.gateway.address, request)
    assert told.verdict == TOO_LARGE


@pytest.mark.usefixtures("nothing_kept")
async def test_chunks_without_a_length_are_counted(siege: Siege) -> None:
    """A body of unknown length is refused as soon as it is one byte too large."""
    request = post("/pipe/json", b"", CHUNKED, length=False)
    [told] = await spoken(siege.gateway.address, request, chunked(b" " * 200_000, b" " * 62_145))
    assert told.verdict == TOO_LARGE


@pytest.mark.usefixtures("nothing_kept")
async def test_an_endless_stream_costs_no_memory(siege: Siege) -> None:
    """Chunks without end are cut at the limit; what was spooled is gone, and the process is as large as before."""
    before = memory(siege.pid)
    forget_peak(siege.pid)
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    pieces = (post("/pipe/large", b"", CHUNKED, length=False), *[chunk] * 3200)
    answers = await spoken(siege.gateway.address, *pieces, within=20)
    assert [told.verdict for told in answers] in ([TOO_LARGE], [])  # it may have hung up before the answer was read
    assert most_memory(siege.pid) - before < 24 * MIB


@pytest.mark.usefixtures("nothing_kept")
async def test_many_endless_streams_at_once_cost_little_memory(siege: Siege) -> None:
    """Forty streams that each stay below the limit are on disk, not in memory, and vanish when they break off."""
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    pieces = (post("/pipe/large", b"", CHUNKED, length=False), *[chunk] * 100)
    await _broken_off(siege.gateway.address, pieces)  # the first pays for what is made once
    await soon(lambda: not list((siege.gateway.data / "blobs").iterdir()))
    forget_peak(siege.pid)
    before = memory(siege.pid)
    async with asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(_broken_off(siege.gateway.address, pieces))
    assert most_memory(siege.pid) - before < 100 * MIB
    await soon(lambda: not list((siege.gateway.data / "blobs").iterdir()))


async def _broken_off(address: str, pieces: tuple[bytes, ...]) -> None:
    _, writer = await asyncio.open_connection(*address.removeprefix("http://").split(":"))
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    writer.transport.abort()


# --- I2: packed bodies --------------------------------------------------------------------------------------------

ZEROS = b" " * (9 * MIB)
RAW = zlib.compressobj(9, zlib.DEFLATED, -15)
GZIP, DEFLATE = "Content-Encoding: gzip", "Content-Encoding: deflate"
SMALL = b'{"a": 1}'

PACKED = [
    pytest.param(GZIP, gzip.compress(gzip.compress(SMALL)), UNDECODABLE, id="a bomb's second layer is not unpacked"),
    pytest.param("Content-Encoding: gzip, gzip", gzip.compress(gzip.compress(SMALL)), WRONG_TYPE, id="two layers told"),
    pytest.param(f"{GZIP}\r\n{GZIP}", gzip.compress(gzip.compress(SMALL)), WRONG_TYPE, id="two layers in two fields"),
    pytest.param("Content-Encoding: br", b"\x8b\x03\x80{}\x03", WRONG_TYPE, id="brotli"),
    pytest.param("Content-Encoding: zstd", b"\x28\xb5\x2f\xfd", WRONG_TYPE, id="zstd"),
    pytest.param("Content-Encoding: compress", b"\x1f\x9d", WRONG_TYPE, id="compress"),
    pytest.param("Content-Encoding: ../gzip", b"{}", WRONG_TYPE, id="no encoding at all"),
    pytest.param(GZIP, SMALL, UNDECODABLE, id="not gzip"),
    pytest.param(GZIP, gzip.compress(SMALL)[:-5], UNDECODABLE, id="gzip breaks off"),
    pytest.param(GZIP, gzip.compress(SMALL) + b"more", UNDECODABLE, id="something behind gzip"),
    pytest.param(GZIP, gzip.compress(SMALL)[:-8] + bytes(8), UNDECODABLE, id="wrong checksum"),
    pytest.param(DEFLATE, zlib.compress(SMALL) + b"more", UNDECODABLE, id="something behind deflate"),
    pytest.param(GZIP, b"", UNDECODABLE, id="nothing at all"),
]


@pytest.mark.parametrize(("encoding", "body", "verdict"), PACKED)
@pytest.mark.usefixtures("nothing_kept")
async def test_a_packed_body_cannot_grow_or_nest(siege: Siege, encoding: str, body: bytes, verdict: object) -> None:
    """One layer of gzip or deflate is unpacked, within the limit and within a hundred times what was sent."""
    forget_peak(siege.pid)
    before = memory(siege.pid)
    told = await siege.ask("/pipe/json", body, encoding)
    assert told.verdict == verdict
    assert most_memory(siege.pid) - before < 16 * MIB


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param(GZIP, gzip.compress(ZEROS), id="gzip"),
        pytest.param(GZIP, gzip.compress(ZEROS[:65536]) * 140, id="gzip in many members"),
        pytest.param(DEFLATE, zlib.compress(ZEROS), id="deflate"),
        pytest.param(DEFLATE, RAW.compress(ZEROS) + RAW.flush(), id="raw deflate"),
    ],
)
@pytest.mark.usefixtures("nothing_kept")
async def test_a_bomb_is_told_by_its_ratio(siege: Siege, encoding: str, body: bytes) -> None:
    """What would fit the limit of the route is refused all the same where it grows a hundredfold."""
    forget_peak(siege.pid)
    before = memory(siege.pid)
    told = await siege.ask("/pipe/large", body, encoding)
    assert told.verdict == BOMB
    assert most_memory(siege.pid) - before < 16 * MIB


@pytest.mark.usefixtures("nothing_kept")
async def test_a_packed_body_is_counted_unpacked(siege: Siege) -> None:
    """What is no bomb by its ratio is still too large by its size."""
    noise = b"".join(orjson.dumps({"n": n * 7919 % 100_003}) for n in range(60_000))
    told = await siege.ask("/pipe/json", gzip.compress(noise), GZIP)
    assert told.verdict == TOO_LARGE


REPLIES = [
    pytest.param({"Content-Encoding": "gzip"}, gzip.compress(ZEROS), "reply_too_large", id="gzip bomb"),
    pytest.param({"Content-Encoding": "deflate"}, zlib.compress(ZEROS), "reply_too_large", id="deflate bomb"),
    pytest.param({"Content-Encoding": "gzip, gzip"}, gzip.compress(gzip.compress(ZEROS)), "reply_invalid", id="nested"),
    pytest.param({"Content-Encoding": "br"}, b"\x8b\x03\x80{}\x03", "reply_invalid", id="brotli"),
    pytest.param({"Content-Encoding": "zstd"}, b"\x28\xb5\x2f\xfd", "reply_invalid", id="zstd"),
    pytest.param({"Content-Encoding": "gzip"}, b"not gzip", "reply_invalid", id="not gzip"),
    pytest.param({}, b"x" * (64 * 1024 + 1), "reply_too_large", id="limit and one byte"),
]


@pytest.mark.parametrize(("headers", "body", "error"), REPLIES)
async def test_a_partner_s_packed_reply_cannot_grow_either(
    siege: Siege, headers: dict[str, str], body: bytes, error: str
) -> None:
    """`max_reply` is counted unpacked, a GET is tried again, and the caller hears whose fault it is."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Type": "application/json", **headers})

    siege.partner.answers["/asks/packed"] = answer
    forget_peak(siege.pid)
    before = memory(siege.pid)
    told = await siege.ask("/pipe/asks/packed", method="GET")
    assert (told.status, told.headers.get("x-pipe-error")) == (502, f"target.{error}")
    assert most_memory(siege.pid) - before < 24 * MIB


# --- I3: XML ------------------------------------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
XML = [
    pytest.param(f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>&l9;</a>', UNDECODABLE, id="billion laughs"),
    pytest.param(f'<!DOCTYPE a [<!ENTITY x "{"x" * 50_000}">]><a>{"&x;" * 2000}</a>', UNDECODABLE, id="quadratic"),
    pytest.param('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', UNDECODABLE, id="file"),
    pytest.param('<!DOCTYPE a [<!ENTITY x SYSTEM "URL/x">]><a>&x;</a>', UNDECODABLE, id="address"),
    pytest.param('<!DOCTYPE a [<!ENTITY % x SYSTEM "URL/x.dtd"> %x;]><a/>', UNDECODABLE, id="parameter entity"),
    pytest.param('<!DOCTYPE a SYSTEM "URL/x.dtd"><a/>', UNDECODABLE, id="external DTD"),
    pytest.param('<!DOCTYPE a PUBLIC "-//X//Y" "URL/x.dtd"><a/>', UNDECODABLE, id="public DTD"),
    pytest.param("<!DOCTYPE a><a/>", UNDECODABLE, id="harmless DOCTYPE"),
    pytest.param("\n<!--c--><!DOCTYPE a><a/>", UNDECODABLE, id="DOCTYPE behind a comment"),
    pytest.param("<a>&undefined;</a>", UNDECODABLE, id="undefined entity"),
    pytest.param("<a>" * 65 + "</a>" * 65, TOO_DEEP, id="one level too deep"),
    pytest.param("<a>" * 100_000, TOO_DEEP, id="a hundred thousand levels"),
    pytest.param("<a b='1' b='2'/>", UNDECODABLE, id="an attribute twice"),
    pytest.param("<a><b></a></b>", UNDECODABLE, id="crossed tags"),
    pytest.param("<a>\x00</a>", UNDECODABLE, id="NUL"),
    pytest.param("<a>&#0;</a>", UNDECODABLE, id="NUL by its number"),
    pytest.param("<a>&#xD800;</a>", UNDECODABLE, id="lone surrogate"),
    pytest.param('<?xml version="1.0" encoding="utf-7"?><a>+ADw-</a>', UNDECODABLE, id="UTF-7"),
    pytest.param('<?xml version="1.0" encoding="no-such"?><a/>', UNDECODABLE, id="unknown charset"),
    pytest.param("", UNDECODABLE, id="nothing"),
]


@pytest.mark.parametrize(("text", "verdict"), XML)
@pytest.mark.usefixtures("nothing_kept")
async def test_xml_reaches_for_nothing_and_does_not_explode(siege: Siege, text: str, verdict: object) -> None:
    """Any DOCTYPE is refused, depth is bounded, and no address in the text is ever asked."""
    outside = await Partner().start()
    began = time.monotonic()
    told = await siege.ask("/pipe/xml", text.replace("URL", outside.address).encode())
    await outside.stop()
    assert (told.verdict, outside.seen) == (verdict, [])
    assert time.monotonic() - began < 15


@pytest.mark.usefixtures("nothing_kept")
async def test_a_doctype_in_utf_16_is_found_too(siege: Siege) -> None:
    """Another charset hides nothing."""
    told = await siege.ask("/pipe/xml", "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>".encode("utf-16"))
    assert told.verdict == UNDECODABLE


@pytest.mark.parametrize(
    "text",
    [
        '<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="URL/x"/></a>',
        '<?xml-stylesheet type="text/xsl" href="URL/x.xsl"?><a/>',
        '<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="URL/x.xsd"/>',
    ],
)
async def test_xml_that_points_elsewhere_is_only_data(siege: Siege, text: str) -> None:
    """XInclude, stylesheets and schema locations are carried on as data, never followed."""
    outside = await Partner().start()
    told = await siege.ask("/pipe/xml", text.replace("URL", outside.address).encode())
    await outside.stop()
    assert (told.status, outside.seen) == (202, [])


# --- I5: JSON -----------------------------------------------------------------------------------------------------

JSON = [
    pytest.param(b'{"a": NaN}', UNDECODABLE, id="NaN"),
    pytest.param(b'{"a": Infinity}', UNDECODABLE, id="Infinity"),
    pytest.param(b'{"a": -Infinity}', UNDECODABLE, id="-Infinity"),
    pytest.param(b'{"a": 1e999}', UNDECODABLE, id="a number beyond all measure"),
    pytest.param(b'{"a": 1, "a": 2}', UNDECODABLE, id="a key twice"),
    pytest.param(b'{"a": 1, "\\u0061": 2}', UNDECODABLE, id="a key twice, once escaped"),
    pytest.param(b'{"x": {"a": 1, "a": 2}}', UNDECODABLE, id="a key twice, inside"),
    pytest.param(b'{"a": "\\ud800"}', UNDECODABLE, id="lone high surrogate"),
    pytest.param(b'{"a": "\\udc00\\ud800"}', UNDECODABLE, id="surrogates the wrong way round"),
    pytest.param(b'{"\\udfff": 1}', UNDECODABLE, id="lone surrogate as a key"),
    pytest.param(b"[" * 65 + b"]" * 65, TOO_DEEP, id="one level too deep"),
    pytest.param(b"[" * 100_000, TOO_DEEP, id="a hundred thousand levels"),
    pytest.param(b'{"a":' * 40_000, TOO_DEEP, id="as many objects"),
    pytest.param(b'{"a": ' + b"9" * 5000 + b"}", UNDECODABLE, id="an integer of 5,000 digits"),
    pytest.param(b'{"a": 18446744073709551616}', UNDECODABLE, id="an integer beyond 64 bits"),
    pytest.param(b'\xef\xbb\xbf{"a": 1}', UNDECODABLE, id="byte order mark"),
    pytest.param(b'{"a": "\xff"}', UNDECODABLE, id="bad UTF-8"),
    pytest.param(b'{"a": "\xc0\xaf"}', UNDECODABLE, id="overlong UTF-8"),
    pytest.param(b'{"a": "\xed\xa0\x80"}', UNDECODABLE, id="surrogate in UTF-8"),
    pytest.param('{"a": "ї"}'.encode("utf-16"), UNDECODABLE, id="UTF-16"),
    pytest.param('{"a": "ї"}'.encode("utf-16-le"), UNDECODABLE, id="UTF-16 without a mark"),
    pytest.param('{"a": "ї"}'.encode("utf-32"), UNDECODABLE, id="UTF-32"),
    pytest.param('{"a": "ї"}'.encode("windows-1251"), UNDECODABLE, id="windows-1251"),
    pytest.param(b'{"a": "\x00"}', UNDECODABLE, id="NUL"),
    pytest.param(b'{"a": "\n"}', UNDECODABLE, id="a line break within a string"),
    pytest.param(b'{"a": 01}', UNDECODABLE, id="a leading zero"),
    pytest.param(b'{"a": +1}', UNDECODABLE, id="a plus"),
    pytest.param(b'{"a": .5}', UNDECODABLE, id="no digit before the point"),
    pytest.param(b'{"a": 0x10}', UNDECODABLE, id="hex"),
    pytest.param(b'{"a": 1,}', UNDECODABLE, id="a comma too many"),
    pytest.param(b"{'a': 1}", UNDECODABLE, id="single quotes"),
    pytest.param(b'{"a": 1} {"b": 2}', UNDECODABLE, id="two values"),
    pytest.param(b'{"a": 1', UNDECODABLE, id="breaks off"),
    pytest.param(b'{"a": 1} // c', UNDECODABLE, id="a comment"),
    pytest.param(b"", UNDECODABLE, id="nothing"),
]


@pytest.mark.parametrize(("body", "verdict"), JSON)
@pytest.mark.usefixtures("nothing_kept")
async def test_what_json_forbids_is_refused_with_its_place(siege: Siege, body: bytes, verdict: object) -> None:
    """What one parser takes and the next one reads otherwise goes no further than the door."""
    told = await siege.ask("/pipe/json", body)
    assert told.verdict == verdict
    problem = orjson.loads(told.body)
    assert "path" in problem or re.search(r"\d|empty", problem["detail"]), f"where is it? {problem}"


@pytest.mark.parametrize(
    ("body", "arrives"),
    [
        pytest.param(b'{"a": 18446744073709551615}', b'{"a":18446744073709551615}', id="a large integer"),
        pytest.param(b'{"a": 0.1000000000000000000001}', b'{"a":0.1000000000000000000001}', id="many digits"),
        pytest.param(b"[" * 64 + b"]" * 64, b"[" * 64 + b"]" * 64, id="as deep as it may be"),
        pytest.param(b'{"a": "\\ud83d\\ude00"}', '{"a":"😀"}'.encode(), id="a pair of surrogates"),
        pytest.param(b'{"__proto__": {"x": 1}}', b'{"__proto__":{"x":1}}', id="a name that means something elsewhere"),
    ],
)
async def test_what_json_allows_arrives_as_it_was_meant(siege: Siege, body: bytes, arrives: bytes) -> None:
    """Strict is not narrow: numbers keep every digit."""
    seen = len(siege.partner.seen)
    assert (await siege.ask("/pipe/json", body)).status == 202
    await soon(lambda: arrives in [row[3] for row in siege.partner.seen[seen:]])  # others may still be on their way


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b"[" * 900 + b"]" * 900,
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\xff"}',
    ],
    ids=["NaN", "infinite", "surrogate", "deep", "digits", "utf-8"],
)
async def test_a_partner_s_bad_json_breaks_nothing(siege: Siege, body: bytes) -> None:
    """What a partner calls JSON and is none goes on as the bytes that it is, or is refused as the partner's fault."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    siege.partner.answers["/asks/json"] = answer
    told = await siege.ask("/pipe/asks/json", method="GET")
    assert (told.status, told.body) == (200, body) or told.headers["x-pipe-error"].startswith("target."), told


@pytest.mark.parametrize("body", [b"\xff\xfe\xfa", b"\xc0\x80"])
@pytest.mark.usefixtures("nothing_kept")
async def test_text_that_is_not_its_charset_is_refused(siege: Siege, body: bytes) -> None:
    """No sign is replaced in silence."""
    told = await siege.ask("/pipe/text", body)
    assert told.verdict == UNDECODABLE
