"""A partner whose TLS is not good gets nothing, the reason is named, and what waits goes out once it is good."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme

from tests.journeys.conftest import until
from tests.torture.bridge import Ends, bridge
from tests.torture.strait import Plan, Strait, a_strait, phone

pytestmark = [pytest.mark.journey, pytest.mark.timeout(120)]

NAMED = {
    "expired": "it has expired",
    "other_name": "it is for another",
    "unknown": "authority",
    "demanding": "does not take the connection",
    "plain": "does not speak TLS",
}
"""what is wrong with each partner, and the words by which it is known

asyncio's own server, which wants a certificate of ours here, breaks off without the alert that would say so.
"""


def contexts() -> tuple[trustme.CA, dict[str, ssl.SSLContext | None]]:
    """An authority and what each partner shows; None speaks no TLS at all."""
    ca = trustme.CA()
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    issued = {
        "good": ca.issue_cert("127.0.0.1"),
        "expired": ca.issue_cert("127.0.0.1", not_after=past),
        "other_name": ca.issue_cert("other.example"),
        "unknown": trustme.CA().issue_cert("127.0.0.1"),
        "demanding": ca.issue_cert("127.0.0.1"),
    }
    made: dict[str, ssl.SSLContext | None] = {"plain": None}
    for name, certificate in issued.items():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        if name == "demanding":
            ca.configure_trust(context)
            context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2
        made[name] = context
    return ca, made


async def test_bad_tls_is_named_and_nothing_is_sent(tmp_path: Path) -> None:
    """Five kinds of it: no message leaves, none is spent, and with a good certificate all of them arrive."""
    ca, made = contexts()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    plan = Plan(scheme="https", connection="breaker: false, tls: {ca: ca.pem}")
    async with a_strait(tmp_path, NAMED, plan) as strait, AsyncExitStack() as stack:
        ports = {name: await stack.enter_async_context(bridge(lambda: register(strait), made[name])) for name in made}
        for name in NAMED:
            strait.back[name].server = ("127.0.0.1", ports[name])
            await strait.callers[name].hand_in(phone(list(NAMED).index(name)), 0)
        reasons = dict.fromkeys(NAMED, "")

        async def all_named() -> bool:
            reasons.update({name: await strait.reason(name) for name in NAMED})
            return all(reasons.values())

        await until(all_named)
        states = {name: strait.states(name) for name in NAMED}
        rows, spent = strait.rows, {name: strait.codes(name) for name in NAMED}
        for name in NAMED:
            strait.back[name].server = ("127.0.0.1", ports["good"])
        await strait.delivered(*NAMED)
        wrong = await strait.wrong()
    assert {name for name, words in NAMED.items() if words in reasons[name]} == set(NAMED), reasons
    checks = set(NAMED) - {"demanding"}
    assert (rows, {state for name in checks for state in states[name]}) == (0, {"ready"})
    assert {name for name in checks if spent[name]} == set()
    assert wrong == []


async def register(strait: Strait) -> Ends:
    """A plain connection to the register."""
    return await asyncio.open_connection("127.0.0.1", strait.world.partners.stand_ins["registry"].port)
