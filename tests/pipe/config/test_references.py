"""Secrets by reference, and the environment in ordinary texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipe.config.references import Secret
from pipe.config.units import Duration
from pipe.errors import SecretMissing
from tests.pipe.config.fakes import load_file, load_text

CRM = 'version: 1\nconnections:\n  crm: {{type: web_client, url: "{url}", auth: {{bearer: "{secret}"}}}}\n'


def written(folder: Path, *, url: str = "http://x", secret: str = "${env:PIPE_TEST_TOKEN}") -> Path:
    """A file with one connection."""
    path = folder / "connections.yaml"
    path.write_text(CRM.format(url=url, secret=secret), encoding="utf-8")
    return path


def secret_of(path: Path, **options: Any) -> Secret:
    """The secret of that connection."""
    secret = load_file(path, **options).connections["crm"].config.auth.bearer
    assert isinstance(secret, Secret)
    return secret


def test_a_secret_of_the_environment_is_read_when_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that changes after loading is seen at the next reveal."""
    secret = secret_of(written(tmp_path))
    values = []
    for value in ("one", "two"):
        monkeypatch.setenv("PIPE_TEST_TOKEN", value)
        values.append(secret.reveal())
    assert values == ["one", "two"]


def test_a_rotated_file_is_taken_up_without_a_reload(tmp_path: Path) -> None:
    """The path starts at the folder of the YAML file; the line break at its end is no part of the secret."""
    secret = secret_of(written(tmp_path, secret="${file:secrets/token}"))
    file = tmp_path / "secrets" / "token"
    file.parent.mkdir()
    values = []
    for value in ("first\n", "a second one\n"):
        file.write_text(value, encoding="utf-8")
        values.append(secret.reveal())
    assert values == ["first", "a second one"]


def test_a_file_replaced_by_one_of_the_same_size_is_taken_up(tmp_path: Path) -> None:
    """Renaming a new file over the old one is a rotation, even within one tick of the clock."""
    secret = secret_of(written(tmp_path, secret="${file:token}"))
    (tmp_path / "token").write_text("old", encoding="utf-8")
    before = secret.reveal()
    (tmp_path / "next").write_text("new", encoding="utf-8")
    (tmp_path / "next").replace(tmp_path / "token")
    assert (before, secret.reveal()) == ("old", "new")


def test_a_stored_secret_comes_from_the_store(tmp_path: Path) -> None:
    """The store is asked each time, so that a rotation is seen."""
    values = iter(["one", "two"])
    secret = secret_of(written(tmp_path, secret="${secret:token}"), secrets=lambda name: f"{name} {next(values)}")
    assert [secret.reveal(), secret.reveal()] == ["token one", "token two"]


@pytest.mark.parametrize("reference", ["${env:PIPE_TEST_NOT_SET}", "${file:nowhere}", "${secret:unknown}"])
def test_a_missing_secret_is_named_by_its_reference_and_place(tmp_path: Path, reference: str) -> None:
    """Loading goes well, so that the other connections can work; the error says where to look."""
    secret = secret_of(written(tmp_path, secret=reference), secrets={}.get)
    with pytest.raises(SecretMissing) as caught:
        secret.reveal()
    assert str(caught.value).startswith(f"[PIPE-1002] {reference} is not there (place connections.yaml:3). Try:")


def test_an_empty_secret_is_a_missing_one(tmp_path: Path) -> None:
    """Nobody signs in with nothing by mistake."""
    (tmp_path / "token").write_text("\n", encoding="utf-8")
    with pytest.raises(SecretMissing, match="is empty"):
        secret_of(written(tmp_path, secret="${file:token}")).reveal()


def test_a_secret_never_shows_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the connection's repr nor its dump has it."""
    monkeypatch.setenv("PIPE_TEST_TOKEN", "hunter2")
    spec = load_file(written(tmp_path)).connections["crm"]
    spec.config.auth.bearer.reveal()
    shown = f"{spec!r} {spec.config.model_dump()} {spec.config.model_dump_json()}"
    assert ("hunter2" in shown, "${env:PIPE_TEST_TOKEN}" in shown) == (False, True)


def test_a_secret_in_clear_is_not_repeated_by_the_finding(tmp_path: Path) -> None:
    """What was written by mistake does not go on into logs."""
    with pytest.raises(Exception, match="secret-in-clear") as caught:
        load_file(written(tmp_path, secret="hunter2"))
    assert "hunter2" not in str(caught.value)


def test_equal_references_are_equal_secrets(tmp_path: Path) -> None:
    """A reload that changes nothing is seen to change nothing."""
    path = written(tmp_path)
    assert load_file(path).connections == load_file(path).connections


@pytest.mark.parametrize(
    ("url", "filled"),
    [
        ("http://${env:PIPE_TEST_HOST}/v2", "http://crm/v2"),
        ("${env:PIPE_TEST_HOST}", "crm"),
        ("${env:PIPE_TEST_NOT_SET:-http://fallback}", "http://fallback"),
        ("x${env:PIPE_TEST_NOT_SET:-}y", "xy"),
        ("$${env:PIPE_TEST_NOT_SET}", "$${env:PIPE_TEST_NOT_SET}"),
        ("${body.x}", "${body.x}"),
    ],
)
def test_the_environment_fills_ordinary_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, filled: str
) -> None:
    """At load, within longer texts too; every other `${…}` is left to templates."""
    monkeypatch.setenv("PIPE_TEST_HOST", "crm")
    assert load_file(written(tmp_path, url=url)).connections["crm"].config.url == filled


def test_a_quantity_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`timeout: {read: "${env:T:-5s}"}` is read as if it were written."""
    monkeypatch.setenv("PIPE_TEST_READ", "7s")
    text = "version: 1\ndefaults: {timeout: {read: '${env:PIPE_TEST_READ}'}}\n"
    assert load_text(text).defaults.timeout.read == Duration(7)
