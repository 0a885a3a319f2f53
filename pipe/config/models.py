"""What `connections.yaml` may say, apart from the keys that adapters and steps add of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from pipe.config.alerts import Alerts, Way, Wish
from pipe.config.events import EventKind, EventLog
from pipe.config.sign_in import SignIn
from pipe.config.traces import Traces
from pipe.contract import Duration, Expression, Options, Secret, Size, Strict, Timeout

OutcomeName = Literal["delivered", "consumed", "answered", "dead", "expired", "discarded"]


class Retry(Strict):
    """When a message is tried again."""

    attempts: int = Field(default=30, ge=1, le=1000, description="All tries, the first included.")
    first: Duration = Field(default=Duration(5), description="Pause before the second try.")
    factor: float = Field(
        default=3, ge=1, le=100, strict=False, description="Each pause is so many times the one before."
    )
    max: Duration = Field(default=Duration(900), description="Longest pause.")
    within: Duration = Field(
        default=Duration(21600),
        description="No try later than this after the first; stands still while the connection is down.",
    )


class Idempotency(Strict):
    """How a repeated message is recognised."""

    key: Expression = Field(description="What names the message.", examples=["header('Idempotency-Key')"])
    window: Duration = Field(default=Duration(7 * 86400), description="How long a key is remembered.")
    required: bool = Field(default=False, description="Refuse messages without a key.")


class OnStuck(Strict):
    """What becomes of a key's order when its first message cannot be delivered."""

    hold: Duration | Literal["forever"] = Field(default=Duration(43200), description="How long the key waits.")
    then: Literal["dead"] = Field(default="dead", description="Afterwards the message is dead, and the key goes on.")


class Queue(Strict):
    """How much may wait on a route before new messages are refused with 503."""

    messages: int = Field(default=10000, ge=1, description="Pending deliveries.")
    bytes: Size = Field(default=Size(1 << 30), description="Bytes of their bodies.")


class Fault(Strict):
    """How one failure is answered on a synchronous route."""

    when: Expression = Field(description="On `fault`, `status`, `body`, `headers` of what came back.")
    status: int = Field(default=502, ge=400, le=599, description="HTTP status of the answer.")
    map: dict[str, Any] | None = Field(default=None, description="Body of the answer.")


class Confirm(Strict):
    """A call that tells whether an uncertain delivery took effect."""

    connection: str = Field(description="Whom to ask.")
    success: Expression = Field(description="True: it was delivered. On `body`, `status`, `headers` of the answer.")
    failure: Expression | None = Field(
        default=None, description="True: it did not take effect, try again. Default: the opposite of `success`."
    )
    after: Duration = Field(default=Duration(5), description="Pause before asking; doubles, at most 10 times.")
    options: Any = Field(default=None, description="The adapter's own keys; in the YAML they stand beside these.")


class OnUncertain(Strict):
    """What to do when nobody knows whether a delivery took effect."""

    confirm: Confirm = Field(description="The call that asks.")


class Limits(Strict):
    """What the gateway as a whole may hold."""

    class Pending(Strict):
        """All that waits."""

        messages: int = Field(default=1_000_000, ge=1, description="Pending deliveries of all routes.")
        bytes: Size = Field(default=Size(20 << 30), description="Bytes of their bodies.")

    pending: Pending = Field(default=Pending(), description="What may wait before everything new is refused with 503.")
    disk_floor: Size = Field(default=Size(2 << 30), description="Free space below which nothing is accepted.")
    hops: int = Field(default=20, ge=1, le=1000, description="Routes that one message may pass.")


class Retention(Strict):
    """How long what is finished is kept."""

    bodies: Duration = Field(default=Duration(7 * 86400), description="Bodies of delivered messages.")
    dead: Duration = Field(default=Duration(30 * 86400), description="Dead letters.")
    metadata: Duration = Field(default=Duration(365 * 86400), description="The story of a message.")


class Exchanges(Strict):
    """The log of what was exchanged."""

    full_text: bool = Field(
        default=True,
        description="Whether the words of masked bodies are indexed, so that `pipe exchanges --text` finds them.",
    )


class MetricsAccess(Strict):
    """Who may read `/metrics` where others than this machine reach the listener."""

    api_keys: Secret | None = Field(
        default=None,
        description="Lines `name:sha256hex[:last day]`, see `pipe keys issue`; without them only loopback.",
        examples=["${file:secrets/metrics.keys}"],
    )


class Tls(Strict):
    """Certificate of a listener; a renewed file is taken up without a restart."""

    cert: str = Field(description="File with the certificate and its chain.")
    key: str = Field(description="File with the private key.")
    client_ca: str | None = Field(default=None, description="Only callers with a certificate of this authority.")


class Listener(Strict):
    """An address that the gateway serves HTTP on."""

    address: str = Field(description="Host and port.", examples=["0.0.0.0:8443"])
    tls: Tls | None = Field(default=None, description="Its certificate; without it, plain HTTP.")
    trusted_proxies: list[str] = Field(default=[], description="Networks whose X-Forwarded-For is believed.")
    behind_proxy: bool = Field(default=False, description="TLS ends at a proxy in front.")


class Defaults(Strict):
    """What connections and routes have where they say nothing."""

    timeout: Timeout = Field(default=Timeout(), description="How long one attempt may take.")
    retry: Retry = Field(default=Retry(), description="When a message is tried again.")


# --- what the loader makes of routes: the adapter's and the steps' own keys already checked --------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, for errors and `pipe explain`."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class StepConfig:
    """One entry of `steps:`. `config` is an instance of the step's Config model."""

    name: str
    config: Any
    place: Place
    path: str
    """`routes.appeals.steps[2]`"""


@dataclass(frozen=True, slots=True)
class ChooseConfig:
    """`choose:` the branches in their order; `when` None is `otherwise`."""

    branches: tuple[tuple[Expression | None, tuple[StepConfig, ...]], ...]


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """`split:` one child for each item."""

    items: Expression
    steps: tuple[StepConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class EnrichConfig:
    """`enrich:` calls a connection and merges the reply at `into`."""

    connection: str
    options: Options
    into: str
    success: Expression | None = None


@dataclass(frozen=True, slots=True)
class TapConfig:
    """`tap:` a copy to another route."""

    route: str


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """`flow:` a registered function."""

    name: str


@dataclass(frozen=True, slots=True)
class FromConfig:
    """Where a route's messages come from."""

    kind: Literal["connection", "schedule", "every", "internal", "outcome", "alerts", "events", "channel"]
    place: Place
    connection: str | None = None
    options: Options | None = None
    """an instance of the adapter's Subscription"""
    max_body: int = 10 << 20
    schedule: str | None = None
    every: float | None = None
    outcomes: tuple[OutcomeName, ...] = ()
    of: tuple[str, ...] = ()
    wish: Wish = Wish()
    """which alerts it tells"""
    people: Way | None = None
    """it tells alerts to people who subscribed, each on their own, in this way"""
    events: tuple[EventKind, ...] = ()
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class ToConfig:
    """One target of a route."""

    key: str
    """names it within the route over time: its connection, route or channel; `#2` for the second of the same"""
    kind: Literal["connection", "route", "channel"]
    place: Place
    connection: str | None = None
    options: Options | None = None
    """an instance of the adapter's Target"""
    route: str | None = None
    channel: Expression | None = None
    when: Expression | None = None
    steps: tuple[StepConfig, ...] = ()
    success: Expression | None = None
    retry_when: Expression | None = None
    dead_when: Expression | None = None
    retry: Retry | None = None
    idempotent: bool | None = None
    idempotent_by: Expression | None = None
    on_uncertain: OnUncertain | None = None


@dataclass(frozen=True, slots=True)
class ReplyConfig:
    """How a caller is answered."""

    mode: Literal["async", "sync"] = "async"
    steps: tuple[StepConfig, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class GatherConfig:
    """What is made of a split's results."""

    within: float
    steps: tuple[StepConfig, ...]
    to: tuple[ToConfig, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class RouteConfig:
    """One route."""

    name: str
    place: Place
    source: FromConfig
    reply: ReplyConfig = ReplyConfig()
    idempotency: Idempotency | None = None
    order_by: Expression | None = None
    on_stuck: OnStuck = OnStuck()
    deadline: float | None = None
    replay: Literal["allowed", "never"] = "allowed"
    queue: Queue = Queue()
    sensitive: tuple[Expression, ...] = ()
    subject: Expression | None = None
    steps: tuple[StepConfig, ...] = ()
    to: tuple[ToConfig, ...] = ()
    gather: GatherConfig | None = None
    promise: Literal["at-most-once", "at-least-once"] | None = None
    retry: Retry = Retry()
    concurrency: int = 64
    retention: Retention | None = None


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """One connection; `config` is an instance of the adapter's Config."""

    name: str
    type: str
    config: Any
    place: Place


@dataclass(frozen=True, slots=True)
class RouteTest:
    """One entry of `tests:`."""

    name: str
    place: Place
    route: str
    send: Any
    expect: tuple[Any, ...]
    replies: Any = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole configuration, checked."""

    connections: dict[str, ConnectionSpec] = field(default_factory=dict)
    routes: dict[str, RouteConfig] = field(default_factory=dict)
    tests: tuple[RouteTest, ...] = ()
    defaults: Defaults = Defaults()
    limits: Limits = Limits()
    retention: Retention = Retention()
    exchanges: Exchanges = Exchanges()
    metrics: MetricsAccess = MetricsAccess()
    listeners: dict[str, Listener] = field(default_factory=dict)
    sign_in: SignIn = SignIn()
    alerts: Alerts = Alerts()
    events: EventLog = EventLog()
    traces: Traces | None = None
    files: dict[str, str] = field(default_factory=dict)
    """every file that was read (YAML, schemas), by its path relative to the first one: the revision's content"""
    revision: str = ""
    """12 hex digits of the SHA-256 over `files`"""
