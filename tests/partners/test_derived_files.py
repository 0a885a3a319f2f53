"""Stand-ins of FTP, SFTP and mail servers, made of a configuration: real adapters reach them, and they misbehave."""

from __future__ import annotations

import base64
import email
from collections.abc import AsyncIterator
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from adapters.files.keys import FileSubscription
from adapters.ftp import Ftp
from adapters.sftp import Sftp
from adapters.smtp import Smtp
from partners import Partners, start, tell
from pipe.app import catalogue, read_configuration
from pipe.clock import SystemClock
from pipe.config.models import Configuration
from pipe.contract import Duration, Receipt, Secret, Timeout
from pipe.errors import (
    BadRequest,
    Busy,
    NoAnswer,
    NotAuthorised,
    PeerError,
    PeerFailed,
    PipeError,
    Refused,
    Unreachable,
)
from pipe.testing import FakeDoor, FakeServices
from pipe.testing.suites import outgoing

TEXT = """
version: 1
connections:
  clients: {type: http_server, auth: none}
  archive:
    type: ftp
    url: ftp://ftp.partner.example
    tls: implicit
    user: gateway
    password: ${env:ARCHIVE_PASSWORD}
    folder: exchange
    charset: windows-1251
  bank:
    type: sftp
    url: sftp://bank.example
    user: gw
    key: ${file:nowhere}
    host_keys: ["SHA256:9hCTAbN4uCbWYk3WFvu2jd0g2dnKwWyGZDNv2Eqq8Vg"]
    folder: /srv/gw
  scans:
    type: sftp
    url: sftp://scans.example
    user: gw
    password: ${env:SCANS_PASSWORD}
    known_hosts: nowhere
    charset: windows-1251
  office:
    type: smtp
    url: smtps://mail.example
    username: gw
    password: ${env:MAIL_PASSWORD}
    sender: "Центр <noreply@gov.example>"
routes:
  puts:
    from: {connection: clients, path: /put}
    to:
      - {connection: archive, put: "out/${message.id}"}
      - {connection: office, send: office@example.org, subject: x, text: y}
  takes: {from: {connection: bank, get: "in/**/*.csv"}, to: {connection: archive, put: "in/${message.id}"}}
  marked:
    from: {connection: scans, get: "*.pdf", ready: {marker: .ok}}
    to: {connection: archive, put: "in/${message.id}"}
  more: {from: {connection: archive, get: "звіти/*.csv"}, to: {connection: bank, put: "out/${message.id}"}}
"""
NAMES = ("ARCHIVE_PASSWORD", "SCANS_PASSWORD", "MAIL_PASSWORD", "PIPE_ARCHIVE")
QUICK = Timeout(connect=Duration(5), read=Duration(0.5), total=Duration(20))
PATIENT = Timeout(connect=Duration(20), read=Duration(20), total=Duration(60))
KINDS: dict[str, Any] = {"archive": Ftp, "bank": Sftp, "scans": Sftp, "office": Smtp}
Bench = tuple[Partners, Configuration]


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """All stand-ins, and the configuration as the gateway reads it to reach them."""
    for name in NAMES:
        monkeypatch.setenv(name, "")  # taken back at the end, whatever the stand-ins set
        monkeypatch.delenv(name)
    path = tmp_path / "connections.yaml"
    path.write_text(TEXT, encoding="utf-8")
    known = catalogue()
    async with await start(tmp_path / "data", {}, read=lambda: read_configuration(path, known)) as partners:
        yield partners, read_configuration(path, known, redirects=partners.redirects)


def made(configuration: Configuration, name: str, **changes: Any) -> Any:
    """The real adapter on its redirected connection; `changes` are other values of its keys."""
    config = configuration.connections[name].config.model_copy(update={"timeout": PATIENT, **changes})
    return KINDS[name](name, config, FakeServices(SystemClock()))


async def sent(bench: Bench, name: str, body: bytes = b"0123456789", number: int = 1, **changes: Any) -> Receipt:
    """One attempt."""
    adapter = made(bench[1], name, **changes)
    await adapter.open()
    try:
        keys: Any = {"put": "out/${message.id}"}
        if name == "office":
            keys = {"send": "office@example.org", "subject": "Звіт", "text": "Текст", "attachments": [{"name": "a"}]}
        patience = changes.get("timeout", PATIENT)
        one = outgoing(body, adapter.Target.model_validate(keys), number)._replace(timeout=patience)
        receipt: Receipt = await adapter.send(one)
        return receipt
    finally:
        await adapter.close()


async def taken(bench: Bench, name: str, get: str, **keys: Any) -> list[Any]:
    """The arrivals of one look, or of two where a file must be stable."""
    adapter = made(bench[1], name)
    door = FakeDoor(FileSubscription.model_validate({"get": get, "every": "10ms", **keys}))
    await adapter.open()
    try:
        async with adapter._sessions.one(adapter.patience) as remote:
            for _ in range(2):
                await adapter._taker._turn(remote, door)
    finally:
        await adapter.close()
    return door.arrivals


@pytest.mark.parametrize("name", ["archive", "bank", "scans"])
async def test_what_the_gateway_puts_there_is_a_row_once(bench: Bench, name: str) -> None:
    """Seen with its bytes; the same file again is the same row."""
    for _ in range(2):
        await sent(bench, name, "звіт".encode())
    stand_in = bench[0].stand_ins[name]
    (row,) = stand_in.rows.all
    assert (row["path"], row["size"], stand_in.recorder.count) == ("out/message-1", 8, 2)
    home = {"archive": "exchange/", "bank": "srv/gw/", "scans": ""}[name]
    assert (stand_in.folder / "files" / f"{home}out/message-1").read_bytes() == "звіт".encode()


async def test_mail_is_kept_once_for_each_message_id(bench: Bench) -> None:
    """Signed in, well made, readable with any mail program."""
    for _ in range(2):
        await sent(bench, "office", b"attached")
    stand_in = bench[0].stand_ins["office"]
    (row,) = stand_in.rows.all
    assert (row["to"], row["subject"], stand_in.recorder.count) == (["office@example.org"], "Звіт", 2)
    kept = email.message_from_bytes((stand_in.folder / "mails" / "1.eml").read_bytes(), policy=policy.default)
    assert isinstance(kept, EmailMessage)
    assert [part.get_content() for part in kept.iter_attachments()] == [b"attached"]


async def test_files_are_offered_where_the_gateway_looks(bench: Bench) -> None:
    """In the connection's folder and charset, with the marker that the route waits for; nowhere else."""
    data = bench[0].archive.parent
    for name, place in (("bank", "in/a/b.csv"), ("scans", "скан.pdf"), ("archive", "звіти/січень.csv")):
        await tell(data, name, "offer", place, base64.b64encode(place.encode()).decode())
    arrivals = [
        *await taken(bench, "bank", "in/**/*.csv"),
        *await taken(bench, "scans", "*.pdf", ready={"marker": ".ok"}),
        *await taken(bench, "archive", "звіти/*.csv"),
    ]
    assert [arrival.headers["file_path"] for arrival in arrivals] == ["in/a/b.csv", "скан.pdf", "звіти/січень.csv"]
    assert [arrival.body.decode() for arrival in arrivals] == ["in/a/b.csv", "скан.pdf", "звіти/січень.csv"]
    for place, words in (
        ("in/a.txt", r"takes in/\*\*/\*.csv from bank, not in/a.txt"),
        ("../a.csv", "no path of a file"),
    ):
        with pytest.raises(BadRequest, match=words):
            await tell(data, "bank", "offer", place, "")


@pytest.mark.parametrize("name", list(KINDS))
async def test_a_stranger_is_not_let_in(
    bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the partner would not: another name, another password or key."""
    config: Any = bench[1].connections[name].config
    monkeypatch.setenv("WRONG", "wrong")
    wrong: list[dict[str, Any]] = [{"username" if name == "office" else "user": "other"}]
    if config.password is not None:
        wrong.append({"password": Secret("${env:WRONG}")})
    else:
        other = tmp_path / "other"
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(other))
        wrong.append({"key": Secret(f"${{file:{other}}}")})
    for changes in wrong:
        with pytest.raises(NotAuthorised):
            await sent(bench, name, **changes)
    assert len(bench[0].stand_ins[name].rows) == 0


MANNERS: list[tuple[list[str], type[PipeError] | tuple[type[PipeError], ...]]] = [
    (["slow", "3"], (Unreachable, NoAnswer)),
    (["half-open"], (Unreachable, NoAnswer)),
    (["refuse"], Refused),
    (["fail"], PeerFailed),
    (["reset-after-send"], (Unreachable, NoAnswer)),
    (["reset-after-send", "done=yes"], (Unreachable, NoAnswer)),
    (["garbage"], PeerError),
]


@pytest.mark.parametrize(
    ("words", "error"), MANNERS, ids=lambda value: "-".join(value) if isinstance(value, list) else ""
)
@pytest.mark.parametrize("name", ["archive", "bank", "office"])
async def test_each_manner_has_its_error(bench: Bench, name: str, words: list[str], error: Any) -> None:
    """And it is over when it is told to be well: the same message goes through."""
    data = bench[0].archive.parent
    await tell(data, name, *words)
    with pytest.raises(error):
        await sent(bench, name, timeout=QUICK if words[0] in {"slow", "half-open"} else PATIENT)
    assert (await tell(data, name, "well"))["manner"] == "well"
    await sent(bench, name)
    assert len(bench[0].stand_ins[name].rows) == 1


@pytest.mark.parametrize("name", ["archive", "bank"])
async def test_half_a_file_is_noticed(bench: Bench, name: str) -> None:
    """However well the server says that it went: in both directions."""
    data, place = bench[0].archive.parent, {"archive": "звіти/a.csv", "bank": "in/a.csv"}[name]
    await tell(data, name, "truncate", "for=1")
    with pytest.raises(PeerFailed, match="kept 5 of 10 bytes"):
        await sent(bench, name)
    await tell(data, name, "offer", place, base64.b64encode(b"0123456789").decode())
    await tell(data, name, "truncate", "for=1")
    with pytest.raises(Unreachable, match="ended after 5 of 10 bytes"):
        await taken(bench, name, place)
    (arrival,) = await taken(bench, name, place)
    assert arrival.body == b"0123456789"


async def test_half_an_answer_of_a_mail_server_is_none(bench: Bench) -> None:
    """It has taken the mail, and nobody knows: a question for a person."""
    await tell(bench[0].archive.parent, "office", "truncate", "for=1")
    with pytest.raises(NoAnswer):
        await sent(bench, "office")
    assert len(bench[0].stand_ins["office"].rows) == 1


@pytest.mark.parametrize("name", ["archive", "office"])
async def test_an_answer_that_comes_twice_harms_nothing(bench: Bench, name: str) -> None:
    """It is not taken for the answer to what is said next."""
    await tell(bench[0].archive.parent, name, "duplicate", "for=1")
    for number in (1, 2, 3):
        try:
            await sent(bench, name, number=number)
        except (Unreachable, Busy):
            await sent(bench, name, number=number)
    assert len(bench[0].stand_ins[name].rows) == 3


async def test_manners_without_a_sense_are_refused(bench: Bench) -> None:
    """By name, with what to use instead."""
    data = bench[0].archive.parent
    for name, verb in (("archive", "200-with-error"), ("bank", "duplicate"), ("office", "200-with-error")):
        with pytest.raises(BadRequest, match="makes no sense"):
            await tell(data, name, verb)


@pytest.mark.parametrize("name", list(KINDS))
async def test_a_server_that_is_stopped_refuses_and_comes_back(bench: Bench, name: str) -> None:
    """On the same port, with the same key."""
    data = bench[0].archive.parent
    await tell(data, name, "stop")
    with pytest.raises(Unreachable):
        await sent(bench, name)
    await tell(data, name, "start")
    await sent(bench, name)
