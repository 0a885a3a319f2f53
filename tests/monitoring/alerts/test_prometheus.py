"""The rules as Prometheus has them: its own tool reads them, and its own server fires by them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import aiohttp
import pytest
import yaml

from monitoring.alerts.prometheus import QUESTIONS, name_of, rule_file
from pipe.config.alerts import RULES, Alerts
from pipe.contract import Health
from tests.journeys.conftest import until
from tests.pipe.running import Partner, running

TOOLS = shutil.which("promtool"), shutil.which("prometheus")
needs_prometheus = pytest.mark.skipif(None in TOOLS, reason="Prometheus is not installed: apt install prometheus")

CONFIG = """version: 1
connections:
  callers: {type: http_server, auth: none}
  crm: {type: http_client, url: "%s"}
alerts: {rules: {connection_down: {for: 1s}, clock_step: {off: true}}}
routes:
  r:
    from: {connection: callers, path: /r}
    steps: [{decode: json}, {map: {n: "to_int(body.n)"}}]
    to: {connection: crm, post: /x}
"""
UNIT = """rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'gw_build_info{version="1"}', values: '1x40'}
      - {series: 'gw_connection_state{connection="crm", kind="http_client", state="down"}', values: '0 1x4 0x40'}
      - {series: 'gw_connection_events_total{connection="sms", event="down"}', values: '0 1 2 3 4 5 5x40'}
      - {series: 'gw_certificate_days{connection="crm", whose="partner"}', values: '15x5 13x40'}
      - {series: 'gw_queue_oldest_age_seconds{queue="held"}', values: '2000x40'}
      - {series: 'gw_queue_held{queue="held"}', values: '1x40'}
      - {series: 'gw_queue_oldest_age_seconds{queue="stuck"}', values: '2000x40'}
      - {series: 'gw_queue_held{queue="stuck"}', values: '0x40'}
      - {series: 'gw_alerts{rule="books"}', values: '0x5 1x40'}
    alert_rule_test:
      - {eval_time: 2m, alertname: PipeConnectionDown, exp_alerts: []}
      - eval_time: 4m
        alertname: PipeConnectionDown
        exp_alerts:
          - exp_labels: {connection: crm, kind: http_client, state: down, severity: critical, rule: connection_down}
            exp_annotations: {summary: 'crm is down: `pipe doctor crm`', runbook: docs/howto/alerts.md}
      - {eval_time: 8m, alertname: PipeConnectionDown, exp_alerts: []}
      - eval_time: 6m
        alertname: PipeConnectionFlapping
        exp_alerts:
          - exp_labels: {connection: sms, event: down, severity: warning, rule: connection_flapping}
            exp_annotations: {summary: 'sms broke 5 times', runbook: docs/howto/alerts.md}
      - {eval_time: 30m, alertname: PipeConnectionFlapping, exp_alerts: []}
      - eval_time: 8m
        alertname: PipeCertificate
        exp_alerts:
          - exp_labels: {connection: crm, whose: partner, severity: warning, rule: certificate}
            exp_annotations: {summary: 'crm: a certificate (partner) ends in 13 days', runbook: docs/howto/alerts.md}
      - eval_time: 1m
        alertname: PipeQueueAge
        exp_alerts:
          - exp_labels: {queue: stuck, severity: warning, rule: queue_age}
            exp_annotations:
              summary: 'stuck: the oldest delivery has waited for 33m 20s'
              runbook: docs/howto/alerts.md
      - {eval_time: 4m, alertname: PipeBooks, exp_alerts: []}
      - eval_time: 7m
        alertname: PipeBooks
        exp_alerts:
          - exp_labels: {severity: critical, rule: books}
            exp_annotations: {summary: 'the books do not balance: `pipe ledger verify`', runbook: docs/howto/alerts.md}
  - interval: 1m
    alert_rule_test:
      - eval_time: 3m
        alertname: PipeGatewayAbsent
        exp_alerts:
          - exp_labels: {severity: critical, rule: gateway_absent}
            exp_annotations:
              summary: 'nobody answers at /metrics: look whether the gateway runs, and at /ready'
              runbook: docs/howto/alerts.md
"""


def test_every_rule_is_in_the_file_as_it_is_in_force() -> None:
    """What is off is not there; the others have their own numbers, times and severities."""
    alerts = Alerts.model_validate(
        {"rules": {"disk": {"off": True}, "dead_letters": {"over": 7, "for": "90500ms", "severity": "info"}}},
        strict=False,
    )
    rules = {rule["alert"]: rule for rule in yaml.safe_load(rule_file(alerts))["groups"][0]["rules"]}
    assert rules.keys() == {*(name_of(name) for name in RULES if name != "disk"), "PipeGatewayAbsent"}
    letters = rules["PipeDeadLetters"]
    assert (letters["expr"], letters["for"], letters["labels"]["severity"]) == (
        "gw_dead_letters > 7",
        "90500ms",
        "info",
    )
    assert QUESTIONS.keys() == RULES.keys()


@needs_prometheus
def test_promtool_reads_the_rules_and_they_fire_when_they_should(tmp_path: Path) -> None:
    """Debian's own: the file is sound, and on made-up numbers each kind of rule fires, says why, and is over again."""
    rules = Alerts.model_validate({"rules": {"books": {"for": "60s"}}}, strict=False)
    (tmp_path / "rules.yml").write_text(rule_file(rules), encoding="utf-8")
    (tmp_path / "unit.yml").write_text(UNIT, encoding="utf-8")
    for what in (["check", "rules", "rules.yml"], ["test", "rules", "unit.yml"]):
        done = subprocess.run([TOOLS[0] or "", *what], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
async def test_a_prometheus_scrapes_a_gateway_and_fires(tmp_path: Path, unused_tcp_port: int) -> None:
    """A connection that is down and a dead letter; nothing else of what is well."""
    async with Partner() as crm:
        (tmp_path / "c.yaml").write_text(CONFIG % crm.url, encoding="utf-8")
        async with running(tmp_path / "c.yaml") as gateway, aiohttp.ClientSession() as client:
            address = gateway.addresses()["default"]
            (tmp_path / "rules.yml").write_text(rule_file(gateway.engine.configuration.alerts), encoding="utf-8")
            (tmp_path / "prometheus.yml").write_text(_scrapes(address), encoding="utf-8")
            async with client.post(f"{address}/pipe/r", data=b'{"n": "none"}') as answer:
                assert answer.status == 202
            gateway.engine.connections["crm"].note(Health("down", "it refuses"))
            arguments = [
                f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{unused_tcp_port}", "--log.level=warn",
            ]  # fmt: skip
            with (tmp_path / "prometheus.log").open("wb") as log:
                process = subprocess.Popen([TOOLS[1] or "", *arguments], stdout=log, stderr=log)
            firing: set[tuple[str, str]] = set()

            async def fires() -> bool:
                try:
                    async with client.get(f"http://127.0.0.1:{unused_tcp_port}/api/v1/alerts") as answer:
                        alerts = (await answer.json())["data"]["alerts"]
                except aiohttp.ClientError:
                    assert process.poll() is None, (tmp_path / "prometheus.log").read_text()
                    return False
                firing.clear()
                firing.update(
                    (each["labels"]["alertname"], each["labels"].get("connection") or each["labels"].get("pipe", ""))
                    for each in alerts
                    if each["state"] == "firing"
                )
                return len(firing) >= 2

            try:
                await until(fires, 120)
            finally:
                process.terminate()
                process.wait(30)
    assert firing == {("PipeConnectionDown", "crm"), ("PipeDeadLetters", "r")}


def _scrapes(address: str) -> str:
    return f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - {{job_name: pipe, static_configs: [{{targets: ['{address.removeprefix("http://")}']}}]}}
"""
