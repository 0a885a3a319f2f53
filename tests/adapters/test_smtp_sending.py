"""Handing mail to a server: what its replies mean, who gets it when one is refused, TLS, sign-in, and a bad network."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.smtp import Smtp
from pipe.contract import Duration, Examinable, Secret, Sink, Timeout
from pipe.errors import Busy, NoAnswer, NotAuthorised, PeerFailed, PipeError, Refused, TlsFailed, Unreachable
from pipe.testing import FakeServices, FaultProxy, faults
from tests.adapters.pki import Pki
from tests.adapters.smtp_bench import QUICK, MailServer, attempt, config, opened, scripted, serving, target

BOTH_LOOPS = True


async def outcome(adapter: Smtp, **more: Any) -> str:
    """What one attempt brings: its status, or the name of its error."""
    try:
        return str((await adapter.send(attempt(**more))).status)
    except PipeError as error:
        return type(error).__name__


def secret(folder: Path, value: str) -> Secret:
    """A secret in a file."""
    (folder / "password").write_text(value, encoding="utf-8")
    return Secret(f"${{file:{folder / 'password'}}}")


def test_it_is_a_sink_that_can_be_examined() -> None:
    """And a mail that may have left is not sent again by itself."""
    adapter = Smtp("mail", config(25), FakeServices())
    assert isinstance(adapter, Sink)
    assert isinstance(adapter, Examinable)
    assert not adapter.natural(target())


# --- replies


@pytest.mark.parametrize(
    ("at", "reply", "name"),
    [
        ("MAIL", "451 4.3.0 later", "PeerFailed"),
        ("MAIL", "550 5.7.1 you may not", "Refused"),
        ("MAIL", "530 5.7.0 sign in first", "NotAuthorised"),
        ("MAIL", "421 4.7.0 too many", "Busy"),
        ("olena@example.org", "450 4.7.1 greylisted", "PeerFailed"),
        ("olena@example.org", "550 5.1.1 no such user", "Refused"),
        ("olena@example.org", "251 will forward", "250"),
        ("DATA", "452 4.3.1 full", "PeerFailed"),
        ("DATA", "554 5.7.1 spam", "Refused"),
        ("DATA", "421 4.3.2 going down", "Busy"),
    ],
)
async def test_a_reply_decides_what_becomes_of_the_mail(at: str, reply: str, name: str) -> None:
    """4xx comes again, 5xx is final, sign-in stops the connection; the server's words are in the error."""
    server = MailServer(replies={at: reply})
    async with serving(server), opened(config(server.port)) as adapter:
        assert await outcome(adapter) == name
        if name != "250":
            with pytest.raises(PipeError, match=reply.rsplit(maxsplit=1)[-1]):
                await adapter.send(attempt())
        server.replies.clear()
        assert await outcome(adapter) == "250"


async def test_one_refused_recipient_refuses_the_mail() -> None:
    """Nobody gets it, so that a replay after the cure gives everybody one; a final refusal outweighs a passing one."""
    three = target(send=["a@example.org", "b@example.org"], bcc=["c@example.org"])
    server = MailServer(replies={"b@example.org": "450 later", "c@example.org": "550 5.1.1 unknown"})
    async with serving(server), opened(config(server.port)) as adapter:
        with pytest.raises(Refused, match=r"to c@example\.org: 550") as refused:
            await adapter.send(attempt(three))
        assert "nobody has got this mail" in refused.value.hint
        del server.replies["c@example.org"]
        with pytest.raises(PeerFailed, match=r"to b@example\.org: 450"):
            await adapter.send(attempt(three))
        assert server.envelopes == []
        assert "DATA" not in server.said
        await adapter.send(attempt(target(send="d@example.org")))
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [["d@example.org"]], "nothing was left behind"


HELLO, GOOD = "250 test", "250 OK"


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ((HELLO, "cut"), Unreachable),
        ((HELLO, GOOD, None), Unreachable),
        ((HELLO, GOOD, GOOD, "cut"), Unreachable),
        ((HELLO, GOOD, GOOD, None), Unreachable),
        ((HELLO, GOOD, GOOD, "554 not you"), Refused),
        ((HELLO, GOOD, GOOD, "354 go on", "cut"), NoAnswer),
        ((HELLO, GOOD, GOOD, "354 go on", None), NoAnswer),
        ((HELLO, GOOD, GOOD, "354 go on", "25"), PipeError),
        ((HELLO, GOOD, GOOD, "354 go on", "what?"), PipeError),
        ((HELLO, "garbage"), Unreachable),
        (("cut",), Unreachable),
    ],
)
async def test_only_after_the_last_dot_nobody_knows(lines: tuple[str | None, ...], error: type[PipeError]) -> None:
    """A loss before it is no delivery and comes again; a loss after it is uncertain."""
    async with scripted(*lines) as (port, told), opened(config(port)) as adapter:
        with pytest.raises(error) as lost:
            await adapter.send(attempt(timeout=QUICK))
    if error is PipeError:
        assert lost.value.verdict == "uncertain"
    assert (b".\r\n" in told) == (len(lines) == 5)


async def test_the_whole_attempt_has_an_end() -> None:
    """A server that is only ever slow is not waited for longer than `total` says."""
    slow = Timeout(connect=Duration(2), read=Duration(2), total=Duration(0.3))
    async with scripted(HELLO, GOOD, GOOD, "354 go on", None) as (port, _), opened(config(port)) as adapter:
        with pytest.raises(NoAnswer, match=r"within 0\.3 s"):
            await adapter.send(attempt(timeout=slow))
    async with scripted(HELLO, None) as (port, _), opened(config(port)) as adapter:
        with pytest.raises(Unreachable):
            await adapter.send(attempt(timeout=slow))


@pytest.mark.parametrize(
    ("greeting", "error"), [("554 not from there", NotAuthorised), ("421 later", Busy), ("451 hm", Unreachable)]
)
async def test_a_server_that_does_not_greet_us(greeting: str, error: type[PipeError]) -> None:
    """A 5xx needs a person: the mail waits and spends nothing."""
    async with scripted(greeting=greeting) as (port, _), opened(config(port)) as adapter:
        with pytest.raises(error, match="does not let us in"):
            await adapter.send(attempt(timeout=QUICK))


async def test_lines_that_are_dots_stay_dots() -> None:
    """And every way to end a line arrives as one."""
    text = ".\n..\n.a\r\nb\rc\n" + "ї" * 400
    server = MailServer()
    async with serving(server), opened(config(server.port)) as adapter:
        await adapter.send(attempt(target(text="${body.t}"), plain={"t": text}))
        await adapter.send(attempt(target(text=None), text.replace("ї", "i").encode(), content_type="text/plain"))
    one, two = (mail.get_content().replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") for mail in server.mails)
    assert one == text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    assert two == one.replace("ї", "i")


# --- sessions


async def test_many_mails_need_one_sign_in() -> None:
    """A session is kept for the next mail; one that the server has ended meanwhile is replaced unseen."""
    server = MailServer()
    async with serving(server), opened(config(server.port)) as adapter:
        for _ in range(3):
            await adapter.send(attempt())
        assert len(server._transports) == 1
        for transport in list(server._transports):
            transport.abort()  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        assert await outcome(adapter) == "250"
        await asyncio.gather(*(adapter.send(attempt()) for _ in range(5)))
    assert len(server.envelopes) == 9
    assert server.said[-1] == "QUIT"


async def test_it_is_there_again_when_the_server_is() -> None:
    """A restart of the server costs nothing but the attempts meanwhile."""
    server = MailServer()
    await server.start()
    async with opened(config(server.port)) as adapter:
        assert (await outcome(adapter), (await adapter.check()).state) == ("250", "up")
        await server.stop()
        assert (await outcome(adapter), (await adapter.check()).state) == ("Unreachable", "down")
        await server.start(server.port)
        assert (await outcome(adapter), (await adapter.check()).state) == ("250", "up")
    await server.stop()


# --- TLS and sign-in


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    """An authority with its files in a fresh folder."""
    return Pki(tmp_path)


def secured(pki: Pki, *, implicit: bool, **more: Any) -> MailServer:
    """A server with TLS, and a user."""
    return MailServer(users={"gw": "right"}, context=pki.server("127.0.0.1"), implicit=implicit, **more)


def keys(server: MailServer, pki: Pki, password: Secret | None = None, **more: Any) -> Any:
    """A connection to it."""
    url = f"smtp{'s' if server.implicit else ''}://127.0.0.1:{server.port}"
    who = {"username": "gw", "password": password} if password is not None else {}
    return config(server.port, url=url, tls={"ca": Path(pki.ca_file), **more}, **who)


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.key("smtp.tls", "smtp.username", "smtp.password")
async def test_mail_goes_over_tls_with_our_password(pki: Pki, tmp_path: Path, *, implicit: bool) -> None:
    """From the first byte or after STARTTLS; a foreign authority or name is refused before the password is said."""
    async with serving(secured(pki, implicit=implicit)) as server:
        password = secret(tmp_path, "right")
        async with opened(keys(server, pki, password)) as adapter:
            assert await outcome(adapter) == "250"
        assert server.sign_ins == ["gw:good"]
        url = f"smtp{'s' if implicit else ''}://127.0.0.1:{server.port}"
        stranger = config(server.port, url=url, username="gw", password=password)
        renamed = keys(server, pki, password, server_name="x.example")
        for made, words in ((stranger, "authority"), (renamed, "another name")):
            async with opened(made) as adapter:
                with pytest.raises(TlsFailed, match=words):
                    await adapter.send(attempt())
    assert server.sign_ins == ["gw:good"]
    assert len(server.envelopes) == 1


async def test_nothing_is_said_in_clear_where_tls_is_not_offered(tmp_path: Path) -> None:
    """Somebody on the way could take the offer out: that is no reason to go on without."""
    server = MailServer()
    async with serving(server):
        made = config(server.port, url=f"smtp://127.0.0.1:{server.port}", username="gw", password=secret(tmp_path, "x"))
        async with opened(made) as adapter:
            with pytest.raises(TlsFailed, match="offers no STARTTLS"):
                await adapter.send(attempt())
    assert server.said in ([], ["QUIT"])
    with pytest.raises(ValidationError, match="in clear"):
        config(25, url="smtp://mail.example", starttls=False, username="gw", password=secret(tmp_path, "x"))


async def test_a_renewed_password_is_used_without_a_restart(pki: Pki, tmp_path: Path) -> None:
    """A wrong one stops the connection; the file is read at each sign-in, and a kept session is not held against it."""
    server = secured(pki, implicit=False)
    async with serving(server):
        password = secret(tmp_path, "wrong")
        async with opened(keys(server, pki, password)) as adapter:
            assert (await outcome(adapter), (await adapter.check()).state) == ("NotAuthorised", "down")
            secret(tmp_path, "right")
            assert await outcome(adapter) == "250"
            server.users["gw"] = "newer"
            secret(tmp_path, "newer")
            assert await outcome(adapter) == "250"
    assert server.sign_ins[-2:] == ["gw:good", "gw:good"]


@pytest.mark.key("smtp.mtls")
async def test_our_own_certificate_is_shown(pki: Pki) -> None:
    """Where the server demands one; without it TLS fails."""
    server = secured(pki, implicit=True)
    assert server.context is not None
    server.users.clear()
    pki.ca.configure_trust(server.context)
    server.context.verify_mode = ssl.CERT_REQUIRED
    async with serving(server):
        url, tls = f"smtps://127.0.0.1:{server.port}", {"ca": Path(pki.ca_file)}
        files = {name: Path(path) for name, path in pki.files("us.example").items()}
        async with opened(config(server.port, url=url, tls=tls, mtls=files)) as adapter:
            assert await outcome(adapter) == "250"
        async with opened(config(server.port, url=url, tls=tls)) as adapter:
            assert await outcome(adapter) in {"TlsFailed", "Unreachable"}


@pytest.mark.key("smtp.allow", "smtp.helo")
async def test_a_name_leads_only_where_the_configuration_allows() -> None:
    """And we are called as `helo` says."""
    async with scripted("250 test", "250 OK", "250 OK", "354 go", "250 OK") as (port, told):
        async with opened(config(port, url=f"smtp://localhost:{port}", starttls=False)) as adapter:
            assert await outcome(adapter) == "AddressForbidden"
        allow = {"networks": ["127.0.0.0/8", "::1/128"]}
        made = config(port, url=f"smtp://localhost:{port}", starttls=False, allow=allow, helo="gw.gov.example")
        async with opened(made) as adapter:
            assert await outcome(adapter) == "250"
    assert told[0] == b"EHLO gw.gov.example\r\n"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("smtp://gw:secret@mail.example", "credentials do not belong"),
        ("http://mail.example", "no address of a mail server"),
        ("smtp://mail.example/x", "ends with its port"),
    ],
)
def test_addresses_that_are_none(url: str, words: str) -> None:
    """Found before it starts; a password in an address above all."""
    with pytest.raises(ValidationError, match=words) as found:
        config(25, url=url)
    assert "secret" not in str(found.value.errors()[0]["msg"])


# --- a bad network


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (faults.Refuse(), Unreachable),
        (faults.AcceptThenClose(), Unreachable),
        (faults.Cut(after=60), Unreachable),
        (faults.Reset(after=40, towards="server"), Unreachable),
        (faults.Swallow(towards="client", after=30), Unreachable),
        (faults.HalfOpen(), Unreachable),
        (faults.Garbage(), Unreachable),
        (faults.Cut(after=300, towards="server"), NoAnswer),
        (faults.Swallow(towards="server", after=300), NoAnswer),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, faults.Fault) else value.__name__,
)
async def test_each_fault_has_its_name(fault: faults.Fault, name: type[PipeError]) -> None:
    """It decides whether the mail may be sent again; healed, the next attempt succeeds. Nothing is taken twice."""
    async with (
        serving() as server,
        FaultProxy(("127.0.0.1", server.port), fault) as proxy,
        opened(config(proxy.port, helo="gw.example")) as adapter,
    ):
        assert await outcome(adapter, timeout=QUICK) == name.__name__
        await proxy.heal()
        assert await outcome(adapter) == "250"
    assert len(server.envelopes) == 1


async def test_a_half_open_session_is_left_for_a_new_one() -> None:
    """One that was kept is asked before it gets a mail, so that its loss costs no mail its certainty."""
    async with (
        serving() as server,
        FaultProxy(("127.0.0.1", server.port)) as proxy,
        opened(config(proxy.port)) as adapter,
    ):
        assert await outcome(adapter) == "250"
        await proxy.turn(faults.HalfOpen())
        assert await outcome(adapter, timeout=QUICK) == "Unreachable"
        await proxy.heal()
        assert await outcome(adapter) == "250"


# --- the doctor


async def examined(made: Any, *uses: Any) -> list[tuple[str, str]]:
    """What an examination says."""
    adapter = Smtp("mail", made, FakeServices())
    found = [rung async for rung in adapter.examine(uses)]
    await adapter.close()
    assert all(rung.text and (rung.state == "ok" or rung.hint) for rung in found), found
    return [(rung.name, rung.state) for rung in found]


@pytest.mark.parametrize("implicit", [True, False])
async def test_an_examination_hands_over_no_mail(pki: Pki, tmp_path: Path, *, implicit: bool) -> None:
    """Up to MAIL FROM, which is taken back; the first rung that fails is the last."""
    async with serving(secured(pki, implicit=implicit)) as server:
        password = secret(tmp_path, "right")
        way = [("name", "ok"), ("tcp", "ok")]
        tls = [("tls", "ok"), ("greeting", "ok")] if implicit else [("greeting", "ok"), ("tls", "ok")]
        good = await examined(keys(server, pki, password), target(sender="desk@gov.example"))
        assert good == [*way, *tls, ("sign-in", "ok"), ("sender", "ok"), ("sender", "ok")]
        assert [said.split()[0] for said in server.said] == ["MAIL", "RSET", "MAIL", "RSET", "QUIT"]
        server.replies["MAIL"] = "550 5.7.1 not yours"
        assert (await examined(keys(server, pki, password)))[-1] == ("sender", "fail")
        secret(tmp_path, "wrong")
        assert (await examined(keys(server, pki, password)))[-1] == ("sign-in", "fail")
        (tmp_path / "password").unlink()
        assert (await examined(keys(server, pki, password)))[-1][1] == "fail"
        stranger = config(server.port, url=f"smtp{'s' if implicit else ''}://127.0.0.1:{server.port}")
        assert (await examined(stranger))[-1] == ("tls", "fail")
    assert (await examined(config(server.port)))[-1] == ("tcp", "fail")
    assert server.envelopes == []
