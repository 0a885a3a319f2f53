"""The site: every request of pages and of `/api/v1` goes through here, in the same few steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web
from loguru import logger
from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection
from yarl import URL

from flows.access import people
from flows.access.changes import noted
from flows.access.engine import Access
from flows.duty.hearing import Duty
from flows.signin import api_keys, sessions
from flows.signin import passwords as password_table
from flows.signin.passwords import Passwords
from pipe.clock import Clock
from pipe.config.sign_in import SignIn
from pipe.errors import (
    BadRequest,
    Conflict,
    Denied,
    FormInvalid,
    GatewayDefect,
    NoCredentials,
    NotFound,
    PipeError,
    SignedOut,
    WrongMediaType,
)
from pipe.operations.host import Host, Progress
from pipe.store.store import Store
from transformers import json_format
from web.pages import cookies, forms, shield
from web.pages.bots import Act, Bot
from web.pages.call import Call
from web.pages.kept import Kept
from web.pages.live import LOOK_S, Streams, Topic
from web.pages.permission import GATEWAY, Open
from web.pages.refreshing import HEADER, Refreshing
from web.pages.results import Done, Show
from web.pages.router import API, Area, Operation, Router
from web.pages.static import Static
from web.pages.templates import Templates
from web.pages.words import Words, chosen
from web.pages.works import Works
from web.problem import from_http_exception, problem, problem_headers
from web.server import Handler, Request
from web.signin.factors import Factor
from web.signin.single import Providers

MakeHost = Callable[[str, Progress], Host]
"""makes what operations of the gateway work on, in somebody's name"""
FORM, JSON = ("application/x-www-form-urlencoded", "multipart/form-data"), "application/json"


class Site:
    """Pages, forms, streams and the API over one store."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        areas: Sequence[Area],
        topics: Sequence[Topic] = (),
        starts: Sequence[str] = ("/admin",),
        *,
        access: Access,
        passwords: Passwords,
        factors: Sequence[Factor] = (),
        act: Act,
        bots: Callable[[], Sequence[Bot]] = tuple,
        host: MakeHost,
        settings: Callable[[], SignIn] = SignIn,
        on_first_password_used: Callable[[], None] = lambda: None,
    ) -> None:
        self.store, self.clock, self.access = store, clock, access
        self.settings, self.act, self.bots, self.host = settings, act, bots, host
        self.passwords, self.factors, self.providers = passwords, factors, Providers(settings, clock)
        self.first_password_used = on_first_password_used
        self.router = Router(areas)
        self.static = Static()
        self.templates = Templates(self.static)
        self.streams = Streams(topics, clock)
        self.kept = Kept(clock)
        self.works = Works(store, clock)
        self.duty = Duty(access, store.vault)
        self.refreshing = Refreshing(self)
        self._starts = starts

    def factor(self, name: str) -> Factor:
        """The second factor of that name. Raises NotFound where it was switched off meanwhile."""
        for factor in self.factors:
            if factor.name == name:
                return factor
        raise NotFound("this second factor is not offered now")

    def csrf(self, token: str) -> str:
        """What forms of this session must bring back: nothing that could be told from the cookie, or it from this."""
        return self.store.vault.hash("csrf", token)

    def guard(self, request: Request, response: web.StreamResponse) -> None:
        """Puts the headers of all pages on an answer; for those who prepare one themselves."""
        shield.guard(request, response)

    async def still_there(self, call: Call, mark: int) -> bool:
        """Whether the session or key of an open stream is still good.

        Streams of one session ask the store once; again after the event of number `mark`, and after a second.
        """
        if call.session is None:
            return await self._identify(call)
        # Rights turn a moment before the event that tells of it.
        known = (self.access.version << 48) + mark
        found = await self.streams.kept.get(call.session.id, known, LOOK_S, lambda: self._entered(call))
        if found is not None:
            call.session, call.person, call.must = found
        return found is not None

    async def _entered(self, call: Call) -> tuple[sessions.Session, people.Person, str] | None:
        token, now = call.request.cookies.get(cookies.SESSION, ""), self.clock.now()
        settings = self.settings()
        return await self.store.read(lambda connection: entered(connection, token, now, settings)) if token else None

    # --- the steps ---

    async def handle(self, request: Request) -> web.StreamResponse:
        """Finds the operation, finds out who asks, decides, runs it, renders what it gives."""
        by_api = request.path.startswith(API)
        words = Words("en" if by_api else chosen(request.cookies.get(cookies.LANGUAGE)))
        call: Call | None = None
        try:
            match = self.router.find(request.method, request.path)
            call = Call(self, request, match.operation, match.params, match.by_api, words)
            response = self._bounced(request, words) if _held_back(request) else await self._answer(call)
        except PipeError as error:
            response = await self._refusal(request, call, words, error, by_api=by_api)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            response = await self._refusal(request, call, words, from_http_exception(error), by_api=by_api)
        except ConnectionError:
            raise
        except Exception as error:  # boundary: a defect of one page must not show its inside
            logger.opt(exception=error).error("A page broke", action="http")
            response = await self._refusal(request, call, words, GatewayDefect(), by_api=by_api)
        return self._finished(request, call, response)

    async def _answer(self, call: Call) -> web.StreamResponse:
        await self._identify(call)
        if call.person is None and call.operation.permission is not Open.PUBLIC:
            raise SignedOut
        if call.must and not call.operation.early:
            raise FirstThings(call.must)
        if call.request.method in {"GET", "HEAD"}:
            raw: dict[str, Any] = _asked(call.request)
        else:
            raw = await _sent(call)
            given = raw.pop(shield.FIELD, None) or call.request.headers.get(shield.HEADER)
            if call.key is None:
                shield.refuse_forged(call.request, call.csrf, given if isinstance(given, str) else None)
        if call.operation.permission is not Open.PUBLIC:
            call.require(call.operation.permission, GATEWAY if call.operation.whole else None)
        return await self._run(call, raw)

    async def _identify(self, call: Call) -> bool:
        """Finds out who asks: by key on the API, by cookie elsewhere. False where nobody is known."""
        said = call.request.headers.get("Authorization")
        if call.by_api and said is not None:
            return await self._by_key(call, said)
        found = await self._entered(call)
        if found is None:
            call.person, call.session, call.must = None, None, ""
            call.token = call.request.cookies.get(cookies.VISITOR, "")
            if not call.token:
                call.token, call.fresh = sessions.new_token(), True
            return False
        call.session, call.person, call.must = found
        call.token, now = call.request.cookies[cookies.SESSION], self.clock.now()
        if now - call.session.seen_at > sessions.SEEN_EVERY_S and call.operation.name != "common.feed":
            session_id = call.session.id
            await self.store.write(lambda tx: sessions.seen(tx, session_id))
        return True

    async def _by_key(self, call: Call, said: str) -> bool:
        word, _, text = said.partition(" ")
        now = self.clock.now()
        found = None
        if word.lower() == "bearer":
            found = await self.store.read(lambda connection: _keyed(connection, text.strip(), now))
        if found is None:
            raise NoCredentials("the API key is not known, or is over", hint="make a new one at /admin/keys")
        call.key, call.person = found
        if call.key.used_at is None or now - call.key.used_at > api_keys.USED_EVERY_S:
            key_id = call.key.id
            await self.store.write(lambda tx: api_keys.used(tx, key_id))
        return True

    async def _run(self, call: Call, raw: dict[str, Any]) -> web.StreamResponse:
        operation = call.operation
        try:
            typed = call.by_api and call.request.method != "GET"
            arguments = [forms.read(operation.takes, raw, typed=typed)] if operation.takes else []
            if operation.kind == "page" and HEADER in call.request.headers and call.person is not None:
                return await self.refreshing.answer(call, arguments)
            result = await operation.handler(call, *arguments)
        except (ValidationError, forms.Invalid) as error:
            return await self._sent_back(call, raw, error)
        return self._rendered(call, result)

    # --- answers ---

    def _rendered(self, call: Call, result: Any) -> web.StreamResponse:
        if isinstance(result, web.StreamResponse):
            return result
        if call.by_api:
            return _as_json(result)
        if isinstance(result, Done):
            response = web.Response(status=303, headers={"Location": result.to})
            if result.toast:
                cookies.put_toast(response, result.toast, result.values)
            return response
        if isinstance(result, Show):
            return self.page(call, result.template, result.it, status=result.status)
        assert call.operation.template is not None
        return self.page(call, call.operation.template, result)

    def page(self, call: Call, template: str, it: Any, *, status: int = 200) -> web.Response:
        """A page with the layout, menu and all."""
        toast = cookies.toast_of(call.request)
        context = call.context() | {"it": it, "site": self, "alone": False, "toast": toast, "menu": self._menu(call)}
        text = self.templates.render(template, call.words, context)
        response = web.Response(text=text, status=status, content_type="text/html", charset="utf-8")
        if toast is not None:
            cookies.drop(response, cookies.TOAST)
        return response

    def parts(self, call: Call, it: Any) -> str:
        """What a page shows, without what stands around it: for one that is open already."""
        assert call.operation.template is not None
        context = call.context() | {"it": it, "site": self, "alone": True}
        return self.templates.render(call.operation.template, call.words, context)

    def start(self, call: Call) -> str:
        """The page that `/` leads to: of the first part of the site in which the one who asks may do something."""
        pages = [page for _, some in self._menu(call) for page in some]
        for start in self._starts:
            inside = [page for page in pages if f"{page.path}/".startswith(f"{start}/")]
            if any(not isinstance(page.permission, Open) for page in inside):
                return start if any(page.path == start for page in inside) else inside[0].path
        return self._starts[0]

    def _menu(self, call: Call) -> list[tuple[str, list[Operation]]]:
        """The sections of the menu with the pages that this person may open."""
        sections: dict[str, list[Operation]] = {}
        for operation in self.router.menu():
            assert operation.nav is not None
            thing = GATEWAY if operation.whole else None
            if call.person is not None and call.may(operation.permission, thing):
                sections.setdefault(operation.nav.section, []).append(operation)
        return list(sections.items())

    async def _sent_back(
        self, call: Call, raw: dict[str, Any], error: ValidationError | forms.Invalid
    ) -> web.StreamResponse:
        """The form again with what is wrong beside each field; a problem with the same words for the API."""
        page = call.operation.on
        if call.by_api or page is None:
            wrong = [{"field": name, "text": text} for name, text in forms.mistakes(error, call.words)]
            said = "; ".join(f"{each['field']}: {each['text']}" for each in wrong)
            if not call.by_api:
                raise BadRequest(said)
            kind = Conflict if isinstance(error, forms.Invalid) else FormInvalid
            return _as_problem(kind(said), errors=wrong)
        shown = replace(call, operation=page, form=forms.sent_back(call.operation.form, raw, error, call.words))
        result = await page.handler(shown, *([page.takes()] if page.takes else []))
        assert page.template is not None
        return self.page(shown, page.template, result, status=422)

    async def _refusal(
        self, request: Request, call: Call | None, words: Words, error: PipeError, *, by_api: bool
    ) -> web.StreamResponse:
        if isinstance(error, Denied) and call is not None and call.person is not None:
            await self.note_denial(call, error)
        wants_page = "text/html" in request.headers.get("Accept", "") or request.method != "GET"
        if by_api or not wants_page or request.path == "/feed":
            return _as_problem(error)
        if isinstance(error, FirstThings):
            return web.Response(status=303, headers={"Location": error.at})
        if isinstance(error, SignedOut):
            goal = request.path_qs if request.method == "GET" else "/"
            return web.Response(status=303, headers={"Location": str(_login(goal))})
        if call is None:
            # Nobody looked yet who asks: the page of an error needs no more than a language.
            call = Call(self, request, _NOWHERE, {}, by_api=False, words=words)
            await self._identify(call)
        status, key = error.status, f"error.{error.slug()}"
        it: dict[str, Any] = {
            "error": error,
            "title": words(f"{key}.title" if words.has(f"{key}.title") else "error.other.title"),
            "text": self._said(error, words),
            "permission": error.facts.get("permission"),
            "ask": error.facts.get("ask"),
            "confirm": _way_on(request) if error.facts.get("reason") == "factor_too_old" else "",
        }
        return self.page(call, "error.html", it, status=status)

    def _said(self, error: PipeError, words: Words) -> str:
        """What is told about a refusal: a denial brings its own reason."""
        if error.said[0]:
            told = words.refusal(error)
            return f"{told[:1].upper()}{told[1:]}."
        if isinstance(error, Denied) and "reason" in error.facts and error.facts["reason"] != "key":
            return error.text
        key = f"error.{error.slug()}.text"
        return words(key if words.has(key) else "error.other.text")

    def _bounced(self, request: Request, words: Words) -> web.StreamResponse:
        """Leads to the same address once more, now from a page of ours."""
        text = self.templates.render("bounce.html", words, {"goal": request.path_qs})
        return web.Response(text=text, content_type="text/html", charset="utf-8")

    async def note_denial(self, call: Call, error: Denied) -> None:
        """Writes into the audit who was denied what, and why."""
        facts: dict[str, Any] = {name: error.facts[name] for name in ("permission", "reason") if name in error.facts}
        after = {**facts, "operation": call.operation.name}
        await call.write(lambda tx: noted(tx, call.by, "access.denied", call.who.login, after=after))

    def _finished(self, request: Request, call: Call | None, response: web.StreamResponse) -> web.StreamResponse:
        if response.prepared:
            return response
        shield.guard(request, response)
        if call is not None:
            if call.fresh and not call.by_api:
                cookies.put(response, cookies.VISITOR, call.token)
            if call.response is not None:
                call.response(response)
        return response

    def mounts(self) -> Mapping[str, Handler]:
        """What listeners hand over, by prefix."""
        mounts: dict[str, Handler] = dict.fromkeys(self.router.prefixes(), self.handle)
        mounts["/static"] = self._file
        mounts["/"] = self._root
        return mounts

    async def _root(self, request: Request) -> web.StreamResponse:
        """`/` itself: what is mounted there gets all that nobody else serves, too."""
        if request.path != "/":
            raise NotFound("nothing is served at this address")
        return await self.handle(request)

    async def _file(self, request: Request) -> web.StreamResponse:
        response = await self.static.serve(request)
        shield.guard(request, response)
        return response


_NOWHERE = Operation("common.nowhere", "page", "GET", "", Open.PUBLIC, lambda: None, None, None, "")  # type: ignore[arg-type,return-value]


class FirstThings(Denied):
    """Something has to be done before anything else: a password to be chosen, a second factor to be set up."""

    def __init__(self, what: str) -> None:
        super().__init__(f"first: {what}")
        self.at = f"/me/{what}"


def _held_back(request: Request) -> bool:
    """Whether another site leads a browser here, so that the cookies, which are strict, have stayed behind."""
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get("Sec-Fetch-Site") == "cross-site"
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and cookies.SESSION not in request.cookies
    )


def _login(goal: str) -> URL:
    return URL("/login").with_query({"to": goal} if goal != "/" else {})


def entered(
    connection: Connection, token: str, now: float, settings: SignIn
) -> tuple[sessions.Session, people.Person, str] | None:
    """Session and person of a cookie, where both are good, and what has to be done first."""
    session = sessions.find(connection, token, now, settings.idle)
    person = _here(connection, session.person, now) if session else None
    if session is None or person is None:
        return None
    known = password_table.kept(connection, person.id)
    if known is not None and known.must_change and "password" in session.factors:
        return session, person, "password"
    alone = session.factors == {"password"}
    return session, person, "totp" if alone and settings.second_factor == "required" else ""


def _keyed(connection: Connection, text: str, now: float) -> tuple[api_keys.Key, people.Person] | None:
    key = api_keys.find(connection, text, now)
    person = _here(connection, key.person, now) if key else None
    return (key, person) if key is not None and person is not None else None


def _here(connection: Connection, id: str, now: float) -> people.Person | None:
    """The person, unless shut out."""
    try:
        person = people.by_id(connection, id)
    except NotFound:
        return None
    return person if person.shut_out(now) is None else None


def _way_on(request: Request) -> str:
    """The page that was asked for; after a form the start, as it has to be filled in again."""
    return request.path_qs if request.method == "GET" else "/"


def _asked(request: Request) -> dict[str, Any]:
    """What the address asks for; each name once, so that nobody takes another one of two values than we do."""
    if len(request.query) != len(set(request.query)):
        raise BadRequest("the address says something twice")
    return dict(request.query)


async def _sent(call: Call) -> dict[str, Any]:
    """The fields of a form, or the object of a JSON body. Raises what says that it is neither."""
    request, media = call.request, call.request.content_type
    if not request.can_read_body:
        return {}
    if media in FORM and not call.by_api:
        try:
            sent = await request.post()
        except ValueError as error:  # aiohttp's readers raise it for whatever is garbled
            raise BadRequest("this is no form that a page sends") from error
        return {
            name.removesuffix("[]"): [_text(each) for each in sent.getall(name)] if name.endswith("[]") else _text(one)
            for name, one in sent.items()
        }
    if media == JSON and call.by_api:
        value = json_format.decode(await request.read())
        if not isinstance(value, dict):
            raise BadRequest("the body is no JSON object")
        return value
    raise WrongMediaType(f"`{media}` is not taken here", hint=f"send {JSON if call.by_api else FORM[0]}")


def _text(value: str | bytes | bytearray | web.FileField) -> str:
    """What a field says; a file that was chosen is read as text: UTF-8, or as spreadsheets here write it."""
    if isinstance(value, str):
        return value
    whole = bytes(value) if isinstance(value, (bytes, bytearray)) else value.file.read()
    try:
        return whole.decode("utf-8-sig")
    except UnicodeDecodeError:
        return whole.decode("windows-1251", errors="replace")


def _as_json(result: Any) -> web.Response:
    status = 200
    if isinstance(result, Done):
        status, result = result.status, result.result
    elif isinstance(result, Show):
        status, result = result.status, result.it
    if result is None:
        return web.Response(status=204)
    body = result.model_dump_json() if isinstance(result, BaseModel) else orjson.dumps(result)
    return web.Response(body=body.encode() if isinstance(body, str) else body, status=status, content_type=JSON)


def _as_problem(error: PipeError, **more: Any) -> web.Response:
    return web.Response(
        status=error.status,
        body=orjson.dumps({**problem(error), **more}),
        content_type="application/problem+json",
        headers=problem_headers(error),
    )
