"""What is sent: a method's parameters as JSON, or as a form where a photo of ours goes along."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

import orjson

from adapters.telegram.config import TelegramTarget
from pipe.contract import Blob, Outgoing
from pipe.errors import MappingFailed, TooLarge

LARGEST_PHOTO = 10_000_000
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "sendMessage": ("chat_id", "text"),
    "sendPhoto": ("chat_id",),
    "editMessageText": ("text",),
    "answerCallbackQuery": ("callback_query_id",),
    "deleteMessage": ("chat_id", "message_id"),
    "getFile": ("file_id",),
}


def composed(target: TelegramTarget, outgoing: Outgoing) -> tuple[bytes, str]:
    """The body and its content type. Raises MappingFailed for what the method cannot mean, TooLarge for a photo."""
    message = outgoing.message
    if target.parameters is not None:
        parameters = {name: expression(outgoing.data) for name, expression in target.parameters.items()}
    elif isinstance(message.body, dict):
        parameters = message.body
    else:
        raise MappingFailed(
            f"`{target.call}` takes an object of its parameters, and the body is none", path="body",
            hint="map the body to Telegram's parameters, or name them under `parameters:`",
        )  # fmt: skip
    parameters = {name: value for name, value in parameters.items() if value is not None}
    photo = _photo(target, message.body)
    for name in (*_NEEDED[target.call], *(("photo",) if target.call == "sendPhoto" and photo is None else ())):
        if parameters.get(name) in (None, ""):
            raise MappingFailed(f"`{target.call}` needs `{name}`, and it is empty", path=f"body.{name}")
    if photo is None:
        return orjson.dumps(parameters, default=str), "application/json"
    return _form(parameters, photo, message.content_type or "image/jpeg")


def _photo(target: TelegramTarget, body: Any) -> bytes | None:
    if target.call != "sendPhoto" or target.parameters is None or not isinstance(body, (bytes, Blob)):
        return None
    size = body.size if isinstance(body, Blob) else len(body)
    if size > LARGEST_PHOTO:
        raise TooLarge(f"a photo has {size} bytes, and Telegram takes {LARGEST_PHOTO}")
    return body.read() if isinstance(body, Blob) else body


def _form(parameters: Mapping[str, Any], photo: bytes, kind: str) -> tuple[bytes, str]:
    """RFC 7578. The boundary is chance, so no value can end its part."""
    boundary = secrets.token_hex(24)
    kind = kind if re.fullmatch(r"[\w.+-]+/[\w.+-]+", kind, re.ASCII) else "image/jpeg"
    parts = []
    for name, value in parameters.items():
        text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
        head = f'Content-Disposition: form-data; name="{re.sub("[^A-Za-z0-9_]", "", name)}"'
        parts.append(f"--{boundary}\r\n{head}\r\n\r\n{text}\r\n".encode())
    head = f'Content-Disposition: form-data; name="photo"; filename="photo"\r\nContent-Type: {kind}'
    parts.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + photo + b"\r\n")
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"
