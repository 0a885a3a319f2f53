"""The life of an alert: it begins, fires once it has lasted, is told, and is over. Pure of store and clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import orjson

from pipe.config.alerts import Alerts, RuleName, Severity, loudness

State = Literal["pending", "firing", "over"]


class Finding(NamedTuple):
    """What a look saw."""

    rule: RuleName
    subject: str
    text: str
    text_uk: str


@dataclass(slots=True)
class Alert:
    """One alert; times are seconds since 1970."""

    id: str
    rule: RuleName
    subject: str
    severity: Severity
    text: str
    text_uk: str
    began_at: float
    fired_at: float | None = None
    ended_at: float | None = None
    told_at: float | None = None
    """when somebody last got it"""
    cleared_at: float | None = None
    """when somebody last got the all-clear"""
    heard: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    """who got it, by route: when last, and when the all-clear"""
    acked_at: float | None = None
    acked_by: str | None = None
    note: str | None = None
    seen_at: float = 0.0
    """when a look last saw it; in memory only"""

    @property
    def state(self) -> State:
        """How far it has come."""
        return "over" if self.ended_at is not None else "pending" if self.fired_at is None else "firing"

    def told(self) -> dict[str, Any]:
        """What a message, a page or a command says of it."""
        return {
            "id": self.id, "rule": self.rule, "subject": self.subject,
            "connection": self.subject if self.rule in CONNECTION_RULES else None,
            "route": self.subject if self.rule in ROUTE_RULES else None,
            "severity": self.severity, "state": self.state, "text": self.text, "text_uk": self.text_uk,
            "began_at": self.began_at, "fired_at": self.fired_at, "ended_at": self.ended_at, "told_at": self.told_at,
            "acked_at": self.acked_at, "acked_by": self.acked_by, "note": self.note,
        }  # fmt: skip


CONNECTION_RULES = frozenset({"connection_down", "connection_degraded", "connection_flapping", "certificate", "drift"})
ROUTE_RULES = frozenset({"dead_letters", "queue_age", "uncertain"})


def restored(row: Mapping[Any, Any], seen_at: float = 0.0) -> Alert:
    """The alert of a row of the table."""
    known = {str(name): row[name] for name in row if name != "heard"}
    told = {to: (at, cleared) for to, (at, cleared) in orjson.loads(row["heard"] or "{}").items()}
    return Alert(**known, heard=told, seen_at=seen_at)


class Silence(NamedTuple):
    """What nobody is told of for a while."""

    rule: str | None
    subject: str | None
    until: float

    def covers(self, alert: Alert, now: float) -> bool:
        """Whether it speaks of this one, now."""
        return now < self.until and self.rule in (None, alert.rule) and self.subject in (None, alert.subject)


class Book:
    """The alerts that are not over, and those that are while nobody has been told so."""

    def __init__(self, alerts: Iterable[Alert] = ()) -> None:
        self.open: dict[tuple[str, str], Alert] = {(alert.rule, alert.subject): alert for alert in alerts}

    def turn(self, found: Iterable[Finding], now: float, rules: Alerts, new_id: Callable[[], str]) -> list[Alert]:
        """Takes a look up; returns the alerts that are to be written. One that never fired is forgotten, not told."""
        changed: list[Alert] = []
        for finding in found:
            rule = rules.rule(finding.rule)
            if rule is None:
                continue
            at = (finding.rule, finding.subject)
            alert = self.open.get(at)
            if alert is None:
                said = (finding.text, finding.text_uk)
                alert = self.open[at] = Alert(new_id(), finding.rule, finding.subject, rule.severity, *said, now)
                changed.append(alert)
            elif alert.ended_at is not None:  # for who has not heard so it has never been over
                alert.ended_at = None
                alert.heard = {to: at for to, at in alert.heard.items() if at[1] is None}
                changed.append(alert)
            alert.seen_at = now
            if (rule.severity, *finding[2:]) != (alert.severity, alert.text, alert.text_uk):
                alert.severity, alert.text, alert.text_uk = rule.severity, finding.text, finding.text_uk
                changed.append(alert)
            if alert.fired_at is None and now - alert.began_at >= rule.wait:
                alert.fired_at = now
                changed.append(alert)
        for key, alert in list(self.open.items()):
            if alert.ended_at is None and now - alert.seen_at >= float(rules.clear):
                alert.ended_at = now
                changed.append(alert)
            if alert.ended_at is not None and not alert.heard:
                del self.open[key]
        return list({id(alert): alert for alert in changed}.values())

    def care(self, cared: Mapping[str, tuple[float, str, str | None]]) -> None:
        """Takes up who acknowledged what, by id: when, who, and the note."""
        for alert in self.open.values():
            if alert.id in cared:
                alert.acked_at, alert.acked_by, alert.note = cared[alert.id]

    def to_tell(
        self,
        to: str,
        now: float,
        rules: Alerts,
        silences: Iterable[Silence],
        wants: Callable[[Alert], bool] = lambda alert: True,
    ) -> list[Alert]:
        """What one listener must be told now: what fires, once more after `repeat` unless acknowledged, all-clears."""
        quiet = list(silences)
        due = [
            alert
            for alert in self.open.values()
            if wants(alert)
            and _is_due(alert, alert.heard.get(to), now, float(rules.repeat))
            and not any(silence.covers(alert, now) for silence in quiet)
        ]
        # The first of several waits for the others, so that one message tells what happened.
        fresh = [alert.fired_at for alert in due if to not in alert.heard and alert.fired_at is not None]
        if fresh and now - min(fresh) < float(rules.group):
            due = [alert for alert in due if to in alert.heard]
        return due

    def mark(self, told: Mapping[str, Iterable[Alert]], now: float) -> None:
        """They were told, by listener."""
        for to, alerts in told.items():
            for alert in alerts:
                alert.heard[to] = heard(alert, to, now)
                if alert.ended_at is not None:
                    alert.cleared_at = now
                else:
                    alert.told_at = now

    def settle(self, listeners: Collection[str]) -> None:
        """Forgets what is over and everybody has heard so who is still there to hear."""
        for key, alert in list(self.open.items()):
            waits = any(to in listeners and cleared is None for to, (_, cleared) in alert.heard.items())
            if alert.ended_at is not None and not waits:
                del self.open[key]


def heard(alert: Alert, to: str, now: float) -> tuple[float, float | None]:
    """What a listener has heard of an alert that is told to it now."""
    return (now, None) if alert.ended_at is None else (alert.heard[to][0], now)


def _is_due(alert: Alert, heard: tuple[float, float | None] | None, now: float, repeat: float) -> bool:
    if alert.fired_at is None:
        return False
    if alert.ended_at is not None:
        return heard is not None and heard[1] is None
    if heard is None:
        return True
    return alert.acked_at is None and now - heard[0] >= repeat


def summary(told: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The body of a message that tells these alerts."""
    alerts = sorted(told, key=lambda each: (each["state"] == "over", -loudness(each["severity"])))
    firing = [each for each in alerts if each["state"] != "over"]
    first = alerts[0]
    more = f" (+{len(alerts) - 1})" if len(alerts) > 1 else ""
    return {
        "state": "firing" if firing else "over",
        "severity": first["severity"],
        "count": len(alerts),
        "subject": f"{_word(first)}: {first['text']}{more}",
        "subject_uk": f"{_word_uk(first)}: {first['text_uk']}{more}",
        "text": "\n".join(f"{_word(each)}: {each['text']}" for each in alerts),
        "text_uk": "\n".join(f"{_word_uk(each)}: {each['text_uk']}" for each in alerts),
        "alerts": alerts,
    }


_UK = {"critical": "КРИТИЧНО", "warning": "УВАГА", "info": "ДО ВІДОМА"}


def _word(alert: Mapping[str, Any]) -> str:
    return "OVER" if alert["state"] == "over" else str(alert["severity"]).upper()


def _word_uk(alert: Mapping[str, Any]) -> str:
    return "МИНУЛО" if alert["state"] == "over" else _UK[str(alert["severity"])]
