"""The keys of `type: mqtt`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from yarl import URL

from adapters.http_network import Allow, Mtls, Tls, unlisted
from adapters.mqtt.topics import listened, writable, wrong
from pipe.contract import ConnectionConfig, Duration, Options, Secret, Strict, Template

PORTS = {"mqtt": 1883, "mqtts": 8883}


def _address(text: str) -> str:
    url = URL(text)
    if url.scheme not in PORTS or not url.host or len(text.split()) != 1:
        raise ValueError("this is no address of a broker: write `mqtts://host:8883` or `mqtt://host:1883`")
    if url.raw_user is not None or url.raw_password is not None:
        raise ValueError("credentials do not belong into an address: write them as `username:` and `password:`")
    if url.raw_path not in {"", "/"} or url.raw_query_string or url.raw_fragment:
        raise ValueError("an address of a broker ends with its port")
    return text


def _will_topic(text: str) -> str:
    if (problem := wrong(text)) is not None:
        raise ValueError(f"`{text}` {problem}")
    return text


BrokerAddress = Annotated[str, AfterValidator(_address)]
Quality = Annotated[int, Field(ge=0, le=2)]


class Will(Strict):
    """What the broker publishes in our name when we are gone without a word."""

    topic: Annotated[str, AfterValidator(_will_topic)] = Field(
        description="Where it is published.", examples=["gateways/gw-1/status"]
    )
    body: str = Field(default="", description="What is published.", examples=["offline"])
    qos: Quality = Field(default=1, description="0 at most once, 1 at least once, 2 exactly once.")
    retain: bool = Field(default=False, description="Whether the broker keeps it for those who come later.")


class MqttConfig(ConnectionConfig):
    """A broker. Receiving and sending have a connection each, made when the first route needs it."""

    type: Literal["mqtt"] = "mqtt"
    url: BrokerAddress = Field(
        description="Where the broker is; `mqtts` is TLS.", examples=["mqtts://broker.partner.example:8883"]
    )
    client_id: str = Field(
        pattern=r"^[A-Za-z0-9_-]{1,60}$",
        description="Our name at the broker, unlike any other's. What sends is called so with `-out` behind it.",
        examples=["gateway-1"],
    )
    version: Annotated[Literal["3.1.1", "5.0"], BeforeValidator(str)] = Field(
        default="5.0", description="Of the protocol."
    )
    username: str | None = Field(default=None, description="Who we are.")
    password: Secret | None = Field(default=None, description="The password that goes with it; read at each connect.")
    tls: Tls = Field(default=Tls(), description="How the broker's certificate is checked.")
    mtls: Mtls | None = Field(default=None, description="Our own certificate, where the broker demands one.")
    allow: Allow | None = Field(default=None, description="Where this connection may lead; else only to `url`.")
    session: Duration = Field(
        default=Duration(7 * 86_400),
        description="How long the broker keeps messages for us while we are away; `0s`: not at all. 3.1.1 knows only "
        "`0s` and for ever.",
    )
    keepalive: Duration = Field(
        default=Duration(30), ge=1, le=65_535, description="Silence after which both sides make sure of each other."
    )
    receive: int = Field(
        default=64,
        ge=1,
        le=65_535,
        description="Messages that may be under way to us without an acknowledgement; 1 keeps the order even when the "
        "store fails for a moment. 3.1.1 leaves that to the broker.",
    )
    will: Will | None = Field(default=None, description="What the broker says when we are gone without a word.")

    @property
    def five(self) -> bool:
        """Whether the protocol is 5.0."""
        return self.version == "5.0"

    @property
    def secure(self) -> bool:
        """Whether the way is TLS."""
        return URL(self.url).scheme == "mqtts"

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        url = URL(self.url)
        return url.host or "", url.port or PORTS[url.scheme]

    @model_validator(mode="after")
    def _whole(self) -> MqttConfig:
        if (problem := unlisted(self.allow, self.url)) is not None:
            raise ValueError(problem)
        if self.mtls is not None and not self.secure:
            raise ValueError("`mtls` needs TLS: write `mqtts://` in `url`")
        if self.password is not None and self.username is None:
            raise ValueError("`password` needs a `username`")
        return self


class MqttSubscription(Options):
    """Which topics are listened to."""

    topic: Annotated[str, AfterValidator(listened)] = Field(
        description="Levels; `{name}` takes one into `params`, `+` stands for any one, `#` for all that follow.",
        examples=["meters/{meter}/reading"],
    )
    qos: Literal[0, 1] = Field(
        default=1,
        description="1: the broker sends again what was not acknowledged. 0: it forgets at once. What was published "
        "with 2 comes with 1, because nothing but our journal could hold its promise.",
    )
    share: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Name of a group that the messages are divided among.",
        examples=["gateways"],
    )
    retained: bool = Field(default=True, description="Whether to take what the broker kept before we came.")


class MqttTarget(Options):
    """What is published."""

    publish: Annotated[Template, AfterValidator(writable)] | None = Field(
        default=None,
        description="The topic. Values are within a level; `values` says how they stand there.",
        examples=["meters/${params.meter}/command"],
    )
    respond: Annotated[str, AfterValidator(listened)] | None = Field(
        default=None,
        description="Instead of `publish`: to the response topic that the message came with (5.0), where it fits this "
        "pattern; the correlation goes back as well.",
        examples=["replies/+"],
    )
    values: Literal["word", "percent"] = Field(
        default="word",
        description="How a value stands in a topic. `word`: as it is, 1 to 64 of `A-Z a-z 0-9 _ -`, others are "
        "refused. `percent`: any text, and what is not of `A-Z a-z 0-9 _ - . ~` as `%XX` of its UTF-8.",
    )
    qos: Quality = Field(
        default=1,
        description="0: nobody confirms. 1: confirmed, may arrive twice. 2: confirmed, and not sent again in doubt.",
    )
    retain: bool = Field(default=False, description="Whether the broker keeps it for those who come later.")
    expires: Duration | None = Field(
        default=None, ge=1, description="How long the broker keeps it for those who are away (5.0)."
    )
    properties: dict[str, Template] = Field(
        default={}, description="User properties (5.0).", examples=[{"region": "${body.region}"}]
    )
    response_topic: Annotated[Template, AfterValidator(writable)] | None = Field(
        default=None, description="Where an answer is awaited (5.0); its values are checked as those of `publish`."
    )
    correlation: Template | None = Field(default=None, description="What an answer names (5.0).")

    @property
    def needs_five(self) -> list[str]:
        """The keys that 3.1.1 cannot say."""
        names = ("respond", "expires", "properties", "response_topic", "correlation")
        return [name for name in names if getattr(self, name)]

    @model_validator(mode="after")
    def _one_topic(self) -> MqttTarget:
        if (self.publish is None) == (self.respond is None):
            raise ValueError("a target has exactly one of publish, respond")
        return self
