"""What `alerts:` of a configuration may say: what a person must hear of, when, and how loudly."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from pydantic_core import CoreSchema, core_schema

from pipe.config.blocks import Strict
from pipe.config.units import Duration
from pipe.functions import KYIV

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
RuleName = Literal[
    "connection_down", "connection_degraded", "connection_flapping", "certificate", "drift", "dead_letters",
    "queue_age", "uncertain", "disk", "clock_step", "books", "audit",
]  # fmt: skip


class Hours(str):
    """A part of the day, `08:00-20:00`, in Kyiv; it may go over midnight."""

    __slots__ = ("begin", "end")
    begin: time
    end: time

    def __new__(cls, text: str) -> Self:
        """Raises ValueError for anything else."""
        made = super().__new__(cls, text)
        begin, dash, end = text.partition("-")
        try:
            made.begin, made.end = time.fromisoformat(begin.strip()), time.fromisoformat(end.strip())
        except ValueError:
            dash = ""
        if not dash or made.begin == made.end:
            raise ValueError(f"`{text}` is no part of the day: write `08:00-20:00`, or `20:00-08:00` for the night")
        return made

    def hold(self, at: float) -> bool:
        """Whether a moment lies within; seconds since 1970."""
        now = datetime.fromtimestamp(at, KYIV).time()
        if self.begin < self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        """A text that is read so."""
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())


class BuiltIn(NamedTuple):
    """What a rule does where the configuration says nothing of it."""

    severity: Severity
    wait: float
    """seconds that it must last"""
    over: int | None
    """a number that is still well; None: the rule counts nothing"""
    age: float | None
    """seconds that are still well; None: the rule measures no time"""


_MIN, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
RULES: dict[RuleName, BuiltIn] = {
    "connection_down": BuiltIn("critical", 2 * _MIN, None, None),
    "connection_degraded": BuiltIn("warning", 10 * _MIN, None, None),
    "connection_flapping": BuiltIn("warning", 0, 3, 15 * _MIN),
    "certificate": BuiltIn("warning", 0, None, 14 * _DAY),
    "drift": BuiltIn("warning", 0, 0, None),
    "dead_letters": BuiltIn("warning", 0, 0, None),
    "queue_age": BuiltIn("warning", 0, None, 15 * _MIN),
    "uncertain": BuiltIn("warning", 5 * _MIN, 0, None),
    "disk": BuiltIn("critical", 0, None, None),
    "clock_step": BuiltIn("warning", 0, None, None),
    "books": BuiltIn("critical", 0, None, _HOUR),
    "audit": BuiltIn("critical", 0, None, _HOUR),
}


class Rule(Strict):
    """One rule, where it shall differ from what is built in."""

    severity: Severity | None = Field(default=None, description="How loudly it is told.")
    wait: Duration | None = Field(default=None, alias="for", description="How long it must last before it is told.")
    over: int | None = Field(default=None, ge=0, description="Number that is still well, for rules that count.")
    age: Duration | None = Field(default=None, gt=0, description="Time that is still well, for rules that measure it.")
    off: bool = Field(default=False, description="`true`: nobody looks.")


class Alerts(Strict):
    """What a person must hear of. Routes of `from: {alerts: …}` tell it."""

    every: Duration = Field(default=Duration(5), gt=0, description="Pause between two looks.")
    group: Duration = Field(
        default=Duration(10), description="What begins within so long after the first is told with it, in one message."
    )
    clear: Duration = Field(
        default=Duration(15),
        description="An alert is over when nothing was seen of it for so long: what comes and goes is one alert.",
    )
    repeat: Duration = Field(
        default=Duration(4 * 3600), gt=0, description="What lasts and nobody acknowledged is told again after so long."
    )
    emergency: list[str] = Field(
        default=[],
        description="Program with its arguments that is run when the store fails and no route can tell it; the alert "
        "comes as JSON on its standard input.",
        examples=[["/usr/local/bin/call-duty"]],
    )
    rules: dict[RuleName, Rule] = Field(default={}, description="What is built in, changed or switched off.")

    @model_validator(mode="after")
    def _fitting(self) -> Alerts:
        for name, rule in self.rules.items():
            for key in ("over", "age"):
                if getattr(rule, key) is not None and getattr(RULES[name], key) is None:
                    raise ValueError(f"the rule `{name}` has no `{key}`: it {_has(RULES[name])}")
        return self

    def rule(self, name: RuleName) -> BuiltIn | None:
        """The rule as it is in force; None where it is off."""
        built_in, own = RULES[name], self.rules.get(name)
        if own is None:
            return built_in
        if own.off:
            return None
        return BuiltIn(
            own.severity or built_in.severity,
            built_in.wait if own.wait is None else float(own.wait),
            built_in.over if own.over is None else own.over,
            built_in.age if own.age is None else float(own.age),
        )


def _has(rule: BuiltIn) -> str:
    others = [f"`{key}`" for key in ("over", "age") if getattr(rule, key) is not None]
    return f"has {' and '.join(others)}" if others else "only has `severity`, `for` and `off`"


def loudness(severity: Severity) -> int:
    """Larger is louder."""
    return SEVERITIES.index(severity)


Way = Literal["mail", "telegram"]
"""how a person hears of alerts: where a route of `people:` sends what it tells them"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to hear of: a route of `from: {alerts: …}`, or a person who subscribed."""

    severity: Severity = "warning"
    """the least"""
    rules: tuple[RuleName, ...] = ()
    """none: all"""
    about: tuple[str, ...] = ()
    """connections and routes; none: all"""
    hours: Hours | None = None
    """when they may be told"""

    def hears(self, at: float) -> bool:
        """Whether they may be told at a moment, seconds since 1970."""
        return self.hours is None or self.hours.hold(at)

    def wants(self, rule: str, severity: Severity, names: Collection[str]) -> bool:
        """Whether it is for them; `names` are those of the connections and routes that it concerns."""
        return (
            loudness(severity) >= loudness(self.severity)
            and (not self.rules or rule in self.rules)
            and (not self.about or not set(self.about).isdisjoint(names))
        )


class Addressee(NamedTuple):
    """A person who is told."""

    subscription: str
    to: str
    """the mail address, or the number of the Telegram chat"""
    language: Literal["uk", "en"]
    bot: str | None = None
    """the connection of the bot whose chat it is"""


class Listener(NamedTuple):
    """One who is told of alerts, through a route."""

    name: str
    """by which an alert remembers what it has heard"""
    route: str
    wishes: tuple[Wish, ...]
    """all of them must want it: the route's, and a person's own"""
    person: Addressee | None = None
    """None: whoever stands in the configuration"""

    def hears(self, at: float) -> bool:
        """Whether it may be told at a moment."""
        return all(wish.hears(at) for wish in self.wishes)

    def wants(self, rule: str, severity: Severity, names: Collection[str]) -> bool:
        """Whether it is for it."""
        return all(wish.wants(rule, severity, names) for wish in self.wishes)
