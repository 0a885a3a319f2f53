"""The phone as a page: whoever runs the stand-ins plays the citizen there, and sees what the bot writes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from partners.telegram.bot import Bot, Refusal
from partners.telegram.chats import Person
from partners.telegram.words import WORDS

HERE = Path(__file__).resolve().parent
FILES = {"phone.css": "text/css", "phone.js": "text/javascript"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


class Phone:
    """Serves the page of one bot's people."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._pages = Environment(
            loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._pages.filters["hour"] = lambda at: time.strftime("%H:%M", time.localtime(at))

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """What it serves."""
        return [
            web.get("/", self._home),
            web.get("/phone", self._show),
            web.get("/phone/chat", self._chat),
            web.get("/phone/{file:[a-z.]+}", self._file),
            web.post("/phone/{act:[a-z]+}", self._act),
            web.get("/t.me/{username}", self._link),
        ]

    async def _home(self, _: web.Request) -> web.Response:
        raise web.HTTPSeeOther("/phone")

    async def _link(self, request: web.Request) -> web.Response:
        """Where a link to the bot leads: the chat, with START to be pressed."""
        if request.match_info["username"] != self._bot.username:
            raise web.HTTPNotFound
        raise web.HTTPSeeOther(f"/phone?{urlencode({'start': request.query.get('start', ''), 'link': '1'})}")

    async def _show(self, request: web.Request) -> web.Response:
        return self._answer("phone.html", self._scene(request))

    async def _chat(self, request: web.Request) -> web.Response:
        """The chat alone, where it has changed; for the page's script."""
        scene = self._scene(request)
        if request.query.get("version") == str(scene["person"].version):
            return web.Response(status=204)
        return self._answer("chat.html", scene)

    def _scene(self, request: web.Request) -> dict[str, Any]:
        language = request.query.get("lang") or request.cookies.get("lang") or "uk"
        language = language if language in WORDS else "uk"
        person = self._person(request.query.get("who"))
        start = request.query.get("start", "")
        offered = bool(request.query.get("link")) or not person.started
        return {
            "t": WORDS[language], "language": language, "person": person, "bot": self._bot, "start": start,
            "offered": offered, "people": list(self._bot.chats.people.values()), "problem": request.query.get("no", ""),
        }  # fmt: skip

    def _person(self, who: str | None) -> Person:
        people = self._bot.chats.people
        number = int(who) if who and who.isdigit() else next(iter(people))
        if number not in people:
            raise web.HTTPNotFound
        return people[number]

    async def _act(self, request: web.Request) -> web.Response:
        """One thing that the person does, then the page again."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"http://{request.host}":
            raise web.HTTPForbidden(reason="not from this page")
        problem, who = "", form.get("who", "")
        try:
            person = self._person(who)
            match request.match_info["act"]:
                case "send" if form.get("text", "").strip():
                    self._bot.write(person, form["text"].strip()[:4096])
                case "start":
                    self._bot.start(person, form.get("start", "")[:64])
                case "press":
                    self._bot.press(person, int(form["message"]), form["data"])
                case "contact":
                    self._bot.contact(person)
                case "block":
                    self._bot.block(person)
                case "admit":
                    self._bot.admit(person)
                case "person" if form.get("name", "").strip():
                    who = str(self._bot.chats.add(form["name"].strip()[:60], form.get("phone", "").strip()[:20]).id)
        except Refusal as refusal:
            problem = refusal.text
        page = web.Response(status=303)
        page.headers["Location"] = f"/phone?{urlencode({'who': who} | ({'no': problem} if problem else {}))}"
        return page

    async def _file(self, request: web.Request) -> web.Response:
        kind = FILES.get(request.match_info["file"])
        if kind is None:
            raise web.HTTPNotFound
        return web.Response(text=(HERE / request.match_info["file"]).read_text("utf-8"), content_type=kind)

    def _answer(self, template: str, scene: dict[str, Any]) -> web.Response:
        page = web.Response(text=self._pages.get_template(template).render(scene), content_type="text/html")
        page.headers["Content-Security-Policy"] = _POLICY
        page.headers["Cache-Control"] = "no-store"
        page.set_cookie("lang", scene["language"], samesite="Strict", httponly=True)
        return page
