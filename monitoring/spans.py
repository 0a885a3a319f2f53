"""What the engine tells, as spans of OpenTelemetry. Loads protobuf, so it is imported where `traces:` is said only."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from pipe import tracing
from pipe.contract import Message
from pipe.events import Arrived, Attempted
from pipe.store.schema import ANSWERED, CONSUMED, DELIVERED, DISCARDED

_WELL = frozenset({DELIVERED, CONSUMED, ANSWERED, DISCARDED})


def request(service: str, spans: Sequence[Span]) -> bytes:
    """The body of one request to a collector."""
    resource = Resource(attributes=[_said("service.name", service)])
    scope = ScopeSpans(scope=InstrumentationScope(name="pipe"), spans=spans)
    whole = ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope])])
    body: bytes = whole.SerializeToString()
    return body


def arrived(event: Arrived, share: float, now: float) -> Span | None:
    """The span of an arrival that ends `now`; None where its trace is not kept, and of repetitions and refusals."""
    if event.message is None or event.outcome != "accepted":
        return None
    # One that came without a trace began one: the same that the door wrote down.
    trace = tracing.read(tracing.stamped(event.headers or {}, event.message, share))
    if trace is None or not trace.sampled:
        return None
    own, (start, end) = tracing.span(event.message), _times(now, event.seconds)
    facts = {"messaging.operation.type": "receive", "pipe.route": event.route, "pipe.message": event.message}
    return Span(
        trace_id=bytes.fromhex(trace.id),
        span_id=bytes.fromhex(own),
        parent_span_id=b"" if trace.caller == own else bytes.fromhex(trace.caller),
        name=f"receive {event.route}",
        kind=Span.SPAN_KIND_SERVER,
        attributes=[_said(key, value) for key, value in facts.items()],
        start_time_unix_nano=start,
        end_time_unix_nano=end,
    )


def attempted(event: Attempted, now: float) -> Span | None:
    """The span of an attempt that ends `now`; None where its trace is not kept."""
    if event.of is None or (trace := tracing.trace_of(event.of)) is None or not trace.sampled:
        return None
    verb = "process" if event.connection is None else "send"
    facts = {
        "messaging.operation.type": verb,
        "pipe.route": event.route,
        "pipe.station": event.station,
        "pipe.connection": event.connection,
        "pipe.message": event.message,
        "pipe.outcome": event.outcome,
        "pipe.attempt": str(event.attempt),
        "error.type": event.code,
    }
    start, end = _times(now, event.seconds)
    delivery = event.message if event.station == event.connection else f"{event.message}.{event.station}"
    return Span(
        trace_id=bytes.fromhex(trace.id),
        span_id=bytes.fromhex(tracing.attempt_span(delivery, event.attempt)),
        parent_span_id=bytes.fromhex(_above(event.of, trace)),
        name=f"{verb} {event.route} {event.station}",
        kind=Span.SPAN_KIND_INTERNAL if event.connection is None else Span.SPAN_KIND_CLIENT,
        attributes=[_said(key, value) for key, value in facts.items() if value is not None],
        status=Status() if event.outcome in _WELL else Status(code=Status.STATUS_CODE_ERROR, message=event.code or ""),
        start_time_unix_nano=start,
        end_time_unix_nano=end,
    )


def _times(end: float, seconds: float) -> tuple[int, int]:
    return int((end - seconds) * 1e9), int(end * 1e9)


def _above(message: Message, trace: tracing.Trace) -> str:
    """The span below which an attempt stands: the one of the message's arrival, where it came through a door itself."""
    return tracing.span(message.id) if message.hops == 0 and message.parent is None else trace.caller


def _said(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
