"""Updates: each stored once, told to Telegram as taken only then, and nobody else's word believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from adapters.telegram import Telegram
from adapters.telegram.config import TelegramSubscription
from adapters.telegram.receiving import HEADER
from pipe.clock import SystemClock
from pipe.config.hooks import review
from pipe.config.models import Listener
from pipe.contract import Accepted, Arrival
from pipe.errors import NotAuthorised, PeerFailed, StoreUnavailable
from pipe.testing.doors import FakeDoor, FakeDoors
from tests.adapters.http_server_gateway import FakeServices
from tests.adapters.telegram_bench import Bench, bench, config, true
from web.listener import Listeners

HOST = "gateway.example"


@asynccontextmanager
async def taking(made: Bench, *doors: FakeDoor, **keys: Any) -> AsyncIterator[FakeDoors]:
    """A source at work."""
    adapter, served = made.make(**keys), FakeDoors(*doors)
    await adapter.open()
    running = asyncio.create_task(adapter.run(served))
    try:
        yield served
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await adapter.close()


@asynccontextmanager
async def posted(made: Bench, *doors: FakeDoor, **keys: Any) -> AsyncIterator[tuple[str, FakeDoors]]:
    """The same with a webhook; the address of the hook."""
    listeners = Listeners({"public": Listener(address="127.0.0.1:0")})
    await listeners.start()
    host, port = listeners.addresses()["public"]
    made.services = FakeServices(listeners, SystemClock())
    made.partner.bot.updates.hosts[HOST] = f"http://{host}:{port}"
    try:
        async with taking(made, *doors, webhook=f"https://{HOST}", **keys) as served:
            await true(lambda: made.partner.bot.updates.webhook)
            yield f"http://{host}:{port}/hooks/ukc", served
    finally:
        await listeners.stop(grace=1)


@pytest.mark.key("telegram.updates", "from.telegram.updates", "telegram.links")
async def test_each_kind_of_update_goes_to_the_route_that_wants_it(tmp_path: Path) -> None:
    """A message and a click to one, being blocked to another; what nobody wants is not even sent."""
    words = FakeDoor(TelegramSubscription(updates=["message", "callback_query"]), route="words")
    states = FakeDoor(TelegramSubscription(updates=["my_chat_member"]), route="states")
    async with bench(tmp_path) as made, taking(made, words, states, links="https://links.example"):
        bot, person = made.partner.bot, made.first
        bot.start(person, "token-1")
        await words.arrived(1)
        bot.block(person)
        await states.arrived(1)
        bot.admit(person)
        await states.arrived(2)
    (arrival,) = words.arrivals
    body = orjson.loads(words.bodies[0])
    assert (arrival.headers["bot"], arrival.headers["update"], arrival.caller) == ("ukc", "message", "ukc")
    assert arrival.identity == f"7000000001:{body['update_id']}"
    assert body["message"]["text"] == "/start token-1"
    told = [orjson.loads(each)["my_chat_member"]["new_chat_member"]["status"] for each in states.bodies]
    assert told == ["kicked", "member"]
    assert made.services.notes["ukc", "bot"]["link"] == "https://links.example/ukc_bot"  # type: ignore[attr-defined]


class FullAtTheSecond(FakeDoor):
    """Takes one, and then has no room once."""

    async def accept(self, arrival: Arrival) -> Accepted:
        """As the store has room."""
        if self.asked == 1:
            self.refusals = [StoreUnavailable()]
        return await super().accept(arrival)


async def test_what_the_store_refused_comes_again_and_what_was_taken_is_taken_once(tmp_path: Path) -> None:
    """The source ends with the store's error and confirms nothing; both come to the next one, and one is known."""
    door = FullAtTheSecond(TelegramSubscription())
    async with bench(tmp_path) as made:
        made.partner.bot.write(made.first, "раз")
        made.partner.bot.write(made.first, "два")
        first = made.make()
        await first.open()
        with pytest.raises(StoreUnavailable):
            await first.run(FakeDoors(door))
        await first.close()
        assert (made.partner.bot.updates.confirmed, len(door.arrivals)) == ([], 1)
        async with taking(made, door):
            await door.arrived(2)
    assert door.asked == 4
    assert [orjson.loads(body)["message"]["text"] for body in door.bodies] == ["раз", "два"]


async def test_a_new_route_is_served_at_once(tmp_path: Path) -> None:
    """Not when fifty seconds of waiting are over."""
    door = FakeDoor(TelegramSubscription(updates=["message"]))
    more = FakeDoor(TelegramSubscription(updates=["my_chat_member"]), route="more")
    async with bench(tmp_path) as made, taking(made, door) as served:
        made.partner.bot.write(made.first, "раз")
        await door.arrived(1)
        await served.replace([door, more])
        await true(lambda: "my_chat_member" in made.partner.bot.updates.kinds)
        made.partner.bot.block(made.first)
        await asyncio.wait_for(more.arrived(1), 30)


async def test_a_second_poller_ends_the_first(tmp_path: Path) -> None:
    """With a hint that two gateways take the same bot's updates."""
    async with bench(tmp_path) as made:
        adapter = made.make()
        await adapter.open()
        running = asyncio.create_task(adapter.run(FakeDoors(FakeDoor(TelegramSubscription()))))
        await true(lambda: made.partner.bot.updates._poller)
        async with taking(made, FakeDoor(TelegramSubscription())):
            with pytest.raises(PeerFailed, match="terminated by other getUpdates") as caught:
                await asyncio.wait_for(running, 30)
        assert "one gateway only" in caught.value.hint
        await adapter.close()


async def test_a_token_that_is_none_is_told_without_its_letters(tmp_path: Path) -> None:
    """Neither the source nor the health shows it."""
    async with bench(tmp_path) as made:
        adapter = made.make()
        (tmp_path / "token").write_text("7000000001:another-token-that-telegram-never-gave", encoding="utf-8")
        await adapter.open()
        health = await adapter.check()
        with pytest.raises(NotAuthorised) as caught:
            await adapter.run(FakeDoors())
        (tmp_path / "token").write_text("no token", encoding="utf-8")
        with pytest.raises(NotAuthorised) as malformed:
            await adapter.run(FakeDoors())
        await adapter.close()
    said = f"{health}{caught.value}{malformed.value}"
    assert "401 Unauthorized" in said
    assert "another-token" not in said


# --- webhooks ---------------------------------------------------------------------------------------------------------


@pytest.mark.key("telegram.webhook", "telegram.listener")
async def test_a_posted_update_is_stored_and_then_confirmed(tmp_path: Path) -> None:
    """In order; a door that refuses gets it again; polling afterwards takes the webhook away."""
    door = FakeDoor(TelegramSubscription())
    door.refusals = [StoreUnavailable()]
    async with bench(tmp_path) as made:
        updates = made.partner.bot.updates
        async with posted(made, door, listener="public"):
            made.partner.bot.write(made.first, "раз")
            await door.knocked(1)
            assert updates.confirmed == []
            made.partner.bot.write(made.first, "два")
            await door.arrived(2)
            await true(lambda: len(updates.confirmed) == 2)
        assert [orjson.loads(body)["message"]["text"] for body in door.bodies] == ["раз", "два"]
        assert updates.webhook is not None
        async with taking(made, door):
            made.partner.bot.write(made.first, "три")
            await door.arrived(3)
        assert updates.webhook is None


async def test_what_telegram_did_not_post_never_reaches_a_route(tmp_path: Path) -> None:
    """No secret token, a wrong one, another method, no JSON, no number: the same 401 for the first two."""
    door = FakeDoor(TelegramSubscription())
    update = {"update_id": 1, "message": {"text": "x"}}
    async with bench(tmp_path) as made, posted(made, door) as (hook, _), aiohttp.ClientSession() as client:
        webhook = made.partner.bot.updates.webhook
        assert webhook is not None
        good = {HEADER: webhook.secret_token or ""}
        statuses = []
        for headers, body in (
            ({}, update), ({HEADER: "x" * 64}, update), (good, [1]), (good, {"message": {}}),
            (good, {"update_id": "1"}), (good, {**update, "update_id": 2}), (good, {**update, "update_id": 2}),
            (good, {"update_id": 3, "poll": {}}),
        ):  # fmt: skip
            async with client.post(hook, json=body, headers=headers) as answer:
                statuses.append(answer.status)
                assert (await answer.read() == b"") == (answer.status == 200)
        async with client.get(hook, headers=good) as answer:
            statuses.append(answer.status)
        async with client.post(hook, data=b"{", headers=good) as answer:
            statuses.append(answer.status)
    assert statuses == [401, 401, 400, 400, 400, 200, 200, 200, 405, 400]
    assert len(door.arrivals) == 1
    assert len(webhook.secret_token or "") == 64


async def test_a_webhook_that_telegram_cannot_deliver_to_is_seen(tmp_path: Path) -> None:
    """The connection is degraded, with Telegram's reason."""
    door = FakeDoor(TelegramSubscription())
    door.refusals = [StoreUnavailable() for _ in range(100)]
    async with bench(tmp_path) as made, posted(made, door):
        made.partner.bot.write(made.first, "раз")
        await true(lambda: made.partner.bot.updates.last_error)
        adapter = made.make(webhook=f"https://{HOST}")
        await adapter.open()
        health = await adapter.check()
        await adapter.close()
    assert (health.state, "503" in health.reason) == ("degraded", True)


@pytest.mark.key("telegram.token", "telegram.api", "telegram.rate")
def test_the_configuration_is_checked(tmp_path: Path) -> None:
    """One way of taking updates, a webhook where Telegram delivers, and what Telegram allows as the rate."""
    for keys, words in (
        ({"updates": "polling", "webhook": "https://gw.example"}, "one way only"),
        ({"webhook": "http://gw.example"}, "443, 80, 88 or 8443"),
        ({"webhook": "https://gw.example:9443"}, "443, 80, 88 or 8443"),
        ({"allow": {"hosts": ["other.example"]}}, "`api` leads to"),
    ):
        with pytest.raises(ValueError, match=words):
            config(tmp_path, **keys)
    made = config(tmp_path)
    assert made.api == "https://api.telegram.org"
    assert [str(getattr(each, "rate", each)) for each in made.rate] == ["30/s", "1/s"]  # type: ignore[union-attr]
    assert not made.receives
    assert review(Telegram, made, TelegramSubscription()) != []
    assert review(Telegram, config(tmp_path, updates="polling"), TelegramSubscription()) == []
