"""Why a broker cannot be used, rung by rung. Nothing is published, nobody is pushed out, no shared message is taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from paho.mqtt.subscribeoptions import SubscribeOptions

from adapters.http_dialling import Dialler
from adapters.http_rungs import Ladder, failed
from adapters.mqtt.codes import said
from adapters.mqtt.config import MqttConfig, MqttSubscription, MqttTarget
from adapters.mqtt.link import Link
from adapters.mqtt.topics import subscribed
from pipe.contract import Rung, Timeout
from pipe.errors import PipeError


async def climbed(
    config: MqttConfig, dialler: Dialler, timeout: Timeout, uses: Sequence[Any], pool: str
) -> AsyncIterator[Rung]:
    """The rungs until one fails."""
    async with Ladder(dialler, timeout, pool) as ladder:
        async for rung in ladder.climbed():
            yield rung
        if ladder.sock is None:
            return
        name, link = "sign-in", None
        try:
            # Without a will: an examination that breaks off must not say that the gateway is gone.
            link = Link(config, f"{config.client_id}-doc", ladder.sock, dialler.where, will=False)
            ladder.take()
            await link.sign_in(timeout.read)
            who = f" as {config.username}" if config.username else ""
            yield Rung("sign-in", "ok", f"MQTT {config.version}{who}, client id {config.client_id}-doc")
            name = "listen"
            async for rung in _rights(config, link, timeout, uses):
                yield rung
        except PipeError as error:
            yield failed(name, error)
        finally:
            if link is not None:
                await link.close(pool)


async def _rights(config: MqttConfig, link: Link, timeout: Timeout, uses: Sequence[Any]) -> AsyncIterator[Rung]:
    for use in uses:
        if isinstance(use, MqttSubscription):
            # Without the group: a member of it would be given messages that nobody would then store.
            plain = subscribed(use.topic, None)
            options: Any = SubscribeOptions(qos=0, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            (code,) = await link.subscribe([(plain, options if config.five else 0)], timeout.read)
            if code.is_failure:
                hint = "ask the broker's owner to let this user subscribe to it"
                yield Rung("listen", "fail", f"we may not listen to {plain}: {said(code)}", hint)
                return
            yield Rung("listen", "ok", f"we may listen to {plain}")
        elif isinstance(use, MqttTarget):
            hint = "publish a message to a topic of your own through a test route to be sure"
            topic = use.publish.text if use.publish is not None else use.respond
            yield Rung("publish", "warn", f"brokers tell only by a message whether `{topic}` is allowed", hint)
