"""What the Bot API takes, as strict models: a number is no text, an unknown key is a mistake."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

MOST_BUTTONS, MOST_IN_A_ROW = 100, 8
PORTS = {443, 80, 88, 8443}
KINDS = ("message", "edited_message", "callback_query", "my_chat_member")


def refused(text: str) -> PydanticCustomError:
    """A mistake that Telegram has words of its own for."""
    return PydanticCustomError("telegram", "{said}", {"said": text})


class Strict(BaseModel):
    """Nothing is converted, nothing unknown is passed over."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


ChatId = Annotated[int, Field(ge=-(1 << 52), le=1 << 52)]


def _data(text: str) -> str:
    if not 1 <= len(text.encode()) <= 64:
        raise refused("BUTTON_DATA_INVALID")
    return text


def _url(text: str) -> str:
    if urlsplit(text).scheme not in {"http", "https", "tg"}:
        raise refused(f"inline keyboard button URL '{text[:60]}' is invalid: Wrong HTTP URL")
    return text


class InlineButton(Strict):
    """Below a message; exactly one of both."""

    text: str = Field(min_length=1)
    callback_data: Annotated[str, AfterValidator(_data)] | None = None
    url: Annotated[str, AfterValidator(_url)] | None = None

    @model_validator(mode="after")
    def _one(self) -> InlineButton:
        if (self.callback_data is None) == (self.url is None):
            raise refused("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
        return self


class KeyButton(Strict):
    """Instead of the keyboard."""

    text: str = Field(min_length=1)
    request_contact: bool = False


def _rows(rows: list[list[Any]]) -> list[list[Any]]:
    if sum(len(row) for row in rows) > MOST_BUTTONS or any(len(row) > MOST_IN_A_ROW for row in rows):
        raise refused("reply markup is too long")
    return rows


class InlineKeyboard(Strict):
    """Buttons below a message."""

    inline_keyboard: Annotated[list[list[InlineButton]], AfterValidator(_rows)]


class Keyboard(Strict):
    """Buttons instead of the keyboard."""

    keyboard: Annotated[list[list[KeyButton]], AfterValidator(_rows)]
    resize_keyboard: bool = False
    one_time_keyboard: bool = False


class NoKeyboard(Strict):
    """Takes those away."""

    remove_keyboard: Literal[True]


Markup = InlineKeyboard | Keyboard | NoKeyboard
ParseMode = Literal["HTML", "MarkdownV2", "Markdown"]


class SendMessage(Strict):
    """A text."""

    chat_id: ChatId
    text: str
    parse_mode: ParseMode | None = None
    protect_content: bool = False
    disable_notification: bool = False
    reply_markup: Markup | None = None


class SendPhoto(Strict):
    """A photo, by its id, its address, or uploaded beside."""

    chat_id: ChatId
    photo: str | None = None
    caption: str | None = None
    parse_mode: ParseMode | None = None
    protect_content: bool = False
    reply_markup: Markup | None = None


class EditMessageText(Strict):
    """Another text for a message of the bot's."""

    chat_id: ChatId
    message_id: int
    text: str
    parse_mode: ParseMode | None = None
    reply_markup: InlineKeyboard | None = None


class AnswerCallbackQuery(Strict):
    """What a click is answered with."""

    callback_query_id: str
    text: Annotated[str, Field(max_length=200)] = ""
    show_alert: bool = False
    url: str | None = None
    cache_time: int = 0


class DeleteMessage(Strict):
    """A message of this chat vanishes."""

    chat_id: ChatId
    message_id: int


class GetFile(Strict):
    """Where a file can be fetched."""

    file_id: str


class GetUpdates(Strict):
    """The next updates."""

    offset: int = 0
    limit: int = Field(default=100, ge=1, le=100)
    timeout: int = Field(default=0, ge=0, le=50)
    allowed_updates: list[str] | None = None


class SetWebhook(Strict):
    """Where updates are to be posted."""

    url: str
    secret_token: str | None = None
    max_connections: int = Field(default=40, ge=1, le=100)
    allowed_updates: list[str] | None = None
    drop_pending_updates: bool = False

    @model_validator(mode="after")
    def _good(self) -> SetWebhook:
        parts = urlsplit(self.url)
        if self.url and parts.scheme != "https":
            raise refused("bad webhook: An HTTPS URL must be provided for webhook")
        if self.url and (parts.port or 443) not in PORTS:
            raise refused("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
        if self.secret_token is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", self.secret_token, re.ASCII):
            raise refused("secret token contains unallowed characters")
        return self


class DeleteWebhook(Strict):
    """Updates are fetched again."""

    drop_pending_updates: bool = False


class Nothing(Strict):
    """A method without parameters."""


METHODS: dict[str, type[Strict]] = {
    "getMe": Nothing,
    "getWebhookInfo": Nothing,
    "sendMessage": SendMessage,
    "sendPhoto": SendPhoto,
    "editMessageText": EditMessageText,
    "answerCallbackQuery": AnswerCallbackQuery,
    "deleteMessage": DeleteMessage,
    "getFile": GetFile,
    "getUpdates": GetUpdates,
    "setWebhook": SetWebhook,
    "deleteWebhook": DeleteWebhook,
}


def mistake(error: ValidationError) -> str:
    """The first mistake, in Telegram's words where it has some."""
    first = error.errors()[0]
    if first["type"] == "telegram":
        return str(first["msg"])
    where = ".".join(str(part) for part in first["loc"])
    for each in error.errors():  # of the shapes of a keyboard, the one that was meant
        if each["type"] == "telegram":
            return str(each["msg"])
    if first["type"] == "missing":
        return f'parameter "{where}" is required' if where != "chat_id" else "chat_id is empty"
    return f"can't parse {where}: {first['msg']}"
