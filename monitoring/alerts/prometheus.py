"""The rules of `alerts:` as a rule file for Prometheus, over the numbers of `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import yaml

from pipe.config.alerts import RULES, Alerts, BuiltIn, RuleName

GROUP = "pipe"
ABSENT_S = 120.0
_DAY_S = 86_400.0

Question = Callable[[BuiltIn], str]
QUESTIONS: dict[RuleName, tuple[Question, str]] = {
    "connection_down": (
        lambda rule: 'gw_connection_state{state="down"} == 1',
        "{{ $labels.connection }} is down: `pipe doctor {{ $labels.connection }}`",
    ),
    "connection_degraded": (
        lambda rule: 'gw_connection_state{state="degraded"} == 1',
        "{{ $labels.connection }} works badly: `pipe connections`",
    ),
    "connection_flapping": (
        lambda rule: f'increase(gw_connection_events_total{{event="down"}}[{_span(rule.age)}]) > {rule.over}',
        "{{ $labels.connection }} broke {{ $value | humanize }} times",
    ),
    "certificate": (
        lambda rule: f"gw_certificate_days < {(rule.age or 0) / _DAY_S:g}",
        "{{ $labels.connection }}: a certificate ({{ $labels.whose }}) ends in {{ $value | humanize }} days",
    ),
    "drift": (
        lambda rule: f"gw_drift > {rule.over}",
        "{{ $labels.connection }} gives other data than it did: `pipe drift {{ $labels.connection }}`",
    ),
    "dead_letters": (
        lambda rule: f"gw_dead_letters > {rule.over}",
        "{{ $labels.pipe }} has {{ $value }} dead letters: `pipe dead list --route {{ $labels.pipe }}`",
    ),
    "queue_age": (
        lambda rule: f"gw_queue_oldest_age_seconds > {rule.age:g} unless on (queue) gw_queue_held == 1",
        "{{ $labels.queue }}: the oldest delivery has waited for {{ $value | humanizeDuration }}",
    ),
    "uncertain": (
        lambda rule: f"gw_uncertain > {rule.over}",
        "{{ $labels.pipe }}: of {{ $value }} sent, nobody knows whether they arrived: `pipe resolve`",
    ),
    "disk": (lambda rule: "gw_disk_low == 1", "the disk is below its floor: nothing is accepted, deliveries go on"),
    "clock_step": (lambda rule: "gw_clock_stepped == 1", "the wall clock stepped: nothing expires for ten minutes"),
    # Only the gateway itself can count all rows; what it found is told on.
    "books": (lambda rule: 'gw_alerts{rule="books"} > 0', "the books do not balance: `pipe ledger verify`"),
    "audit": (lambda rule: 'gw_alerts{rule="audit"} > 0', "the audit was altered: `pipe audit verify`"),
}
"""what each rule asks of the numbers, and what it says where the answer is yes"""


def rule_file(alerts: Alerts) -> str:
    """YAML that Prometheus loads by `rule_files:`. What is off is left out; what Prometheus alone sees is added."""
    groups = [{"name": GROUP, "rules": [*_rules(alerts), _absent()]}]
    text: str = yaml.safe_dump({"groups": groups}, sort_keys=False, allow_unicode=True, width=120)
    return f"# Written by `pipe alerts prometheus` from `alerts:`; write it again when that changes.\n{text}"


def name_of(rule: str) -> str:
    """`connection_down` as Prometheus names alerts: `PipeConnectionDown`."""
    return "Pipe" + "".join(word.capitalize() for word in rule.split("_"))


def _rules(alerts: Alerts) -> Iterator[dict[str, Any]]:
    for name in RULES:
        rule = alerts.rule(name)
        if rule is not None:
            ask, say = QUESTIONS[name]
            yield _rule(name, ask(rule), rule.wait, rule.severity, say)


def _absent() -> dict[str, Any]:
    say = "nobody answers at /metrics: look whether the gateway runs, and at /ready"
    return _rule("gateway_absent", "absent(gw_build_info)", ABSENT_S, "critical", say)


def _rule(name: str, ask: str, wait_s: float, severity: str, say: str) -> dict[str, Any]:
    waits = {"for": _span(wait_s)} if wait_s else {}
    labels, says = {"severity": severity, "rule": name}, {"summary": say, "runbook": "docs/howto/alerts.md"}
    return {"alert": name_of(name), "expr": ask, **waits, "labels": labels, "annotations": says}


def _span(seconds: float | None) -> str:
    """A duration as Prometheus writes it."""
    return f"{round((seconds or 0) * 1000)}ms" if (seconds or 0) % 1 else f"{int(seconds or 0)}s"
