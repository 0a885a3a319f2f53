"""Redirects: a connection leads elsewhere, and everything else of it stays as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipe.app import catalogue, read_configuration
from pipe.config.findings import ConfigInvalid

TEXT = """version: 1
connections:
  crm:
    type: http_client
    url: https://crm.partner.example/v2
    auth: {basic: {username: gateway, password: "${env:CRM}"}, mtls: {cert: c.pem, key: k.pem}}
    tls: {min_version: "1.3"}
    rate: 30/s
  other: {type: http_client, url: "https://other.example", auth: none}
routes:
  r: {from: {every: 1h}, to: [{connection: crm, post: /x}, {connection: other, post: /x}]}
"""
KNOWN = catalogue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The configuration on disk."""
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    made = tmp_path / "connections.yaml"
    made.write_text(TEXT, encoding="utf-8")
    return made


def test_keys_are_changed_or_left_out_and_the_rest_stays(path: Path) -> None:
    """Dotted keys reach inside; other connections and the revision are the same."""
    plain = read_configuration(path, KNOWN)
    redirects = {"crm": {"url": "http://127.0.0.1:1/v2", "tls": None, "auth.mtls": None, "auth.hmac.secret": "x"}}
    led = read_configuration(path, KNOWN, redirects=redirects)
    crm = led.connections["crm"].config
    assert (crm.url, crm.tls.min_version, crm.auth.mtls) == ("http://127.0.0.1:1/v2", "1.2", None)
    assert (crm.auth.basic.username, crm.rate) == ("gateway", plain.connections["crm"].config.rate)
    assert led.connections["other"].config == plain.connections["other"].config
    assert (led.revision, led.files) == (plain.revision, plain.files)


def test_what_does_not_fit_is_told_with_its_place(path: Path) -> None:
    """As if it stood in the file."""
    with pytest.raises(ConfigInvalid, match=r"connections\.yaml:5"):
        read_configuration(path, KNOWN, redirects={"crm": {"url": "nowhere"}})
