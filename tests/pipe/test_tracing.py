"""W3C Trace Context: what is read of it, and what goes on to partners."""

from __future__ import annotations

import pytest

from pipe import tracing
from pipe.contract import Message, Outgoing, Timeout

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAID = f"00-{TRACE}-{CALLER}-01"


@pytest.mark.parametrize(
    ("said", "sampled"),
    [
        (SAID, True),
        (f"00-{TRACE}-{CALLER}-00", False),
        (f"00-{TRACE}-{CALLER}-03", True),
        (f"cc-{TRACE}-{CALLER}-01-x", True),
    ],
)
def test_what_is_well_made_is_read(said: str, *, sampled: bool) -> None:
    """Also of a version to come, which may say more behind."""
    assert tracing.read({"traceparent": said}) == (TRACE, CALLER, sampled)


@pytest.mark.parametrize(
    "said",
    [
        "", "00", SAID.upper(), f" {SAID}", f"{SAID}-x", f"ff-{TRACE}-{CALLER}-01", f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{CALLER}-1", f"00-{TRACE[1:]}-{CALLER}-01",
        f"{SAID}, {SAID}", f"{SAID}\n",
    ],
)  # fmt: skip
def test_what_is_not_well_made_is_no_trace(said: str) -> None:
    """As the specification demands; such a message begins a trace of its own."""
    assert tracing.read({"traceparent": said}) is None
    stamped = tracing.read(tracing.stamped({"traceparent": said}, "m-1", 1.0))
    assert stamped is not None
    assert stamped.id != TRACE


def test_each_attempt_has_a_span_of_its_own_in_the_callers_trace() -> None:
    """The same whenever it is asked for; `tracestate` goes along."""
    message = Message("m-1", "r", b"", {"traceparent": SAID, "tracestate": "a=1"})
    sent = [dict(Outgoing(message, None, "m-1.crm", attempt, Timeout()).trace) for attempt in (1, 2, 1)]
    found = [tracing.read(each) for each in sent]
    assert [each and (each.id, each.sampled) for each in found] == [(TRACE, True)] * 3
    assert found[0] == found[2] != found[1]
    assert {each["tracestate"] for each in sent} == {"a=1"}


def test_what_a_split_made_stays_in_the_trace_of_the_whole() -> None:
    """Its own headers are its own; those of the whole are asked."""
    item = Message("m-2", "r", b"", {"x": "1"}, parent={"id": "m-1", "name": "", "headers": {"traceparent": SAID}})
    assert tracing.trace_of(item) == (TRACE, CALLER, True)
    assert dict(Outgoing(Message("m-3", "r", b""), None, "m-3", 1, Timeout()).trace) == {}


def test_as_many_traces_are_kept_as_was_said() -> None:
    """By the trace's own id, so that all who look decide alike."""
    begun = [tracing.read(tracing.stamped({}, f"m-{n}", 0.1)) for n in range(2000)]
    kept = sum(each is not None and each.sampled for each in begun)
    assert 120 < kept < 280
    assert {each and each.sampled for each in (tracing.read(tracing.stamped({}, f"m-{n}", 0)) for n in range(50))} == {
        False
    }
