"""Webhooks that go out: signed, with one id for all attempts; and Slack's, whose answers are words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.http_signature import Signature, secrets_of
from adapters.webhook import Webhook
from adapters.webhook.config import WebhookConfig, WebhookSubscription, WebhookTarget
from pipe.contract import Blob, Message, Outgoing, Timeout
from pipe.errors import Busy, MappingFailed, NotAuthorised, PipeError, Refused
from pipe.testing import FakeServices, FaultProxy, faults
from tests.adapters.http_bench import PATIENT, QUICK
from tests.adapters.pki import Pki
from tests.adapters.raw_server import RawServer, reply, says, serving
from tests.adapters.test_webhook_receiving import NEW, OLD, written

BOTH_LOOPS = True


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    """A receiver that answers 200 to everything."""
    async with serving(RawServer()) as running:
        yield running


def attempt(
    body: Any = b'{"n":7}',
    *,
    plain: Any = None,
    timeout: Timeout = PATIENT,
    to: WebhookTarget | None = None,
    id: str = "d-1",
    kind: str = "application/json",
) -> Outgoing:
    """One attempt."""
    message = Message(id="m-1", route="r", body=body, content_type=kind, received_at=1_768_471_200.0)
    values = message.but(body=plain) if plain is not None else None
    return Outgoing(message, to or WebhookTarget(), id, 1, timeout, plain=values)


@asynccontextmanager
async def sending(port: int, folder: Path, **keys: Any) -> AsyncIterator[Webhook]:
    """An open adapter that posts there."""
    keys = {"url": f"http://127.0.0.1:{port}/in", "secret": written(folder, OLD), **keys}
    config = WebhookConfig.model_validate({"type": "webhook", **{name: value for name, value in keys.items() if value}})
    adapter = Webhook("crm", config, FakeServices())
    await adapter.open()
    try:
        yield adapter
    finally:
        await adapter.close()


def target(**keys: Any) -> WebhookTarget:
    """A target as the YAML would make it."""
    return WebhookTarget.model_validate(keys)


@pytest.mark.key("webhook.url", "to.webhook.event")
async def test_a_webhook_is_signed_as_the_specification_says(server: RawServer, tmp_path: Path) -> None:
    """Id, time and body under HMAC-SHA256; our own receiver agrees, and so does a sum made by hand."""
    async with sending(server.port, tmp_path) as adapter:
        receipt = await adapter.send(attempt())
        await adapter.send(attempt(plain={"n": 7}, to=target(event="appeal.${body.n}")))
        await adapter.send(attempt(b"text", plain="text", to=target(event="e"), kind="text/plain"))
    first, second, third = server.requests
    assert receipt.status == 200
    assert (first.method, first.target, first.body) == ("POST", "/in", b'{"n":7}')
    head = {name: first.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")}
    assert head["id"] == "d-1"
    by_hand = hmac.digest(b"old-old-old-old-old!", f"d-1.{head['timestamp']}.".encode() + first.body, hashlib.sha256)
    assert head["signature"] == f"v1,{base64.b64encode(by_hand).decode()}"
    signature = Signature(first.headers, [("crm", secret) for secret in secrets_of(OLD)], int(head["timestamp"]))
    signature.feed(first.body)
    assert signature.check() == "crm"
    assert json.loads(second.body) == {"type": "appeal.7", "timestamp": "2026-01-15T10:00:00Z", "data": {"n": 7}}
    assert json.loads(third.body)["data"] == "text"


async def test_all_attempts_have_one_id_and_large_bodies_stream(server: RawServer, tmp_path: Path) -> None:
    """A file is signed and sent without being taken into memory whole."""
    content = bytes(300_000)
    (tmp_path / "blob").write_bytes(content)
    blob = Blob(tmp_path / "blob", len(content), hashlib.sha256(content).hexdigest())
    async with sending(server.port, tmp_path) as adapter:
        for _ in range(2):
            await adapter.send(attempt(blob))
    assert [request.headers["webhook-id"] for request in server.requests] == ["d-1", "d-1"]
    assert [len(request.body) for request in server.requests] == [300_000, 300_000]


async def test_a_renewed_secret_signs_at_once_and_both_while_two_live(server: RawServer, tmp_path: Path) -> None:
    """The file is read for each webhook; receivers that know either secret agree."""
    async with sending(server.port, tmp_path) as adapter:
        await adapter.send(attempt())
        written(tmp_path, NEW, OLD)
        await adapter.send(attempt())
        written(tmp_path, NEW)
        await adapter.send(attempt())
    known = []
    for request in server.requests:
        at = int(request.headers["webhook-timestamp"])
        agreed = []
        for secret in (OLD, NEW):
            signature = Signature(request.headers, [("crm", each) for each in secrets_of(secret)], at)
            signature.feed(request.body)
            try:
                agreed.append(signature.check())
            except PipeError:
                agreed.append("")
        known.append(agreed)
    assert known == [["crm", ""], ["crm", "crm"], ["", "crm"]]


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (200, "200"), (204, "204"), (400, "Refused"), (401, "NotAuthorised"), (410, "NotAuthorised"), (429, "Busy"),
        (500, "PeerBroke"), (503, "PeerFailed"),
    ],
)  # fmt: skip
async def test_a_status_decides(server: RawServer, tmp_path: Path, status: int, name: str) -> None:
    """As for any HTTP partner; 410 says that the address takes no more, so the connection stops, not the message."""
    server.on("/in", says(reply(status)))
    async with sending(server.port, tmp_path) as adapter:
        assert await outcome(adapter) == name


async def outcome(adapter: Webhook, **more: Any) -> str:
    """What one attempt brings."""
    try:
        return str((await adapter.send(attempt(**more))).status)
    except PipeError as error:
        return type(error).__name__


async def test_bytes_cannot_be_wrapped(server: RawServer, tmp_path: Path) -> None:
    """`event` needs values; nothing is sent."""
    async with sending(server.port, tmp_path) as adapter:
        with pytest.raises(MappingFailed, match="wraps plain values"):
            await adapter.send(attempt(b"x", to=target(event="e")))
    assert server.requests == []


# --- Slack


@asynccontextmanager
async def slack(server: RawServer, folder: Path, **keys: Any) -> AsyncIterator[Webhook]:
    """A connection to an incoming webhook."""
    (folder / "path").write_text("/services/T0/B0/secret-part\n", encoding="utf-8")
    path = {"path": f"${{file:{folder / 'path'}}}", "url": f"http://127.0.0.1:{server.port}", "shape": "slack"}
    async with sending(server.port, folder, **path, secret=None, **keys) as adapter:
        yield adapter


@pytest.mark.key("webhook.shape", "webhook.path", "to.webhook.text", "to.webhook.blocks")
async def test_slack_gets_text_and_blocks_at_its_secret_address(server: RawServer, tmp_path: Path) -> None:
    """A value can be no mention, no link; the address is read anew for each message."""
    server.on("/services/T0/B0/secret-part", says(reply(200, b"ok", Content_Type="text/html")))
    server.on("/services/T0/B0/new", says(reply(200, b"ok")))
    blocks = [{"type": "divider"}]
    async with slack(server, tmp_path) as adapter:
        to = target(text="Звернення: ${body.t} <https://gov.example|сайт>", blocks="body.blocks")
        await adapter.send(attempt(plain={"t": "<!channel> & Ко", "blocks": blocks}, to=to))
        (tmp_path / "path").write_text("/services/T0/B0/new", encoding="utf-8")
        await adapter.send(attempt(plain={"t": "x"}, to=target(text="${body.t}")))
    first, second = server.requests
    assert json.loads(first.body) == {
        "text": "Звернення: &lt;!channel&gt; &amp; Ко <https://gov.example|сайт>", "blocks": blocks,
    }  # fmt: skip
    assert (first.headers["content-type"], "webhook-id" in first.headers) == ("application/json", False)
    assert second.target == "/services/T0/B0/new"


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (400, "invalid_payload", Refused), (400, "no_text", Refused), (403, "action_prohibited", NotAuthorised),
        (404, "channel_not_found", NotAuthorised), (404, "no_service", NotAuthorised),
        (410, "channel_is_archived", NotAuthorised), (403, "invalid_token", NotAuthorised), (429, "rate_limited", Busy),
        (200, "invalid_blocks", Refused), (200, "<html>proxy</html>", PipeError), (500, "rollup_error", PipeError),
    ],
)  # fmt: skip
async def test_slacks_words_decide(
    server: RawServer, tmp_path: Path, status: int, word: str, kind: type[PipeError]
) -> None:
    """What every message would meet stops the connection, what is this message's fault is dead; the word is told."""
    server.on("/services/T0/B0/secret-part", says(reply(status, word.encode(), Retry_After="7")))
    async with slack(server, tmp_path) as adapter:
        with pytest.raises(kind) as refused:
            await adapter.send(attempt(plain={}, to=target(text="x")))
    assert (word in refused.value.text) == (word != "<html>proxy</html>")
    assert "secret-part" not in str(refused.value)


async def test_what_is_no_list_of_blocks_is_not_posted(server: RawServer, tmp_path: Path) -> None:
    """Nor more than Slack takes, nor a path that is none."""
    wrong: list[Any] = ["x", [1], [{}] * 51]
    async with slack(server, tmp_path) as adapter:
        for blocks in wrong:
            with pytest.raises(MappingFailed):
                await adapter.send(attempt(plain={"b": blocks}, to=target(blocks="body.b")))
        (tmp_path / "path").write_text("https://hooks.slack.com/services/T0", encoding="utf-8")
        with pytest.raises(NotAuthorised, match="is no path") as refused:
            await adapter.send(attempt(plain={}, to=target(text="x")))
    assert "T0" not in str(refused.value)
    assert server.requests == []


# --- the configuration


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "one must be there"),
        ({"url": "https://x.example"}, "are signed"),
        ({"url": "https://x.example", "shape": "slack", "secret": "${env:A}"}, "sent only"),
        ({"shape": "slack", "secret": "${env:A}"}, "sent only"),
        ({"url": "https://x.example", "shape": "slack", "previous": "${env:A}"}, "needs a `secret`"),
        ({"secret": "${env:A}", "path": "${env:B}"}, "needs a `url`"),
        ({"url": "https://user:pw@x.example", "secret": "${env:A}"}, "credentials do not belong"),
        ({"url": "https://x.example", "secret": "${env:A}", "allow": {"hosts": ["y.example"]}}, "does not list"),
    ],
)
def test_mistakes_of_a_connection(keys: dict[str, Any], words: str) -> None:
    """Found before it starts."""
    with pytest.raises(ValidationError, match=words):
        WebhookConfig.model_validate({"type": "webhook", **keys})


def test_uses_that_a_connection_is_not_made_for(tmp_path: Path) -> None:
    """Lint shows them with their line."""
    secret = {"type": "webhook", "secret": written(tmp_path, OLD)}
    receives = WebhookConfig.model_validate(secret)
    both = WebhookConfig.model_validate({**secret, "url": "https://x.example"})
    slack = WebhookConfig.model_validate({"type": "webhook", "shape": "slack", "url": "https://x.example"})
    made = Webhook("x", receives, FakeServices())
    found = [
        *made.review(receives, WebhookTarget()), *made.review(both, target(text="x")),
        *made.review(slack, target(event="x")), *made.review(slack, WebhookSubscription()),
    ]  # fmt: skip
    assert found == [
        "this connection has no `url`, so nothing can be sent to it",
        "`text` belongs to `shape: slack`",
        "`event` belongs to `shape: standard`",
        "Slack wants `text`, `blocks` or both",
        "this connection has no `secret`, so nothing can be received from it",
    ]
    assert [made.review(both, use) for use in (WebhookTarget(), WebhookSubscription())] == [[], []]
    assert (made.natural(WebhookTarget()), made.natural(target(text="x"))) == (True, False)


@pytest.mark.parametrize("path", ["orders", "/", "/a/", "/a//b", "/../b", "/a?b", "/a%2fb", "/ї", "/{x}"])
def test_paths_that_are_none(path: str) -> None:
    """Plain words only."""
    with pytest.raises(ValidationError):
        WebhookSubscription(path=path)


# --- the way


@pytest.mark.key("webhook.tls", "webhook.mtls", "webhook.allow", "webhook.max_reply", "webhook.proxy")
async def test_the_way_is_that_of_any_http_partner(server: RawServer, tmp_path: Path) -> None:
    """The certificate is checked, ours is shown, addresses inside need their network, a large answer is cut."""
    pki = Pki(tmp_path)
    async with serving(RawServer(), pki.server("127.0.0.1")) as secured:
        url = f"https://127.0.0.1:{secured.port}/in"
        files = {name: Path(path) for name, path in pki.files("us.example").items()}
        async with sending(secured.port, tmp_path, url=url, tls={"ca": Path(pki.ca_file)}, mtls=files) as adapter:
            assert (await outcome(adapter), (await adapter.check()).state) == ("200", "up")
        async with sending(secured.port, tmp_path, url=url) as adapter:
            assert (await outcome(adapter), (await adapter.check()).state) == ("TlsFailed", "down")
    localhost = f"http://localhost:{server.port}/in"
    async with sending(server.port, tmp_path, url=localhost) as adapter:
        assert await outcome(adapter) == "AddressForbidden"
    allow = {"networks": ["127.0.0.0/8", "::1/128"]}
    async with sending(server.port, tmp_path, url=localhost, allow=allow, max_reply="1KiB") as adapter:
        assert await outcome(adapter) == "200"
    proxied = {"url": "http://hooks.example/in", "proxy": {"url": f"http://127.0.0.1:{server.port}"}}
    async with sending(server.port, tmp_path, **proxied, allow={"hosts": ["hooks.example", "127.0.0.1"]}) as adapter:
        assert await outcome(adapter) == "200"
    assert server.requests[-1].target == "http://hooks.example/in"


async def test_a_large_answer_is_cut_and_its_status_still_counts(server: RawServer, tmp_path: Path) -> None:
    """A receiver has nothing to say but its status."""
    server.on("/in", says(reply(200, bytes(5000))))
    async with sending(server.port, tmp_path, max_reply="1KiB") as adapter:
        assert await outcome(adapter) == "200"


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (faults.Refuse(), "Unreachable"), (faults.AcceptThenClose(), "NoAnswer"), (faults.Cut(after=5), "NoAnswer"),
        (faults.Swallow(), "NoAnswer"), (faults.HalfOpen(), "NoAnswer"), (faults.Garbage(), "ReplyInvalid"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, faults.Fault) else value,
)  # fmt: skip
async def test_each_fault_has_its_name(server: RawServer, tmp_path: Path, fault: faults.Fault, name: str) -> None:
    """Healed, the next attempt succeeds."""
    async with FaultProxy(("127.0.0.1", server.port), fault) as proxy, sending(proxy.port, tmp_path) as adapter:
        assert await outcome(adapter, timeout=QUICK) == name
        await proxy.heal()
        assert await outcome(adapter) == "200"


async def test_the_doctor_posts_nothing(server: RawServer, tmp_path: Path) -> None:
    """The secret, the way, and that the address is whole."""
    async with slack(server, tmp_path) as adapter:
        found = [rung async for rung in adapter.examine([target(text="x")])]
        assert [(rung.name, rung.state) for rung in found] == [("name", "ok"), ("tcp", "ok"), ("address", "warn")]
        (tmp_path / "path").unlink()
        found = [rung async for rung in adapter.examine([target(text="x")])]
        assert (found[-1].name, found[-1].state) == ("address", "fail")
    assert server.requests == []
