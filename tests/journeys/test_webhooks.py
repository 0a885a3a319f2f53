"""The whole gateway between two webhooks, killed without warning while they come in."""

from __future__ import annotations

import time
from pathlib import Path

import aiohttp
import pytest

from adapters.http_signature import Signature, secrets_of
from tests.adapters.raw_server import RawServer, serving
from tests.adapters.smtp_bench import serving as mail_server
from tests.adapters.test_webhook_receiving import NEW, OLD, sign
from tests.journeys.conftest import until
from tests.journeys.gateway import Gateway

pytestmark = pytest.mark.journey

TEXT = """version: 1
connections:
  crm: {{type: webhook, secret: "${{file:in.secret}}"}}
  onward: {{type: webhook, secret: "${{file:out.secret}}", url: "http://127.0.0.1:{port}/in"}}
  mail:
    type: smtp
    url: "smtp://127.0.0.1:{mail}"
    starttls: false
    sender: "Центр <noreply@gov.example>"
routes:
  tickets:
    from: {{connection: crm}}
    steps: [{{decode: json}}]
    to:
      - {{connection: onward, event: ticket}}
      - connection: mail
        when: "body.n == `7`"
        send: "${{body.to}}"
        subject: "Звернення № ${{body.n}}"
        text: "Так"
"""


async def test_what_was_answered_200_arrives_however_often_it_is_killed(tmp_path: Path) -> None:
    """A sender that repeats what got no 200 loses nothing, and what it repeats needlessly is stored once."""
    (tmp_path / "in.secret").write_text(OLD, encoding="utf-8")
    (tmp_path / "out.secret").write_text(NEW, encoding="utf-8")
    config = tmp_path / "connections.yaml"
    async with serving(RawServer()) as server, mail_server() as mail, aiohttp.ClientSession() as client:
        config.write_text(TEXT.format(port=server.port, mail=mail.port), encoding="utf-8")
        gateway = Gateway(tmp_path / "data", config)
        await gateway.start()

        async def post(number: int) -> bool:
            body, name, at = b'{"n":%d,"to":"olena@example.org"}' % number, f"msg-{number}", int(time.time())
            claim = f"v1,{sign(OLD, name, at, body)}"
            headers = {"webhook-id": name, "webhook-timestamp": str(at), "webhook-signature": claim}
            try:
                async with client.post(f"{gateway.address}/hooks/crm", data=body, headers=headers) as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        try:
            for number in range(120):
                if number in {40, 80}:
                    await gateway.kill9()
                    assert not await post(number)
                    await gateway.start()
                await until(lambda number=number: post(number))  # type: ignore[misc]
                if number % 10 == 0:
                    assert await post(number), "a repetition gets its 200"

            async def arrived() -> bool:
                return len({request.headers["webhook-id"] for request in server.requests}) >= 120

            await until(arrived, 60)
            await until(lambda: _true(bool(mail.envelopes)), 30)
            told = await gateway.pipe("ledger", "--json")
        finally:
            await gateway.stop()
    (row,) = (row for row in told if row["route"] == "tickets")
    assert row["accepted"] == 240, "each webhook once, with its two targets"
    first = server.requests[0]
    signature = Signature(first.headers, [("x", secret) for secret in secrets_of(NEW)], time.time())
    signature.feed(first.body)
    assert signature.check() == "x"
    assert [str(one["Subject"]) for one in mail.mails] == ["Звернення № 7"]


async def _true(value: bool) -> bool:
    return value
