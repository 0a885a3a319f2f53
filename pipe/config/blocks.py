"""Blocks of the configuration that adapters build on. They take them from `pipe.contract`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo

from pipe.config.units import Duration, Percent, Rate
from pipe.expression import Expression


class Strict(BaseModel):
    """A block of the configuration: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


class Timeout(Strict):
    """How long one attempt may take."""

    connect: Duration = Field(default=Duration(5), description="Until the connection stands, TLS included.")
    read: Duration = Field(default=Duration(20), description="Longest silence while an answer is awaited.")
    total: Duration = Field(default=Duration(30), description="The whole attempt.")


class Reconnect(Strict):
    """How a lost connection is established again. Not the retry of a message: that is `retry`."""

    first: Duration = Field(default=Duration(1), description="Pause before the first try; doubles each time.")
    max: Duration = Field(default=Duration(60), description="Longest pause.")


class Breaker(Strict):
    """Stops calling a partner that mostly fails; its messages wait without spending attempts."""

    failures: Percent = Field(default=Percent(0.5), description="Share of failed attempts that opens it.")
    of: int = Field(
        default=20,
        ge=2,
        le=1000,
        description="How many of the last attempts are looked at (at least half of them must be there).",
    )
    open: Duration = Field(default=Duration(30), description="How long it stays open before one trial.")


class Probe(Strict):
    """A cheap question that tells whether the partner is there."""

    get: str = Field(description="Path to ask for; any answer below 500 is well.", examples=["/ping"])
    every: Duration = Field(default=Duration(30), description="Pause between two questions.")


class KeyedRate(Strict):
    """A rate for each value of something."""

    per: Expression = Field(description="What is counted apart.", examples=["headers.chat"])
    rate: Rate = Field(description="At most so many for each value.")


class Samples(Strict):
    """How the shape of messages is learned from those that pass: names and kinds of fields, never a value."""

    every: Duration = Field(
        default=Duration(10), gt=0, description="At most one message of a kind is looked at in so long."
    )
    learn: int = Field(default=30, ge=2, description="So many are looked at before their shape is taken for known.")
    sure: int = Field(default=5, ge=1, description="So many in a row must differ alike before it is told.")


class Drift(Strict):
    """Watching whether what a partner sends or publishes is still what it was: see docs/howto/drift.md."""

    every: Duration = Field(
        default=Duration(6 * 3600), gt=0, description="Pause between two looks at what the partner publishes."
    )
    samples: Samples | Literal[False] = Field(
        default=Samples(), description="How the shape of messages is learned; `false`: it is not."
    )


class ConnectionConfig(Strict):
    """Keys that every connection has."""

    type: str = Field(description="Which adapter.")
    timeout: Timeout | None = Field(default=None, description="Instead of `defaults: timeout`.")
    reconnect: Reconnect = Field(default=Reconnect(), description="Pauses between tries to establish it again.")
    rate: Rate | list[Rate | KeyedRate] | None = Field(
        default=None, description="At most so many sends, `30/s`; or a list: `[30/s, {per: headers.chat, rate: 1/s}]`."
    )
    concurrency: int = Field(default=8, ge=1, le=1000, description="Sends at the same time.")
    breaker: Breaker | Literal[False] = Field(default=Breaker(), description="`false` switches it off.")
    warn_before: Duration = Field(
        default=Duration(21 * 86_400),
        description="How long before the end of a certificate, the partner's or ours, the connection is degraded.",
    )
    drift: Drift | Literal[False] = Field(
        default=Drift(), description="Whether its shape is still what it was; `false`: nobody looks."
    )


class Options(Strict):
    """Keys that an adapter adds to `from:` or `to:`."""


def read_beside(info: ValidationInfo, path: str) -> str:
    """The text of a file that a configuration names, its path relative to the YAML file; for pydantic validators.

    It becomes part of the revision. Raises ValueError that says why it cannot be had.
    """
    context = info.context or {}
    if "read" in context:
        return str(context["read"](path))
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"`{path}` cannot be read: {error.strerror}") from None


def path_beside(info: ValidationInfo, path: str) -> Path:
    """Where a file is that a configuration names, its path relative to the YAML file; for pydantic validators."""
    return Path((info.context or {}).get("base", ".")) / path
