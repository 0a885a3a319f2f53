"""The life of an alert: it begins, fires once it has lasted, is told, and is over. Pure of store and clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

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
    cleared_at: float | None = None
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


CONNECTION_RULES = frozenset({"connection_down", "connection_degraded", "connection_flapping", "certificate"})
ROUTE_RULES = frozenset({"dead_letters", "queue_age", "uncertain"})


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
            elif alert.ended_at is not None:  # and nobody has heard so: for them it has never been over
                alert.ended_at = None
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
            if alert.ended_at is not None and alert.told_at is None:
                del self.open[key]
        return list({id(alert): alert for alert in changed}.values())

    def care(self, cared: Mapping[str, tuple[float, str, str | None]]) -> None:
        """Takes up who acknowledged what, by id: when, who, and the note."""
        for alert in self.open.values():
            if alert.id in cared:
                alert.acked_at, alert.acked_by, alert.note = cared[alert.id]

    def to_tell(self, now: float, rules: Alerts, silences: Iterable[Silence]) -> list[Alert]:
        """What somebody must be told now: what fires, once more after `repeat` unless acknowledged, and all-clears."""
        quiet = list(silences)
        due = [
            alert
            for alert in self.open.values()
            if _is_due(alert, now, float(rules.repeat)) and not any(silence.covers(alert, now) for silence in quiet)
        ]
        # The first of several waits for the others, so that one message tells what happened.
        fresh = [alert.fired_at for alert in due if alert.told_at is None and alert.fired_at is not None]
        if fresh and now - min(fresh) < float(rules.group):
            due = [alert for alert in due if alert.told_at is not None]
        return due

    def mark(self, told: Iterable[Alert], now: float) -> None:
        """They were told."""
        for alert in told:
            if alert.ended_at is not None:
                alert.cleared_at = now
                self.open.pop((alert.rule, alert.subject), None)
            else:
                alert.told_at = now


def _is_due(alert: Alert, now: float, repeat: float) -> bool:
    if alert.fired_at is None:
        return False
    if alert.ended_at is not None:
        return alert.told_at is not None and alert.cleared_at is None
    if alert.told_at is None:
        return True
    return alert.acked_at is None and now - alert.told_at >= repeat


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
