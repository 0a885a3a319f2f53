"""The keys of `type: telegram`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator
from yarl import URL

from adapters.http_network import Allow, Proxy, Tls, WebAddress, unlisted
from pipe.contract import ConnectionConfig, Expression, KeyedRate, Options, Rate, Secret, Size

Kind = Literal["message", "edited_message", "callback_query", "my_chat_member"]
Method = Literal["sendMessage", "sendPhoto", "editMessageText", "answerCallbackQuery", "deleteMessage", "getFile"]
PORTS = {443, 80, 88, 8443}
"""where Telegram delivers webhooks, and nowhere else"""


ALLOWED: list[Rate | KeyedRate] = [Rate(30, 1.0), KeyedRate(per=Expression("body.chat_id"), rate=Rate(1, 1.0))]
"""what Telegram lets pass"""


class TelegramConfig(ConnectionConfig):
    """One bot. What it may send, to all and to each chat, is kept by `rate:` before Telegram has to say no."""

    type: Literal["telegram"] = "telegram"
    token: Secret = Field(description="The bot's token, as BotFather gave it.", examples=["${secret:ukc-bot}"])
    api: WebAddress = Field(
        default="https://api.telegram.org", description="The Bot API; another address for a server of your own."
    )
    links: WebAddress = Field(
        default="https://t.me", description="Where links to the bot lead, its name appended: what people click on."
    )
    updates: Literal["polling"] | None = Field(
        default=None, description="`polling`: updates are fetched. Without it and `webhook` the bot only sends."
    )
    webhook: WebAddress | None = Field(
        default=None,
        description="This gateway's public address: Telegram posts updates to `/hooks/NAME` below it.",
        examples=["https://gateway.example"],
    )
    listener: str | None = Field(
        default=None, description="Which of `listeners:` receives; by default the one that serves all."
    )
    rate: Rate | list[Rate | KeyedRate] | None = Field(
        default=ALLOWED,
        description="At most so many sends; by default what Telegram allows, 30/s a bot and 1/s a chat.",
    )
    tls: Tls = Field(default=Tls(), description="How the certificate of `api` is checked.")
    proxy: Proxy | None = Field(default=None, description="A forward proxy on the way.")
    allow: Allow | None = Field(default=None, description="Where this connection may lead; else only to `api`.")
    max_reply: Size = Field(default=Size(21 << 20), description="Largest answer, files of `getFile` included.")

    @property
    def receives(self) -> bool:
        """Whether it takes updates."""
        return self.updates is not None or self.webhook is not None

    @model_validator(mode="after")
    def _whole(self) -> TelegramConfig:
        if self.updates is not None and self.webhook is not None:
            raise ValueError("`updates: polling` or `webhook`: Telegram hands updates over in one way only")
        if self.webhook is not None:
            url = URL(self.webhook)
            if url.scheme != "https" or url.port not in PORTS:
                raise ValueError("`webhook` is `https://` on port 443, 80, 88 or 8443: Telegram delivers nowhere else")
        others = [("proxy.url", self.proxy.url)] if self.proxy else []
        if (problem := unlisted(self.allow, self.api, others)) is not None:
            raise ValueError(problem.replace("`url`", "`api`"))
        return self


class TelegramSubscription(Options):
    """Which updates a route takes. One that comes again (the same `update_id`) is not stored again."""

    updates: list[Kind] = Field(
        default=["message", "edited_message", "callback_query", "my_chat_member"],
        min_length=1,
        description="Kinds of updates: words and files, edits, clicks, and being blocked or let in again.",
    )


class TelegramTarget(Options):
    """One method of the Bot API; the body holds its parameters under Telegram's own names."""

    call: Method = Field(description="The method.")
    parameters: dict[str, Expression] | None = Field(
        default=None,
        description="Names and expressions instead of the body. With `sendPhoto` a body of bytes is the photo.",
        examples=[{"chat_id": "headers.chat", "caption": "headers.title"}],
    )
    download: bool = Field(default=False, description="`getFile`: the answer is the file itself, up to 20 MB.")

    @model_validator(mode="after")
    def _fitting(self) -> TelegramTarget:
        if self.download and self.call != "getFile":
            raise ValueError("`download` belongs to `call: getFile`")
        return self


def reviewed(config: TelegramConfig, options: Any) -> list[str]:
    """What is wrong with a use of this connection."""
    if isinstance(options, TelegramSubscription) and not config.receives:
        return ["this bot takes no updates: write `updates: polling`, or `webhook: https://…`"]
    return []
