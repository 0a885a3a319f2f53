"""Why a broker cannot be used, rung by rung. Nothing is published, nobody is pushed out, no shared message is taken."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from paho.mqtt.subscribeoptions import SubscribeOptions

from adapters.mqtt.codes import said
from adapters.mqtt.config import MqttConfig, MqttSubscription, MqttTarget
from adapters.mqtt.dialling import Dialler
from adapters.mqtt.link import Link
from adapters.mqtt.topics import subscribed
from pipe import blocking
from pipe.contract import Rung, Timeout
from pipe.errors import PipeError

SOON = 14
"""days of a certificate that are worth a warning"""


async def climbed(
    config: MqttConfig, dialler: Dialler, timeout: Timeout, uses: Sequence[Any], pool: str
) -> AsyncIterator[Rung]:
    """The rungs until one fails."""
    name, link, sock = "name", None, None
    limit = float(timeout.connect)
    try:
        found = await blocking.run(pool, dialler.addresses, timeout=limit)
        yield Rung("name", "ok", f"{dialler.host} is {', '.join(sorted({place[4][0] for place in found}))}")
        name = "tcp"
        sock = await blocking.run(pool, dialler.connected, found, time.monotonic() + limit)
        yield Rung("tcp", "ok", f"{dialler.where} takes connections")
        if dialler.tls is not None:
            name = "tls"
            sock = await blocking.run(pool, dialler.secured, sock, time.monotonic() + limit)
            yield _certificate(sock)
        name = "sign-in"
        # Without a will: an examination that breaks off must not say that the gateway is gone.
        link = Link(config, f"{config.client_id}-doc", sock, dialler.where, will=False)
        await link.sign_in(timeout.read)
        who = f" as {config.username}" if config.username else ""
        yield Rung("sign-in", "ok", f"MQTT {config.version}{who}, client id {config.client_id}-doc")
        name = "listen"
        async for rung in _rights(config, link, timeout, uses):
            yield rung
    except PipeError as error:
        yield Rung(name, "fail", error.text, error.hint)
    except TimeoutError:
        yield Rung(name, "fail", f"no answer within {limit:g} s", "ask whoever runs the name server")
    finally:
        if link is not None:
            await link.close(pool)
        elif sock is not None:
            sock.close()
        blocking.close(pool)


def _certificate(sock: ssl.SSLSocket) -> Rung:
    certificate: Any = sock.getpeercert() or {}
    days = int((ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) // 86_400)
    text = f"{sock.version()}, the chain is trusted, the certificate fits the name and ends in {days} days"
    if days < SOON:
        return Rung("tls", "warn", text, "ask the broker's owner to renew it")
    return Rung("tls", "ok", text)


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
            yield Rung(
                "publish", "warn", f"brokers tell only by a message whether `{use.publish.text}` is allowed", hint
            )
