"""A partner's trace goes through the gateway and on, over a retry and a kill; the collector is told what happened."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from pipe.tracing import read
from tests.adapters.raw_server import RawServer, reply, serving
from tests.journeys.conftest import has
from tests.journeys.gateway import Gateway

pytestmark = pytest.mark.journey

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TEXT = """version: 1
traces:
  otlp: "http://127.0.0.1:{collector}/v1/traces"
  headers: {{Authorization: "${{env:COLLECTOR}}"}}
  service: gateway-of-the-centre
  sample: 100%
  timeout: 2s
connections:
  callers: {{type: http_server, auth: none}}
  partner: {{type: http_client, url: "http://127.0.0.1:{partner}", reconnect: {{first: 100ms, max: 100ms}}}}
routes:
  appeals:
    from: {{connection: callers, path: /appeals}}
    retry: {{attempts: 50, first: 200ms, max: 200ms}}
    to: {{connection: partner, post: /appeals, idempotent: true}}
"""


def spans(collector: RawServer) -> list[Span]:
    """What the collector was told so far, decoded by the official messages."""
    found: list[Span] = []
    for request in collector.requests:
        assert (request.method, request.target) == ("POST", "/v1/traces")
        assert request.headers["content-type"] == "application/x-protobuf"
        assert request.headers["authorization"] == "Bearer of-the-collector"
        whole = ExportTraceServiceRequest.FromString(request.body)
        (resource,) = whole.resource_spans
        assert [(each.key, each.value.string_value) for each in resource.resource.attributes] == [
            ("service.name", "gateway-of-the-centre")
        ]
        found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


@pytest.mark.key("top.traces", "traces.otlp", "traces.headers", "traces.service", "traces.sample", "traces.timeout")
async def test_a_trace_goes_through_a_retry_and_a_kill(tmp_path: Path) -> None:
    """One trace: the caller's span, the arrival below it, each attempt below that; the partner sees the attempt's."""
    config = tmp_path / "connections.yaml"
    partner, collector = RawServer(), RawServer()
    partner.answers(reply(503), reply(200))
    async with serving(partner), serving(collector), aiohttp.ClientSession() as client:
        config.write_text(TEXT.format(partner=partner.port, collector=collector.port), encoding="utf-8")
        gateway = Gateway(tmp_path / "data", config, environment={"COLLECTOR": "Bearer of-the-collector"})
        await gateway.start()
        said = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1"}
        async with client.post(f"{gateway.address}/pipe/appeals", data=b"1", headers=said) as answer:
            assert answer.status == 202
            first = (await answer.json())["id"]
        async with client.post(f"{gateway.address}/pipe/appeals", data=b"2") as answer:
            assert answer.status == 202
        await has(lambda: len(partner.requests) >= 3 and len(spans(collector)) >= 5)
        await gateway.kill9()
        await gateway.start()
        async with client.post(f"{gateway.address}/pipe/appeals", data=b"3", headers=said) as answer:
            assert answer.status == 202
        await has(lambda: len(spans(collector)) >= 7)
        assert await gateway.stop() == 0
    told = [span for span in spans(collector) if span.trace_id.hex() == TRACE]
    ours = [span for span in told if {"pipe.message": first}.items() <= _facts(span).items()]
    arrival = next(span for span in ours if span.name == "receive appeals")
    attempts = [span for span in ours if span.name == "send appeals partner"]
    assert arrival.parent_span_id.hex() == CALLER
    assert {span.parent_span_id for span in attempts} == {arrival.span_id}
    seen = [read(request.headers) for request in partner.requests if request.body == b"1"]
    assert [each and (each.id, each.sampled) for each in seen] == [(TRACE, True)] * len(attempts)
    assert [each and each.caller for each in seen] == [span.span_id.hex() for span in attempts]
    assert {request.headers.get("tracestate") for request in partner.requests if request.body != b"2"} == {"vendor=1"}
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in told)
    failed = [span for span in spans(collector) if span.status.code == Status.STATUS_CODE_ERROR]
    assert [_facts(span)["error.type"] for span in failed] == ["PIPE-2004"]
    begun = {span.trace_id.hex() for span in spans(collector)} - {TRACE}
    alone = [read(request.headers) for request in partner.requests if request.body == b"2"]
    assert [each and each.id for each in alone] == [*begun]  # the one that came without a trace


async def test_a_collector_that_is_away_holds_up_nothing(tmp_path: Path) -> None:
    """Messages go through; the log says it once."""
    config = tmp_path / "connections.yaml"
    partner = RawServer()
    async with serving(partner), aiohttp.ClientSession() as client:
        text = TEXT.format(partner=partner.port, collector=1)
        config.write_text(text, encoding="utf-8")
        gateway = Gateway(tmp_path / "data", config, environment={"COLLECTOR": "Bearer of-the-collector"})
        await gateway.start()
        for n in range(3):
            async with client.post(f"{gateway.address}/pipe/appeals", data=b"%d" % n) as answer:
                assert answer.status == 202
            await has(lambda n=n: len(partner.requests) > n)  # type: ignore[misc]
        await has(lambda: "does not take spans" in gateway.last_words())
        assert await gateway.stop() == 0
    assert gateway.log.read_text().count("does not take spans") == 1


async def _true(value: bool) -> bool:
    return value


def _facts(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value for each in span.attributes}
