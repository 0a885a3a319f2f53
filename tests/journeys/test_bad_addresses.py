"""Addresses that would lead inside: whatever they are called, nothing is connected to, and the connection says why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from pipe.app import catalogue, read_configuration
from pipe.errors import ConfigError
from tests.journeys.attacks import Kept, Partner, Siege
from tests.journeys.gateway import ROOT, Gateway

under_siege = [pytest.mark.journey, pytest.mark.asyncio(loop_scope="module")]

NAMES = {
    "loopback.test": [["127.0.0.1"]],
    "second.test": [["127.0.0.2"]],
    "mapped.test": [["::ffff:127.0.0.1"]],
    "six.test": [["::1"]],
    "metadata.test": [["169.254.169.254"]],
    "mappedmeta.test": [["::ffff:169.254.169.254"]],
    "private.test": [["10.0.0.1"]],
    "zero.test": [["0.0.0.0"]],
    "translated.test": [["64:ff9b::7f00:1"]],
    "unique.test": [["fd00::1"]],
    "mixed.test": [["203.0.113.7", "127.0.0.1"]],
    "rebinding.test": [["203.0.113.7"], ["127.0.0.1"]],
}
"""what the gateway's resolver answers; the rebinding name is harmless when it is first asked for"""
LITERALS = {
    "decimal": "2130706433", "hex": "0x7f000001", "octal": "0177.0.0.1", "short": "127.1", "local": "localhost",
}  # fmt: skip
"""forms of 127.0.0.1 that a system's resolver understands; none of them is written as an address"""
KINDS = {name.partition(".")[0]: name for name in NAMES} | LITERALS


def _configuration(inside: Partner) -> str:
    port = inside.address.rpartition(":")[2]
    connections, routes = [], []
    for kind, host in KINDS.items():
        connections.append(
            f'  to_{kind}: {{type: http_client, url: "http://{host}:{port}", timeout: {{connect: 500ms}}}}'
        )
    token = f"http://second.test:{port}/token"
    oauth = f'auth: {{oauth2: {{token_url: "{token}", client_id: a, client_secret: "${{env:SECRET}}"}}}}'
    hosts, proxy = "allow: {hosts: [127.0.0.1, second.test]}", f'proxy: {{url: "http://second.test:{port}"}}'
    connections += [
        f'  to_token: {{type: http_client, url: "{inside.address}", {oauth}, {hosts}}}',
        f'  to_proxy: {{type: http_client, url: "{inside.address}", {proxy}, {hosts}}}',
        f'  to_redirect: {{type: http_client, url: "{inside.address}/outside"}}',
    ]
    for kind in (*KINDS, "token", "proxy", "redirect"):
        source = f"from: {{connection: callers, path: /{kind}, methods: [GET]}}"
        routes.append(f"  {kind}: {{{source}, reply: sync, to: {{connection: to_{kind}, get: /secrets}}}}")
    routes.append("  well: {from: {connection: callers, path: /well}, steps: [{decode: json}, {flow: appeals.digest}]}")
    lines = ["version: 1", "limits: {disk_floor: 1MiB}", "connections:", "  callers: {type: http_server, auth: none}"]
    return "\n".join([*lines, *connections, "routes:", *routes, ""])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def siege(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Siege]:
    """A gateway whose names lead inside, and the server there that nobody may reach."""
    folder, inside = tmp_path_factory.mktemp("addresses"), await Partner().start()
    file = folder / "addresses.yaml"
    file.write_text(_configuration(inside))
    environment = {"SECRET": "s", "PIPE_TEST_NAMES": json.dumps(NAMES)}
    # The proxy variables of the environment are never read.
    environment |= {"HTTP_PROXY": inside.address, "http_proxy": inside.address, "ALL_PROXY": inside.address}
    environment["PYTHONPATH"] = f"{ROOT}:{Path(__file__).with_name('names')}"
    gateway = Gateway(folder / "data", file, environment)
    await gateway.start()
    yield Siege(gateway, inside, Kept(gateway))
    await gateway.kill9()
    await inside.stop()


class TestReaching:
    """With one gateway for all."""

    pytestmark = under_siege

    @pytest.mark.parametrize("kind", [*KINDS, "token", "proxy"])
    async def test_no_name_leads_inside(self, siege: Siege, kind: str) -> None:
        """What a name resolves to is checked, and exactly that is connected to: the server inside hears nothing."""
        answers = [await siege.ask(f"/pipe/{kind}", method="GET") for _ in range(2)]
        assert [told.status // 100 for told in answers] == [5, 5], answers
        assert {told.headers["x-pipe-error"] for told in answers} <= REFUSED, answers
        assert siege.partner.seen == []

    async def test_a_redirect_is_not_followed(self, siege: Siege) -> None:
        """A partner that sends us elsewhere has refused the message."""

        async def elsewhere(request: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": f"{siege.partner.address}/inside"})

        siege.partner.answers["/outside/secrets"] = elsewhere
        told = await siege.ask("/pipe/redirect", method="GET")
        seen = [row[1] for row in siege.partner.seen]
        siege.partner.seen.clear()
        assert told.verdict == (502, "PIPE-2006", "target.refused")
        assert seen == ["/outside/secrets"]

    async def test_the_log_says_which_address_was_refused(self, siege: Siege) -> None:
        """Who runs the gateway reads where the name led; the caller is not told."""
        told = await siege.ask("/pipe/metadata", method="GET")
        words = ""
        async with asyncio.timeout(30):
            while "169.254.169.254" not in words:
                words = siege.gateway.log.read_text()
                await asyncio.sleep(0.05)
        assert b"169.254" not in told.body

    async def test_others_are_served(self, siege: Siege) -> None:
        """All of this holds up nobody."""
        told = await siege.ask("/pipe/well", b"{}")
        assert told.status == 202


REFUSED = {"target.address_forbidden", "gateway.connection_waits", "target.unreachable"}


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "//127.0.0.1/", "http://", "http:///x",
        "http://user:secret@partner.example/", "http://partner.example/?a=1", "http://partner.example/#a",
        "http://[::1", "http://a b/", "javascript:alert(1)", "http://partner.example:99999/",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_found_when_it_is_written(tmp_path: Path, url: str) -> None:
    """Schemes, credentials, queries and fragments do not belong into `url:`; a secret in it is not repeated."""
    lines = ["version: 1", "connections:", f'  a: {{type: http_client, url: "{url}"}}', ""]
    (tmp_path / "a.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError) as found:
        read_configuration(tmp_path / "a.yaml", catalogue())
    words = f"{found.value} {getattr(found.value, 'findings', '')}"
    assert "a.yaml:3" in words
    assert "secret" not in words
