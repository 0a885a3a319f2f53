"""The keys of `type: webhook`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from adapters.http_network import Allow, Mtls, Proxy, Tls, WebAddress, unlisted
from pipe.contract import ConnectionConfig, Expression, Options, Secret, Size, Template


def _below(path: str) -> str:
    """Checks where a route takes webhooks, below `/hooks/NAME`."""
    if path and (not path.startswith("/") or path.endswith("/") or "//" in path or not path.isascii()):
        raise ValueError(f"`{path}` must begin with `/` and end with a word, as `/orders` does")
    climbs = any(segment in {".", ".."} for segment in path.split("/"))
    if climbs or not path.isprintable() or set(path) & set("?#% {}"):
        raise ValueError(f"`{path}` is no plain path: words and `/`")
    return path


class WebhookConfig(ConnectionConfig):
    """Somebody's webhooks: with `secret` they are received at `/hooks/NAME`, with `url` they are sent there."""

    type: Literal["webhook"] = "webhook"
    shape: Literal["standard", "slack"] = Field(
        default="standard",
        description="`standard`: Standard Webhooks, signed, in both directions. `slack`: Slack's incoming webhook.",
    )
    secret: Secret | None = Field(
        default=None,
        description="What both sides sign with: `whsec_` and Base64, or text of at least 16 bytes; several live ones "
        "on lines of their own, the newest first.",
    )
    previous: Secret | None = Field(
        default=None, description="While a secret is renewed: the old one, signed with and accepted as well."
    )
    url: WebAddress | None = Field(
        default=None,
        description="Where webhooks are sent; what must stay secret of the address stands in `path`.",
        examples=["https://hooks.partner.example/pipe", "https://hooks.slack.com"],
    )
    path: Secret | None = Field(
        default=None,
        description="The secret rest of the address, from its `/` on: whoever knows it may send.",
        examples=["${file:secrets/slack.path}"],
    )
    tls: Tls = Field(default=Tls(), description="How the receiver's certificate is checked.")
    mtls: Mtls | None = Field(default=None, description="Our own certificate, where the receiver demands one.")
    proxy: Proxy | None = Field(default=None, description="A forward proxy on the way.")
    allow: Allow | None = Field(default=None, description="Where this connection may lead; else only to `url`.")
    max_reply: Size = Field(default=Size(1 << 20), description="Largest answer, counted unpacked.")
    listener: str | None = Field(
        default=None, description="Which of `listeners:` receives; by default the one that serves all."
    )

    @property
    def secrets(self) -> list[Secret]:
        """The newest first."""
        return [secret for secret in (self.secret, self.previous) if secret is not None]

    @model_validator(mode="after")
    def _whole(self) -> WebhookConfig:
        if self.secret is None and self.url is None:
            raise ValueError("`secret` to receive webhooks, `url` to send them, or both: one must be there")
        if self.shape == "slack" and (self.secret is not None or self.url is None):
            raise ValueError("`shape: slack` is sent only: it has a `url` and a `path`, and no `secret`")
        if self.shape == "standard" and self.secret is None:
            raise ValueError("`secret` is missing: Standard Webhooks are signed")
        if self.previous is not None and self.secret is None:
            raise ValueError("`previous` needs a `secret`")
        if self.path is not None and self.url is None:
            raise ValueError("`path` needs a `url`")
        others = [("proxy.url", self.proxy.url)] if self.proxy else []
        if self.url is not None and (problem := unlisted(self.allow, self.url, others)) is not None:
            raise ValueError(problem)
        return self


class WebhookSubscription(Options):
    """Which webhooks a route takes. A repetition (the same `webhook-id`) gets its 200 and is not stored again."""

    path: Annotated[str, AfterValidator(_below)] = Field(
        default="", description="Below `/hooks/NAME`; without it that address itself.", examples=["/orders"]
    )


class WebhookTarget(Options):
    """One webhook for each message. All attempts of one have the same `webhook-id`."""

    event: Template | None = Field(
        default=None,
        description="Its type: the payload becomes `{type, timestamp, data}` with the message as `data`. Without it "
        "the message is the payload.",
        examples=["appeal.registered"],
    )
    text: Template | None = Field(
        default=None,
        description="Slack: the text; in values `&`, `<` and `>` are escaped.",
        examples=["№ ${body.number}"],
    )
    blocks: Expression | None = Field(
        default=None, description="Slack: the layout, a list of Block Kit blocks.", examples=["body.blocks"]
    )

    def misfits(self, config: WebhookConfig) -> list[str]:
        """What this shape cannot say."""
        if config.url is None:
            return ["this connection has no `url`, so nothing can be sent to it"]
        if config.shape == "slack":
            problems = ["`event` belongs to `shape: standard`"] if self.event is not None else []
            if self.text is None and self.blocks is None:
                problems.append("Slack wants `text`, `blocks` or both")
            return problems
        return [f"`{name}` belongs to `shape: slack`" for name in ("text", "blocks") if getattr(self, name) is not None]


def reviewed(config: WebhookConfig, options: Any) -> list[str]:
    """What is wrong with a use of this connection."""
    if isinstance(options, WebhookTarget):
        return options.misfits(config)
    if config.secret is None:
        return ["this connection has no `secret`, so nothing can be received from it"]
    return []
