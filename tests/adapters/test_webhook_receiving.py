"""Webhooks that come in: the signature first, then the journal, then 200; and a repetition is one message."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.webhook import Webhook
from adapters.webhook.config import WebhookConfig, WebhookSubscription
from pipe.config.models import Listener
from pipe.contract import Accepted, Arrival, Examinable, Sink, Source
from pipe.errors import ConfigError, PipeError, QueueFull, SchemaMismatch
from pipe.testing import FakeClock
from tests.adapters.http_server_gateway import ID, FakeDoor, FakeDoors, FakeServices
from web.listener import Listeners

OLD, NEW = "whsec_" + base64.b64encode(b"old-old-old-old-old!").decode(), "a-newer-secret-in-plain-text"


def door(path: str = "", **more: Any) -> FakeDoor:
    """A route's entrance."""
    made = FakeDoor("/x", **more)
    made.options = WebhookSubscription(path=path)  # type: ignore[assignment]
    return made


@dataclass
class Here:
    """A running source, and a sender."""

    client: aiohttp.ClientSession
    doors: FakeDoors
    adapter: Webhook
    clock: FakeClock
    base: str

    async def post(
        self, body: bytes = b"{}", path: str = "", *, secrets: tuple[str, ...] = (OLD,), id: str = "msg-1", **more: Any
    ) -> Any:
        """The answer to one webhook; `at` is seconds beside the clock, `headers` go beside the signature."""
        at = int(self.clock.now() + more.pop("at", 0))
        signed = more.pop("signed", body)
        claims = " ".join(f"v1,{sign(secret, id, at, signed)}" for secret in secrets)
        headers = {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": claims}
        headers |= {"Content-Type": "application/json", **more.pop("headers", {})}
        async with self.client.post(f"{self.base}{path}", data=body, headers=headers) as reply:
            return reply.status, await reply.json(), reply.headers


def sign(secret: str, id: str, at: int, body: bytes) -> str:
    """As the specification says."""
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    return base64.b64encode(hmac.digest(key, f"{id}.{at}.".encode() + body, hashlib.sha256)).decode()


def written(folder: Path, *secrets: str) -> str:
    """A reference to a file of these secrets."""
    (folder / "hook").write_text("\n".join(secrets), encoding="utf-8")
    return f"${{file:{folder / 'hook'}}}"


@asynccontextmanager
async def receiving(folder: Path, *doors: FakeDoor, **keys: Any) -> AsyncIterator[Here]:
    """A source called `crm` that serves these doors."""
    listeners, clock = Listeners({"public": Listener(address="127.0.0.1:0")}), FakeClock()
    keys = keys if "secret" in keys else {"secret": written(folder, OLD), **keys}
    config = WebhookConfig.model_validate({"type": "webhook", **keys})
    adapter, served = Webhook("crm", config, FakeServices(listeners, clock)), FakeDoors(*doors)
    await listeners.start()
    await adapter.open()
    running = asyncio.create_task(adapter.run(served))
    await asyncio.sleep(0)
    host, port = listeners.addresses()["public"]
    async with aiohttp.ClientSession() as client:
        try:
            yield Here(client, served, adapter, clock, f"http://{host}:{port}/hooks/crm")
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await adapter.close()
            await listeners.stop(grace=1)


@pytest.mark.key("webhook.secret", "from.webhook.path")
async def test_a_signed_webhook_is_taken_and_confirmed(tmp_path: Path) -> None:
    """200 with its id, once the door has returned; by its path to its route."""
    one, other = door(), door("/orders/new")
    async with receiving(tmp_path, one, other) as here:
        assert (await here.post(b'{"type": "a"}'))[:2] == (200, {"id": ID})
        assert (await here.post(b"{}", "/orders/new"))[0] == 200
    arrival = one.arrival
    assert (arrival.body, arrival.content_type, arrival.caller) == (b'{"type": "a"}', "application/json", "crm")
    assert (arrival.identity, arrival.fingerprint) == ("msg-1", "POST /hooks/crm")
    assert "webhook_signature" not in arrival.headers
    assert arrival.headers["webhook_id"] == "msg-1"
    assert len(other.arrivals) == 1


async def test_a_repetition_gets_its_200_and_says_so(tmp_path: Path) -> None:
    """The door knows it by the webhook's id."""
    async with receiving(tmp_path, door(reply=Accepted(ID, replayed=True))) as here:
        status, told, headers = await here.post()
    assert (status, told, headers["Idempotent-Replayed"]) == (200, {"id": ID}, "true")


@pytest.mark.parametrize(
    "wrong",
    [
        {"secrets": (NEW,)}, {"signed": b"{ }"}, {"at": -400}, {"at": 400}, {"secrets": ()}, {"id": ""},
        {"headers": {"webhook-timestamp": "soon"}}, {"headers": {"webhook-signature": "v2,abc"}},
    ],
)  # fmt: skip
async def test_what_is_not_signed_never_reaches_the_door(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """A wrong secret, another body, a time too far off, no signature at all: 401, the same for each."""
    entrance = door()
    async with receiving(tmp_path, entrance) as here:
        status, told, _ = await here.post(**wrong)
    assert (status, told["detail"]) == (401, "the credentials are missing or wrong")
    assert entrance.arrivals == []


@pytest.mark.key("webhook.previous")
async def test_two_secrets_live_while_one_is_renewed(tmp_path: Path) -> None:
    """As lines of a file or as `previous`; a changed file counts at once, without a restart."""
    (tmp_path / "before").write_text(OLD, encoding="utf-8")
    async with receiving(
        tmp_path, door(), secret=written(tmp_path, NEW), previous=f"${{file:{tmp_path / 'before'}}}"
    ) as here:
        assert [(await here.post(secrets=(each,)))[0] for each in (OLD, NEW)] == [200, 200]
    async with receiving(tmp_path, door(), secret=written(tmp_path, NEW, OLD)) as here:
        assert [(await here.post(secrets=(each,)))[0] for each in (OLD, NEW)] == [200, 200]
        written(tmp_path, NEW)
        assert [(await here.post(secrets=(each,)))[0] for each in (OLD, NEW)] == [401, 200]
        (tmp_path / "hook").unlink()
        assert (await here.post(secrets=(NEW,)))[0] == 500


@pytest.mark.parametrize(("error", "status"), [(QueueFull(), 503), (SchemaMismatch("no `type`"), 422)])
async def test_a_door_that_refuses_is_told(tmp_path: Path, error: PipeError, status: int) -> None:
    """Never 200 for what was not stored, so the sender sends it again."""
    async with receiving(tmp_path, door(reply=error)) as here:
        assert (await here.post())[0] == status


async def test_the_answer_waits_for_the_door(tmp_path: Path) -> None:
    """A sender that hangs up meanwhile undoes nothing."""
    came, may, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(arrival: Arrival) -> Accepted:
        came.set()
        await may.wait()
        done.set()
        return Accepted(ID)

    entrance = door(reply=slow)
    async with receiving(tmp_path, entrance) as here:
        waiting = asyncio.create_task(here.post())
        await came.wait()
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        may.set()
        await asyncio.wait_for(done.wait(), 30)


async def test_other_addresses_and_methods(tmp_path: Path) -> None:
    """404 where no route is, 405 with what is allowed; changed doors take effect at once; too large is 413."""
    async with receiving(tmp_path, door(max_body=10)) as here:
        assert (await here.post(path="/nowhere"))[0] == 404
        async with here.client.get(here.base) as reply:
            assert (reply.status, reply.headers["Allow"]) == (405, "POST")
        assert (await here.post(b"x" * 11))[0] == 413
        here.doors.become(door("/new"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [(await here.post(path=path))[0] for path in ("", "/new")] == [404, 200]
        assert (await here.adapter.check()).state == "up"


@pytest.mark.key("webhook.listener")
async def test_a_listener_of_its_own(tmp_path: Path) -> None:
    """Named, or it is refused."""
    async with receiving(tmp_path, door(), listener="public") as here:
        assert (await here.post())[0] == 200
    config = WebhookConfig.model_validate({"type": "webhook", "secret": written(tmp_path, OLD), "listener": "no"})
    adapter = Webhook("crm", config, FakeServices(Listeners({"public": Listener(address="127.0.0.1:0")})))
    with pytest.raises(ConfigError, match="`no` is not configured"):
        await adapter.run(FakeDoors())


async def test_a_secret_that_is_none_is_found_when_it_opens(tmp_path: Path) -> None:
    """Too short, or no Base64 behind `whsec_`."""
    for bad in ("short", "whsec_%%%"):
        config = WebhookConfig.model_validate({"type": "webhook", "secret": written(tmp_path, bad)})
        with pytest.raises(ConfigError):
            await Webhook("crm", config, FakeServices(Listeners({"p": Listener(address="127.0.0.1:0")}))).open()


async def test_the_doctor_looks_at_secret_and_listener(tmp_path: Path) -> None:
    """Where webhooks come in."""
    async with receiving(tmp_path, door()) as here:
        assert all(isinstance(here.adapter, kind) for kind in (Examinable, Source, Sink))
        found = [rung async for rung in here.adapter.examine([WebhookSubscription()])]
        assert [(rung.name, rung.state) for rung in found] == [("secret", "ok"), ("listener", "ok")]
        written(tmp_path, "short")
        found = [rung async for rung in here.adapter.examine([WebhookSubscription()])]
        assert [(rung.name, rung.state) for rung in found] == [("secret", "fail")]
