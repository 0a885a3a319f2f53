"""Tiny adapters, steps and flows for tests of the configuration; `load_text` loads a text as if it were a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field, RootModel, ValidationInfo, model_validator

from pipe.config.loader import load
from pipe.config.models import Configuration
from pipe.contract import (
    ConnectionConfig,
    Doors,
    Expression,
    FlowStep,
    Health,
    Message,
    Options,
    Outgoing,
    Receipt,
    Secret,
    Services,
    Strict,
    Template,
    Transaction,
    read_beside,
    step,
)


class _Fake:
    """What all fakes share."""

    def __init__(self, name: str, config: Any, services: Services) -> None:
        self.name, self.config = name, config

    async def open(self) -> None:
        """Needs nothing."""

    async def close(self) -> None:
        """Holds nothing."""

    async def check(self) -> Health:
        return Health("up")

    async def run(self, doors: Doors) -> None:
        """Receives nothing."""

    async def send(self, outgoing: Outgoing) -> Receipt:
        return Receipt(200)


class WebServer(_Fake):
    """A source with paths and methods, like HTTP."""

    class Config(ConnectionConfig):
        """Its keys."""

        auth: Literal["none"] | dict[str, Secret] | None = Field(default=None, description="Who may call.")
        listener: str | None = Field(default=None, description="Where it listens.")

    class Subscription(Options):
        """Its keys of `from:`."""

        path: str = Field(description="Where callers send to.")
        methods: list[Literal["GET", "POST"]] = Field(default=["POST"], description="How.")

    refusable: ClassVar[bool] = True


class Bearer(Strict):
    """One form of `auth`."""

    bearer: Secret = Field(description="The token.")


class Basic(Strict):
    """Another form of `auth`."""

    username: str = Field(description="Who.")
    password: Secret = Field(description="The proof.")


class WebClient(_Fake):
    """A caller, like HTTP."""

    class Config(ConnectionConfig):
        """Its keys."""

        url: str = Field(description="Where the partner is.")
        auth: Bearer | Basic | None = Field(default=None, description="How it knows us.")
        verify: bool = Field(default=True, description="Whether its certificate is checked.")

    class Target(Options):
        """Its keys of `to:`."""

        post: Template | None = Field(default=None, description="A path.")
        put: Template | None = Field(default=None, description="A path.")
        get: Template | None = Field(default=None, description="A path.")

    takes: ClassVar[Literal["bytes", "values"]] = "bytes"
    answers: ClassVar[Literal[True]] = True

    def natural(self, target: Any) -> bool:
        """PUT and GET."""
        return target.put is not None or target.get is not None


class Folder(_Fake):
    """A source and a sink without replies, like files."""

    class Config(ConnectionConfig):
        """Its keys."""

        path: str = Field(description="Which folder.")

    class Subscription(Options):
        """Its keys of `from:`."""

        get: str = Field(description="Which files.")
        qos: int = Field(default=1, ge=0, le=1, description="0 may lose what it receives.")

    class Target(Options):
        """Its keys of `to:`."""

        put: Template = Field(description="Name of the file.")

    refusable: ClassVar[bool] = False
    takes: ClassVar[Literal["bytes", "values"]] = "bytes"

    def natural(self, target: Any) -> bool:
        """A file of the same name."""
        return True

    @classmethod
    def guarantee(cls, options: Any) -> tuple[str, str] | None:
        """With QoS 0 nothing is sent again."""
        return ("at-most-once", "QoS 0 sends nothing again") if options.qos == 0 else None

    @classmethod
    def review(cls, _config: Any, options: Any) -> Iterable[str]:
        """Refuses names that leave the folder."""
        if str(getattr(options, "put", "")).startswith("../"):
            yield "`put:` leaves the folder"


class TwoWay(WebServer):
    """A source whose callers await a reply by default."""

    @classmethod
    def synchronous(cls, _config: Any, _options: Any) -> bool:
        """Always."""
        return True


class _Step:
    """What all fake steps share."""

    heavy: ClassVar[bool] = False

    def __init__(self, config: Any) -> None:
        self.config = config

    def apply(self, message: Message) -> Message | None:
        return message


class Decode(_Step):
    """`decode: json`."""

    name: ClassVar[str] = "decode"

    class Config(RootModel[Literal["json", "xml", "csv"]]):
        """A word."""


def _compiled(value: Any) -> Any:
    """Strings are expressions, maps and lists are walked, other scalars are literals."""
    if isinstance(value, dict):
        return {key: _compiled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_compiled(inner) for inner in value]
    return Expression(value) if isinstance(value, str) else value


class Map(_Step):
    """`map: {…}`."""

    name: ClassVar[str] = "map"

    class Config(RootModel[dict[str, Any]]):
        """A map of expressions."""

        model_config: ClassVar[Any] = {"arbitrary_types_allowed": True}

        @model_validator(mode="after")
        def _compile(self) -> Map.Config:
            self.root = _compiled(self.root)
            return self


class Set(Map):
    """`set: {…}`."""

    name: ClassVar[str] = "set"


class Filter(_Step):
    """`filter: EXPR`."""

    name: ClassVar[str] = "filter"

    class Config(RootModel[Expression]):
        """An expression."""

        model_config: ClassVar[Any] = {"arbitrary_types_allowed": True}


class Check(_Step):
    """`check: FILE`."""

    name: ClassVar[str] = "check"

    class Config(RootModel[str]):
        """The name of a schema."""

        text: ClassVar[str] = ""

        @model_validator(mode="after")
        def _read(self, info: ValidationInfo) -> Check.Config:
            object.__setattr__(self, "schema_text", read_beside(info, self.root))
            return self


class Broken(_Step):
    """A step whose reading breaks: a defect of an outside package."""

    name: ClassVar[str] = "broken"

    class Config(BaseModel):
        """Never valid."""

        @model_validator(mode="before")
        @classmethod
        def _break(cls, _data: Any) -> Any:
            raise KeyError("lost")


@step("chat.receive")
def receive(message: Message, tx: Transaction) -> Iterable[Message] | None:
    """Passes the message on."""
    return [message]


ADAPTERS: dict[str, type[Any]] = {
    "web_server": WebServer,
    "web_client": WebClient,
    "folder": Folder,
    "two_way": TwoWay,
}
TRANSFORMERS: dict[str, type[Any]] = {kind.name: kind for kind in (Decode, Map, Set, Filter, Check, Broken)}
FLOWS: dict[str, FlowStep] = {receive.name: receive}


def load_file(path: Path, *, secrets: Callable[[str], str | None] | None = None) -> Configuration:
    """The configuration of a file, with the fakes as its catalogue."""
    return load(path, adapters=ADAPTERS, transformers=TRANSFORMERS, flows=FLOWS, secrets=secrets)


def load_text(text: str, files: Mapping[str, str] | None = None) -> Configuration:
    """The configuration of a text, as if it were stored; `files` lie beside it."""
    stored = {"connections.yaml": text, **(files or {})}
    return load(Path("connections.yaml"), adapters=ADAPTERS, transformers=TRANSFORMERS, flows=FLOWS, files=stored)


BASE = """\
version: 1
connections:
  site: {type: web_server, auth: {keys: "${file:keys}"}}
  crm: {type: web_client, url: "http://crm.example"}
  box: {type: folder, path: in}
routes:
"""
"""a beginning with a source, a caller and a folder, ready for routes"""
