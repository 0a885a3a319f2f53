"""What a mail looks like: fields, templates, attachments, letters beyond ASCII; and what data cannot make of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.smtp.addresses import made, parsed
from adapters.smtp.composing import composed
from pipe.contract import Blob
from pipe.errors import BadHeader, MappingFailed, PipeError, TooLarge, Unencodable
from tests.adapters.smtp_bench import MailServer, attempt, config, opened, serving, target


async def received(*attempts: Any, **keys: Any) -> MailServer:
    """The server after these attempts."""
    async with serving() as server, opened(config(server.port, **keys)) as adapter:
        for each in attempts:
            await adapter.send(each)
    return server


async def mail_of(to: Any, body: Any = b"{}", **more: Any) -> Any:
    """The one mail that arrives."""
    (mail,) = (await received(attempt(to, body, **more))).mails
    return mail


@pytest.mark.key("smtp.url", "smtp.sender", "smtp.starttls", "to.smtp.send", "to.smtp.subject", "to.smtp.text")
async def test_a_mail_in_ukrainian_arrives_as_it_was_written() -> None:
    """Names, subject and text; and the fields that keep others from answering it or taking it for new."""
    to = target(
        send="Олена Петрівна <olena@example.org>",
        subject="Ваше звернення № 7",
        text="Вітаємо, ${body.name}!\n.\nКрапка",
    )
    (mail,) = (server := await received(attempt(to, plain={"name": "Олено"}))).mails
    assert (str(mail["From"]), str(mail["To"])) == ("Центр <noreply@gov.example>", "Олена Петрівна <olena@example.org>")
    assert mail["Subject"] == "Ваше звернення № 7"
    assert mail.get_content() == "Вітаємо, Олено!\n.\nКрапка\n"
    assert mail["Message-ID"] == "<d-1@gov.example>"
    assert mail["Date"].datetime.timestamp() == 1_768_471_200
    assert mail["Auto-Submitted"] == "auto-generated"
    (envelope,) = server.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("noreply@gov.example", ["olena@example.org"])
    assert isinstance(envelope.content, bytes)
    assert envelope.content.isascii()


async def test_every_attempt_is_the_same_bytes() -> None:
    """So that whoever de-duplicates by Message-ID or content can; another delivery differs."""
    to = target(html="<b>${body.n}</b>", attachments=[{"name": "a.txt"}])
    twice = [attempt(to, b"x", plain={"n": 1}, attempt=n) for n in (1, 2)]
    server = await received(*twice, attempt(to, b"x", plain={"n": 1}, id="d-2.mail#2"))
    first, second, third = (envelope.content for envelope in server.envelopes)
    assert first == second
    assert first != third
    assert server.mails[2]["Message-ID"] == "<d-2.mail_2@gov.example>"


@pytest.mark.key("to.smtp.html", "to.smtp.text_file", "to.smtp.html_file")
async def test_text_and_page_are_two_forms_of_one_mail(tmp_path: Path) -> None:
    """From the YAML or from files beside it; values in the page are escaped, in the text they are not."""
    (tmp_path / "mail.txt").write_text("Пане ${body.name}", encoding="utf-8")
    (tmp_path / "mail.html").write_text("<p>Пане ${body.name}</p>", encoding="utf-8")
    value = {"name": '<script>x</script> & "Ко"'}
    both = target(text="Пане ${body.name}", html="<p>Пане ${body.name}</p>")
    files = target(text=None, text_file=str(tmp_path / "mail.txt"), html_file=str(tmp_path / "mail.html"))
    for to in (both, files):
        mail = await mail_of(to, plain=value)
        assert mail.get_content_type() == "multipart/alternative"
        assert mail.get_body(("plain",)).get_content() == 'Пане <script>x</script> & "Ко"\n'
        assert mail.get_body(("html",)).get_content() == (
            "<p>Пане &lt;script&gt;x&lt;/script&gt; &amp; &quot;Ко&quot;</p>\n"
        )
    only = await mail_of(target(text=None, html="<p>так</p>"))
    assert (only.get_content_type(), only.get_content()) == ("text/html", "<p>так</p>\n")


async def test_without_a_text_the_body_is_the_text() -> None:
    """In the charset that it says; what is no text is refused with what to write."""
    bare = target(text=None)
    mail = await mail_of(bare, "Привіт".encode("cp1251"), content_type="text/plain; charset=windows-1251")
    assert mail.get_content() == "Привіт\n"
    assert (await mail_of(bare, b'{"a": 1}')).get_content().rstrip() == '{"a": 1}'
    with pytest.raises(Unencodable) as refused:
        await received(attempt(bare, b"\xff\xfe\x00"))
    assert "attachments:" in refused.value.hint


@pytest.mark.key(
    "to.smtp.attachments",
    "to.smtp.attachments.name",
    "to.smtp.attachments.body",
    "to.smtp.attachments.content_type",
    "to.smtp.attachments.base64",
    "to.smtp.attachments.each",
    "to.smtp.attachments.when",
)
async def test_attachments_come_from_the_body_from_values_and_from_lists(tmp_path: Path) -> None:
    """The message's body in bytes or as a file on disk, text, Base64, and what a SOAP message brought along."""
    (tmp_path / "blob").write_bytes(b"%PDF-1.7 " + bytes(70_000))
    blob = Blob(tmp_path / "blob", 70_009, hashlib.sha256((tmp_path / "blob").read_bytes()).hexdigest())
    to = target(
        attachments=[
            {"name": "звіт ${body.number}.pdf"},
            {"name": "note.txt", "body": "body.note"},
            {"name": "never.txt", "body": "body.note", "when": "body.number == `8`"},
            {
                "each": 'body."@attachments"', "name": "${item.name}", "content_type": "${item.content_type}",
                "body": "item.data", "base64": True, "when": "item.name != 'skip'",
            },
        ]
    )  # fmt: skip
    attached = [
        {"name": "a.png", "content_type": "image/png", "data": "iVBO\nRw=="},
        {"name": "skip", "content_type": "image/png", "data": ""},
        {"name": "b", "content_type": "multipart/evil", "data": "AAE="},
    ]
    plain = {"number": 7, "note": "Нотатка", "@attachments": attached}
    mail = await mail_of(to, blob, plain=plain, content_type="application/pdf")
    files = [(part.get_filename(), part.get_content_type(), part.get_content()) for part in mail.iter_attachments()]
    assert files == [
        ("звіт 7.pdf", "application/pdf", (tmp_path / "blob").read_bytes()),
        ("note.txt", "text/plain", "Нотатка"),
        ("a.png", "image/png", b"\x89PNG"[:4]),
        ("b", "application/octet-stream", b"\x00\x01"),
    ]  # fmt: skip
    assert mail.get_body(("plain",)).get_content() == "Вітаємо\n"


@pytest.mark.parametrize(
    ("attached", "error"),
    [
        ({"name": "x", "body": "body.number"}, MappingFailed),
        ({"name": "x", "body": "body.text", "base64": True}, MappingFailed),
        ({"name": "x", "body": "body.number", "base64": True}, MappingFailed),
        ({"name": "x", "each": "body.text", "body": "item"}, MappingFailed),
        ({"name": "${body.evil}"}, BadHeader),
    ],
)
async def test_what_is_no_attachment_is_named(attached: dict[str, Any], error: type[PipeError]) -> None:
    """And no mail leaves without it."""
    async with serving() as server, opened(config(server.port)) as adapter:
        plain = {"number": 7, "text": "!", "evil": "a.txt\r\nX-Evil: 1"}
        with pytest.raises(error):
            await adapter.send(attempt(target(attachments=[attached]), plain=plain))
    assert server.said == []


async def test_the_name_of_an_attachment_is_no_path() -> None:
    """What is before the last slash goes; partners would unpack it."""
    mail = await mail_of(target(attachments=[{"name": "${body.n}"}]), b"x", plain={"n": "..\\..\\etc/passwd"})
    assert [part.get_filename() for part in mail.iter_attachments()] == ["passwd"]


@pytest.mark.key(
    "to.smtp.cc",
    "to.smtp.bcc",
    "to.smtp.reply_to",
    "to.smtp.sender",
    "to.smtp.headers",
    "mailbox.name",
    "mailbox.address",
)
async def test_everybody_who_is_named_gets_it() -> None:
    """Lists from data, copies, hidden copies that no field names; each address once."""
    to = target(
        send="${body.all}", cc=["Б <b@example.org>"], bcc=["c@example.org", "a@example.org"],
        reply_to={"name": "${body.name}", "address": "d@example.org"}, sender="desk@gov.example",
        headers={"X-Case": "${body.number}"},
    )  # fmt: skip
    name = 'ТОВ "Ромашка, <і> Ко"'
    server = await received(
        attempt(to, plain={"all": ["a@example.org", "Е <e@example.org>"], "name": name, "number": 7})
    )
    (mail,), (envelope,) = server.mails, server.envelopes
    assert envelope.rcpt_tos == ["a@example.org", "e@example.org", "b@example.org", "c@example.org"]
    assert [box.addr_spec for box in mail["To"].addresses] == ["a@example.org", "e@example.org"]
    assert [box.addr_spec for box in mail["Cc"].addresses] == ["b@example.org"]
    assert b"c@example.org" not in (envelope.content or b"")
    (answers,) = mail["Reply-To"].addresses
    assert (answers.display_name, answers.addr_spec) == (name, "d@example.org")
    assert (envelope.mail_from, mail["X-Case"], mail["Message-ID"]) == ("desk@gov.example", "7", "<d-1@gov.example>")


async def test_addresses_beyond_ascii_need_a_server_that_knows_them() -> None:
    """A domain is written in its ASCII form and goes anywhere; letters before the @ only where SMTPUTF8 is known."""
    both = attempt(target(send=["a@пошта.укр", "олена@пошта.укр"]))
    (envelope,) = (await received(both)).envelopes
    assert envelope.rcpt_tos == ["a@xn--80a1acn3a.xn--j1amh", "олена@xn--80a1acn3a.xn--j1amh"]
    assert "SMTPUTF8" in envelope.mail_options
    old = MailServer(utf8=False)
    async with serving(old), opened(config(old.port)) as adapter:
        await adapter.send(attempt(target(send="a@пошта.укр")))
        with pytest.raises(PipeError, match="SMTPUTF8"):
            await adapter.send(both)
    assert [envelope.rcpt_tos for envelope in old.envelopes] == [["a@xn--80a1acn3a.xn--j1amh"]]


EVIL = ["x\r\nBcc: evil@example.org", "x\nBcc: evil@example.org", "x\x00", "x\u2028y", "\ud800"]


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
@pytest.mark.parametrize("key", ["subject", "headers", "name", "send", "reply_to"])
async def test_a_value_never_makes_a_line_of_its_own(key: str, evil: str) -> None:
    """Nor a field, a recipient or half a character; the message is refused, and no command was said."""
    keys: dict[str, dict[str, Any]] = {
        "subject": {"subject": "${body.evil}"}, "headers": {"headers": {"X-A": "${body.evil}"}},
        "name": {"send": {"name": "${body.evil}", "address": "a@example.org"}}, "send": {"send": "${body.evil}"},
        "reply_to": {"reply_to": "${body.evil}@example.org"},
    }  # fmt: skip
    if evil == "x\u2028y" and key in {"subject", "headers"}:
        return  # no line break for mail, and encoded there
    async with serving() as server, opened(config(server.port)) as adapter:
        with pytest.raises(BadHeader):
            await adapter.send(attempt(target(**keys[key]), plain={"evil": evil}))
    assert server.said == []


@pytest.mark.parametrize(
    "value",
    [
        "a@example.org, b@example.org", "a@example.org; b@example.org", "<a@example.org> b@example.org", "g: a@x.org;",
        "a", "@x.org", "a@", "a@b@c", "a b@x.org", "", "a@x..org", "a@-x.org", ".a@x.org", "a@x.org>",
        "(c) a@x.org <b@x.org> d",
    ],
)  # fmt: skip
async def test_a_value_is_one_address_or_none(value: str) -> None:
    """Whoever fills in a form cannot add recipients."""
    with pytest.raises(BadHeader):
        await received(attempt(target(send="${body.to}"), plain={"to": value}))
    with pytest.raises(BadHeader):
        await received(attempt(target(send={"name": "Н", "address": "${body.to}"}), plain={"to": value}))


async def test_a_name_within_an_address_cannot_take_it_apart() -> None:
    """The hint says how names of any kind are written."""
    to = target(send="${body.name} <a@example.org>")
    with pytest.raises(BadHeader) as refused:
        await received(attempt(to, plain={"name": "x <evil@example.org>, y"}))
    assert "{name: …, address: …}" in refused.value.hint
    assert str((await mail_of(to, plain={"name": "Олена Петрівна"}))["To"]) == "Олена Петрівна <a@example.org>"


@given(st.text(max_size=40), st.text(max_size=60))
def test_whatever_data_says_an_address_stays_one(name: str, text: str) -> None:
    """Either it is refused, or what comes out is one mailbox without a line break."""
    for make, arguments in ((parsed, (text,)), (made, (name, text)), (made, (name, "a@example.org"))):
        try:
            found = make(*arguments)
        except ValueError:
            continue
        assert "\n" not in str(found)
        assert "\r" not in str(found)
        again = parsed(str(found)) if found.display_name.isascii() and len(str(found)) < 300 else found
        assert again.addr_spec == found.addr_spec


@pytest.mark.key("smtp.max_mail")
async def test_a_mail_that_is_too_large_is_not_sent() -> None:
    """Ours is the connection's limit, counted encoded; the server's own is kept too."""
    async with serving() as server:
        async with opened(config(server.port, max_mail="10KiB")) as adapter:
            with pytest.raises(TooLarge, match="`max_mail`"):
                await adapter.send(attempt(target(attachments=[{"name": "a"}]), bytes(9000)))
        async with opened(config(server.port)) as adapter:
            with pytest.raises(PipeError, match="takes at most 1048576 bytes"):
                await adapter.send(attempt(target(attachments=[{"name": "a"}]), bytes(1 << 20)))
    assert server.envelopes == []
    assert "DATA" not in server.said


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"send": []}, "names nobody"),
        ({"send": "nobody"}, "not exactly one|no address"),
        ({"send": "a@x.org, b@x.org"}, "exactly one"),
        ({"subject": "a\nb"}, "one line"),
        ({"headers": {"Bcc": "x@x.org"}}, "key of its own"),
        ({"headers": {"X A": "x"}}, "cannot be the name"),
        ({"text": "a", "text_file": "pyproject.toml"}, "keep one"),
        ({"text": None, "html_file": "no-such-file"}, "cannot be read"),
    ],
)
def test_mistakes_of_a_target_are_found_before_it_starts(keys: dict[str, Any], words: str) -> None:
    """With what is wrong in words."""
    with pytest.raises(ValidationError, match=words):
        target(**keys)


def test_composing_needs_no_server() -> None:
    """It is a function of the delivery."""
    mail = composed(config(1), attempt(target()), 0.0)
    assert (mail.message_id, mail.utf8, mail.recipients[0].addr_spec) == (
        "<d-1@gov.example>",
        False,
        "olena@example.org",
    )
