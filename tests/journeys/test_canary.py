"""Secrets and personal values are planted; then every place where the gateway leaves anything is searched."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import html
import io
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from pipe.control import call
from pipe.store.full_text import FILE
from pipe.words import words_of
from tests.journeys.attacks import Kept, Partner, soon
from tests.journeys.gateway import Gateway

pytestmark = pytest.mark.journey

CALLER_KEY = "pipe_canary0caller0key0aaaaaaaaaaaaaaaaaaaaaaaa"
OTHER_KEY = "pipe_canary0other00key0bbbbbbbbbbbbbbbbbbbbbbbb"
SECRETS = {
    "CALLER_KEY": CALLER_KEY,
    "OTHER_KEY": OTHER_KEY,
    "CALLER_HMAC": "canary-caller-hmac-secret-41c7",
    "BEARER": "canary-bearer-token-93b1",
    "BASIC": "canary-basic-password-77aa",
    "API_KEY": "canary-api-key-5e0d",
    "HMAC": "canary-hmac-signing-secret-c2f9",
    "OAUTH": "canary-oauth-client-secret-18d4",
    "TOKEN": "canary-oauth-issued-token-e6b0",
    "URL_KEY": "canary-key-in-an-address-0b7f",
}
PEOPLE = {
    "name": "Канарейка Співуча «Перша»",
    "phone": "+380671112233",
    "secret": 'Кан"арей\\ка & <друга>',
    "passport": "КН770011",
    "citizen": "3300445566",
    "card": "4441 1144 5555 6666",
    "xml": 'О\'Канар & <Третя> "Ї"',
    "broken": "Канарейка що ламає крок",
    "climber": "Канарейка що лізе вгору",
    "tapped": "Канарейка з відводу",
    "first": "Канарейка перша з двох",
    "second": "Канарейка друга з двох",
    "appeal": "Канарейка зі звернення",
    "large": "Канарейка у великому тілі",
    "filed": "Канарейка у файлі",
    "asked": "Канарейка що питає",
    "unread": "Канарейка у нечитаному файлі",
}


DEAD = "SELECT DISTINCT m.id FROM message m JOIN delivery d ON d.message = m.seq WHERE d.state = 'dead'"


def spellings(value: str) -> set[bytes]:
    """The value in every form in which it could lie or be said somewhere."""
    ascii_json, plain_json = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
    texts = {
        value,
        ascii_json,
        plain_json,
        json.dumps(ascii_json)[1:-1],
        html.escape(value),
        html.escape(value, quote=False),
        "".join(sign if sign.isascii() else f"&#{ord(sign)};" for sign in html.escape(value, quote=False)),
        quote(value, safe=""),
        quote(value, safe="").lower(),
        repr(value)[1:-1],
        repr(value.encode())[2:-1],
        base64.b64encode(value.encode()).decode(),
        base64.b64encode(f"pipe:{value}".encode()).decode(),
        value.encode().hex(),
        " ".join(words_of(value)),
    }
    forms = {text.encode() for text in texts} | {value.encode(charset) for charset in ("utf-16-le", "utf-16-be")}
    return forms | {value.encode("windows-1251")} if not value.isascii() else forms


def found_in(where: str, content: bytes) -> Iterator[str]:
    """One line for every planted value that stands in the content."""
    for name, value in {**SECRETS, **PEOPLE}.items():
        for form in spellings(value):
            if (at := content.find(form)) >= 0:
                yield f"{name} in {where}: …{content[max(0, at - 60) : at + len(form) + 20]!r}…"


class Aviary:
    """A gateway full of canaries, the partners that echo them, and all that anybody was answered."""

    def __init__(self, folder: Path, partner: Partner) -> None:
        self.partner, self.folder = partner, folder / "inbox"
        self.folder.mkdir()
        config = folder / "config"
        config.mkdir()
        (config / "canary.yaml").write_bytes(Path(__file__).with_name("canary.yaml").read_bytes())
        (config / "basic.secret").write_text(SECRETS["BASIC"] + "\n")
        keys = (("caller", CALLER_KEY), ("other", OTHER_KEY))
        lines = "\n".join(f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" for name, key in keys)
        environment = {name: value for name, value in SECRETS.items() if name not in {"BASIC", "TOKEN", "URL_KEY"}}
        environment |= {"CALLERS": lines, "PARTNER": partner.address, "FOLDER": str(self.folder)}
        self.gateway = Gateway(folder / "data", config / "canary.yaml", environment)
        self.kept = Kept(self.gateway)
        self.heard: list[tuple[str, bytes]] = []
        """what the other caller and people without a key were answered"""

    async def send(self, path: str, body: bytes, key: str = CALLER_KEY, **headers: str) -> tuple[int, bytes]:
        """One request of the first caller."""
        async with aiohttp.ClientSession() as client:
            told = {
                "Authorization": f"Bearer {key}",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            }
            async with client.post(self.gateway.address + path, data=io.BytesIO(body), headers=told) as response:
                return response.status, await response.read()

    async def settled(self) -> None:
        """Returns when no delivery is under way any more."""
        until = time.monotonic() + 60
        while rows := self.kept.rows(
            "SELECT route, station, state, note FROM delivery WHERE done_at IS NULL AND state <> 'timer'"
        ):
            assert time.monotonic() < until, f"not done: {rows}"
            await asyncio.sleep(0.1)
        while self.indexed() < self.kept.rows("SELECT max(seq) FROM message")[0][0]:
            assert time.monotonic() < until, "not indexed"
            await asyncio.sleep(0.1)

    def indexed(self) -> int:
        """The last message whose words can be searched for."""
        file = self.gateway.data / FILE
        if not file.exists():
            return 0
        with contextlib.closing(sqlite3.connect(file)) as words:
            made = words.execute("SELECT 1 FROM sqlite_master WHERE name = 'body_position'").fetchone()
            return int(words.execute("SELECT at FROM body_position").fetchone()[0]) if made else 0

    def left(self) -> list[str]:
        """Every planted value that stands in what the gateway wrote or said."""
        found = list(found_in("its log", self.gateway.log.read_bytes()))
        for path in sorted(self.gateway.data.rglob("*")):
            if path.is_file():
                found += found_in(str(path.relative_to(self.gateway.data)), path.read_bytes())
        for what, said in self.heard:
            found += found_in(f"the answer to {what}", said)
        return found

    def saw(self, value: str) -> bool:
        """Whether a partner got the true value."""
        forms = spellings(value)
        return any(
            form in b"\n".join([address.encode(), *(v.encode() for v in headers.values()), body])
            for _, address, headers, body in self.partner.seen
            for form in forms
        )


async def _echo(request: web.Request, status: int) -> web.Response:
    """All that was sent, in the answer's body and its headers."""
    body = (await request.read()).decode()
    said = {
        "you said": body,
        "headers": dict(request.headers),
        "address": request.raw_path,
        "escaped": json.dumps(body),
    }
    return web.json_response(said, status=status, headers={"X-Echo": request.headers.get("Authorization", "-")})


def _fails(status: int = 400) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await _echo(request, status)

    return answer


def _first_fails() -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    seen: list[bytes] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        seen.append(body)
        return await _echo(request, 503 if seen.count(body) == 1 else 200)

    return answer


async def _half(request: web.Request) -> web.StreamResponse:
    return await _echo(request, 400 if PEOPLE["second"] in (await request.read()).decode() else 200)


async def _xml_echo(request: web.Request) -> web.StreamResponse:
    return web.Response(
        body=b"<error>" + html.escape((await request.read()).decode()).encode() + b"</error>",
        status=422,
        content_type="text/xml",
    )


async def _long_echo(request: web.Request) -> web.StreamResponse:
    """The value lies across the place where the kept part of a reply ends."""
    body = await request.read()
    name = json.loads(body)["name"].encode()
    return web.Response(body=b"x" * ((64 << 10) - len(name) // 2) + name, status=400, content_type="text/plain")


async def _token(request: web.Request) -> web.StreamResponse:
    return web.json_response({"access_token": SECRETS["TOKEN"], "token_type": "Bearer", "expires_in": 3600})


@pytest_asyncio.fixture
async def aviary(tmp_path: Path) -> AsyncIterator[Aviary]:
    """A running gateway and partners that say everything back."""
    partner = await Partner().start()
    for path in (
        "basic/fails",
        "key/fails",
        "hmac/fails",
        "oauth/fails",
        "bearer/fails",
        "notoken",
        f"bearer/{PEOPLE['citizen']}",
    ):
        partner.answers[f"/{path}"] = _fails()
    partner.answers |= {
        "/key/again": _first_fails(),
        "/key/half": _half,
        "/key/xml": _xml_echo,
        "/key/long": _long_echo,
        "/key/echo": _fails(200),
        "/token": _token,
    }
    aviary = Aviary(tmp_path, partner)
    await aviary.gateway.start()
    yield aviary
    await aviary.gateway.kill9()
    await partner.stop()


def nothing_left(aviary: Aviary, when: str) -> None:
    """Fails with a line for each planted value that lies or was said anywhere."""
    left = aviary.left()
    assert not left, "\n".join([f"{when}:", *left])


async def planted(aviary: Aviary) -> str:
    """Sends every planted value on every way; returns the id of the first message."""
    body = {"name": PEOPLE["name"], "phone": PEOPLE["phone"], "secret": PEOPLE["secret"]}
    address = f"/pipe/echoes/{PEOPLE['citizen']}?card={quote(PEOPLE['card'])}"
    headers = {"Idempotency_Key": PEOPLE["phone"], "X_Passport": quote(PEOPLE["passport"])}
    status, told = await aviary.send(address, json.dumps(body).encode(), **headers)
    assert status == 202, told
    again = await aviary.send(address, json.dumps({**body, "more": 1}).encode(), **headers)
    assert again[0] == 422, again
    large = {**body, "name": PEOPLE["large"], "padding": "п" * 300_000}
    assert (await aviary.send("/pipe/echoes/1?card=2", json.dumps(large).encode()))[0] == 202
    for path, value in (("breaks", "broken"), ("climbs", "climber"), ("taps", "tapped")):
        sent = {"name": PEOPLE[value], "phone": PEOPLE["phone"]}
        assert (await aviary.send(f"/pipe/{path}", json.dumps(sent, ensure_ascii=False).encode()))[0] == 202
    people = {"people": [{"name": PEOPLE["first"]}, {"name": PEOPLE["second"]}]}
    assert (await aviary.send("/pipe/people", json.dumps(people).encode()))[0] == 202
    appeal = {"applicant": {"name": PEOPLE["appeal"], "phone": PEOPLE["phone"]}, "text": "…"}
    assert (await aviary.send("/pipe/flows", json.dumps(appeal).encode()))[0] == 202
    xml = f"<Appeal><Name>{html.escape(PEOPLE['xml'])}</Name></Appeal>"
    assert (await aviary.send("/pipe/xml", xml.encode()))[0] == 202
    for how, status in (("fails", 502), ("long", 502), ("echo", 200), ("echo", 200)):
        asked = json.dumps({"how": how, "name": PEOPLE["asked"], "phone": PEOPLE["phone"]}).encode()
        assert (await aviary.send("/pipe/asks", asked, Idempotency_Key=f"{how} {PEOPLE['phone']}"))[0] == status
    (aviary.folder / "good.json").write_text(json.dumps({"name": PEOPLE["filed"]}))
    (aviary.folder / "bad.json").write_text(json.dumps({"name": PEOPLE["unread"]}) + "!")
    return str(json.loads(told)["id"])


async def overheard(aviary: Aviary, message: str) -> None:
    """Asks as somebody else, and in every place where the gateway tells of itself."""
    async with aiohttp.ClientSession() as client:
        for path, key in (
            (f"/pipe/messages/{message}", OTHER_KEY),
            (f"/pipe/messages/{message}", CALLER_KEY),
            ("/metrics", ""),
            ("/ready", ""),
            ("/live", ""),
        ):
            async with client.get(
                aviary.gateway.address + path, headers={"Authorization": f"Bearer {key}"}
            ) as response:
                aviary.heard.append((path, await response.read()))
    dead = [str(row[0]) for row in aviary.kept.rows(DEAD)]
    names = (
        "status", "connections", "routes", "search", "dead.list", "dead.rehearse", "events.list", "alerts.list",
        "bundle",
    )  # fmt: skip
    asked: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in names]
    asked += [("exchanges", {"bodies": True}), ("exchanges.news", {"after": 0, "ended": 0.0})]
    asked += [(name, {"id": one}) for one in (message, *dead) for name in ("explain", "messages.show")]
    asked += [("dead.show", {"id": one}) for one in dead]
    for operation, arguments in asked:
        said = await call(aviary.gateway.data, operation, arguments)
        aviary.heard.append((f"{operation} {arguments}", json.dumps(said, ensure_ascii=False, default=str).encode()))
    for key in ("wrong", SECRETS["BEARER"], ""):
        aviary.heard.append(("a wrong key", (await aviary.send("/pipe/breaks", b"{}", key))[1]))
    query = f"/pipe/breaks?api_key={SECRETS['URL_KEY']}"
    aviary.heard.append(("a key in the address", (await aviary.send(query, b"{}"))[1]))
    fails = json.dumps({"how": "fails", "name": "x", "phone": "y"}).encode()
    aviary.heard.append(("a partner that echoes our key", (await aviary.send("/pipe/asks", fails, OTHER_KEY))[1]))


async def test_no_planted_value_is_left_anywhere(aviary: Aviary) -> None:
    """Log, database, write-ahead log, blobs, metrics and answers hold none of them; partners got the true ones."""
    message = await planted(aviary)
    await soon(lambda: len(list((aviary.folder / "done").glob("*.json"))) == 2)
    nothing_left(aviary, "while they were under way")
    await aviary.settled()
    await overheard(aviary, message)
    missed = [
        name for name, value in PEOPLE.items() if name not in {"broken", "climber", "unread"} and not aviary.saw(value)
    ]
    assert missed == [], "a partner must get what was sent"
    nothing_left(aviary, "in the end")
    await aviary.gateway.restart()
    await aviary.settled()
    await aviary.gateway.stop()
    nothing_left(aviary, "after a crash and an orderly end")


async def test_a_gateway_that_cannot_start_tells_no_secret(aviary: Aviary) -> None:
    """What it says when its configuration is wrong holds no value of any reference."""
    await aviary.gateway.stop()
    text = aviary.gateway.config.read_text()
    aviary.gateway.config.write_text(text.replace("type: http_client", "type: http_client, colour: red"))
    with pytest.raises(AssertionError, match="it ended with 2"):
        await aviary.gateway.start()
    nothing_left(aviary, "in the end")
