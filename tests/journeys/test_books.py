"""The parties' files are read as they were written."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from partners.records import Lines, Recorder
from tests.journeys import books
from tests.journeys.client import Client
from tests.journeys.ledger import Final, Seen, Sent

XML = "<Appeal><Id>a1</Id><Applicant><Phone>+380</Phone></Applicant><Text>Немає &lt;води&gt;</Text></Appeal>"


def test_what_the_register_saw_is_told_by_the_id_that_the_client_knows(tmp_path: Path) -> None:
    """Questions are left out; the idempotency key is the accepted message's id."""
    recorder = Recorder(Lines(tmp_path / "seen.jsonl"))
    recorder.bodies = True
    headers = {"X-Pipe-Message-Id": "d1", "Idempotency-Key": "a1", "X-Pipe-Attempt": "3"}
    recorder.saw(headers, "POST", "/registry/appeals", XML.encode(), "ok", 201)
    recorder.saw({}, "GET", "/registry/persons/1", b"", "ok", 200)
    recorder.close()
    assert books.seen(tmp_path / "seen.jsonl") == [Seen("a1", "ok", "+380|Немає <води>", said=3)]


def test_a_truncated_body_means_nothing_that_was_sent() -> None:
    """So that the ledger finds it."""
    assert books.meaning(XML[:-20]).startswith("unreadable")


async def test_what_the_client_noted_is_read_back(tmp_path: Path, unused_tcp_port: int) -> None:
    """Nobody listens: the client notes a refusal before it tries again."""
    client = Client(tmp_path / "sent.jsonl", lambda: f"http://127.0.0.1:{unused_tcp_port}")
    outcome = await client.attempt(Sent("k", "unknown", None, "m", "o", 7), b"{}")
    await client.close()
    assert books.sent(tmp_path / "sent.jsonl") == [outcome] == [Sent("k", "refused", None, "m", "o", 7)]


@pytest.mark.parametrize(("origin", "expected"), [(None, "m1"), ("m0", "m0")])
def test_what_a_flow_emitted_is_told_by_what_was_accepted(origin: str | None, expected: str) -> None:
    """The delivery's own id is the gateway's business."""
    row = {"id": "m1", "origin": origin, "route": "appeals", "station": "registry", "state": "dead"}
    rows = [{**row, "maybe_delivered": 1}, {**row, "station": "sms", "maybe_delivered": 0}]
    found = books.final(orjson.loads(orjson.dumps(rows)), "appeals")
    assert found == [Final(expected, "dead", maybe_delivered=True)]
