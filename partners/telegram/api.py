"""The Bot API over HTTP: the token, the method, its parameters, and answers as Telegram gives them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import orjson
from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from pydantic import ValidationError

from partners.telegram import models as m
from partners.telegram.bot import Bot, Refusal
from partners.telegram.updates import Conflicted


class Api:
    """Serves one bot."""

    def __init__(self, bot: Bot, token: Callable[[], str | None]) -> None:
        """`token` reads the connection's own; None where it cannot be read, and any token is good."""
        self._bot, self._token = bot, token

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """What it serves."""
        return [
            web.route("*", "/bot{token}/{method}", self._call),
            web.get("/file/bot{token}/{path:.+}", self._file),
        ]

    async def _call(self, request: web.Request) -> web.Response:
        try:
            self._admit(request.match_info["token"])
            model = m.METHODS.get(request.match_info["method"])
            if model is None:
                raise Refusal(404, "Not Found")
            raw, photo = await _parameters(request)
            try:
                ask: Any = model.model_validate(raw)
            except ValidationError as error:
                raise Refusal(400, f"Bad Request: {m.mistake(error)}") from None
            return _good(await self._done(ask, photo, request.match_info["method"]))
        except Refusal as error:
            return refusal(error.code, error.text, **error.beside)
        except Conflicted as error:
            return refusal(409, str(error))

    def _admit(self, token: str) -> None:
        number, colon, rest = token.partition(":")
        if not colon or not number.isdigit() or not rest:
            raise Refusal(404, "Not Found")
        if (right := self._token()) is not None and token != right:
            raise Refusal(401, "Unauthorized")

    async def _done(self, ask: Any, photo: bytes | None, method: str) -> Any:
        bot = self._bot
        match ask:
            case m.SendMessage():
                return bot.send_message(ask)
            case m.SendPhoto():
                return bot.send_photo(ask, photo)
            case m.EditMessageText():
                return bot.edit_message_text(ask)
            case m.AnswerCallbackQuery():
                return bot.answer_callback_query(ask)
            case m.DeleteMessage():
                return bot.delete_message(ask)
            case m.GetFile():
                return bot.get_file(ask)
            case m.GetUpdates():
                return await bot.updates.fetch(ask)
            case m.SetWebhook():
                bot.updates.set_webhook(ask)
                return True
            case m.DeleteWebhook():
                bot.updates.set_webhook(m.SetWebhook(url="", drop_pending_updates=ask.drop_pending_updates))
                return True
        return bot.me if method == "getMe" else bot.webhook_info()

    async def _file(self, request: web.Request) -> web.Response:
        try:
            self._admit(request.match_info["token"])
        except Refusal as error:
            return refusal(error.code, error.text)
        for path, content in self._bot.files.values():
            if path == request.match_info["path"]:
                return web.Response(body=content, content_type="application/octet-stream")
        return refusal(404, "Not Found")


async def _parameters(request: web.Request) -> tuple[dict[str, Any], bytes | None]:
    """The parameters and an uploaded photo. In forms and addresses everything is text: numbers are read as such."""
    if request.content_type == "application/json":
        try:
            raw = orjson.loads(await request.read() or b"{}")
        except orjson.JSONDecodeError:
            raise Refusal(400, "Bad Request: can't parse JSON object") from None
        if not isinstance(raw, dict):
            raise Refusal(400, "Bad Request: object expected as parameters")
        return raw, None
    photo: bytes | None = None
    found: dict[str, Any] = {name: _value(value) for name, value in request.query.items()}
    if request.content_type == "multipart/form-data":
        async for name, content, is_file in _parts(request):
            if is_file:
                photo = content
            else:
                found[name] = _value(content.decode())
    elif request.method == "POST":
        found |= {name: _value(str(value)) for name, value in (await request.post()).items()}
    for name in ("text", "caption", "photo", "callback_query_id", "file_id"):
        if name in found:
            found[name] = str(found[name])
    return found, photo


async def _parts(request: web.Request) -> AsyncIterator[tuple[str, bytes, bool]]:
    """The parts of a form. Whoever records requests has read the body before, so it is read from memory."""
    stream = StreamReader(BaseProtocol(asyncio.get_running_loop()), 1 << 16)
    stream.feed_data(await request.read())
    stream.feed_eof()
    reader = MultipartReader(request.headers, stream)
    while isinstance(part := await reader.next(), BodyPartReader):
        yield part.name or "", bytes(await part.read()), part.filename is not None


def _value(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _good(result: Any) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def refusal(code: int, text: str, **beside: Any) -> web.Response:
    """Telegram's no: its status is the code, and `Retry-After` says what `parameters` say."""
    told: dict[str, Any] = {"ok": False, "error_code": code, "description": text}
    if beside:
        told["parameters"] = beside
    headers = {"Retry-After": str(beside["retry_after"])} if "retry_after" in beside else None
    return web.json_response(told, status=code, headers=headers)
