"""One mail from one message, the same bytes at every attempt: Message-ID and boundaries come from the delivery's id."""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import mimetypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from adapters.smtp.addresses import mailboxes, needs_utf8, parsed
from adapters.smtp.config import Attached, SmtpConfig, SmtpTarget
from pipe.contract import Blob, Outgoing
from pipe.errors import BadHeader, MappingFailed, TooLarge, Unencodable

_TYPE = re.compile(r"([A-Za-z0-9!#$&^_.+-]{1,64})/([A-Za-z0-9!#$&^_.+-]{1,64})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LONGEST_SUBJECT = 900


@dataclass(frozen=True, slots=True)
class Mail:
    """What is handed to the server."""

    sender: Address
    recipients: tuple[Address, ...]
    message_id: str
    content: bytes
    """as it is sent, before dots are doubled"""
    utf8: bool
    """an address needs a server that knows SMTPUTF8"""


def composed(config: SmtpConfig, outgoing: Outgoing, now: float) -> Mail:
    """The mail for one delivery; reads files where a body is one, so it is for threads.

    Raises BadHeader where data must not stand in a field, MappingFailed for a value of the wrong type, Unencodable,
    TooLarge.
    """
    target: SmtpTarget = outgoing.target
    data = outgoing.data
    sender = _one(target, outgoing) or parsed(config.sender)
    to = [box for written in _listed(target.send) for box in mailboxes(written, data)]
    cc = [box for written in target.cc for box in mailboxes(written, data)]
    bcc = [box for written in target.bcc for box in mailboxes(written, data)]
    if not to:
        raise BadHeader("`send` gives an empty list: the mail is to nobody")
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"], mail["To"] = sender, to
    if cc:
        mail["Cc"] = cc
    if target.reply_to is not None:
        mail["Reply-To"] = list(mailboxes(target.reply_to, data))
    mail["Subject"] = _line("subject", target.subject.fill(data))
    mail["Date"] = formatdate(data.received_at or now)
    mail["Message-ID"] = message_id = f"<{_word(outgoing.id)}@{sender.domain.strip('[]')}>"
    mail["Auto-Submitted"] = "auto-generated"  # so that nobody's holiday answers it
    for name, template in target.headers.items():
        mail[name] = _line(name, template.fill(data))
    _write(mail, target, outgoing)
    for attached in _attachments(target.attachments, outgoing):
        attached.add(mail)
    _settle(mail, outgoing.id)
    recipients = tuple({box.addr_spec: box for box in (*to, *cc, *bcc)}.values())
    utf8 = any(needs_utf8(box) for box in (sender, *recipients, *_answers(mail)))
    dialect = policy.SMTPUTF8 if utf8 else policy.SMTP
    content = mail.as_bytes(policy=dialect.clone(cte_type="7bit"))
    if len(content) > config.max_mail:
        raise TooLarge(
            f"the mail would have {len(content)} bytes, and `max_mail` is {config.max_mail}",
            hint="send less, or raise `max_mail:` of the connection",
        )
    return Mail(sender, recipients, message_id, content, utf8)


def _answers(mail: EmailMessage) -> tuple[Address, ...]:
    field: Any = mail["Reply-To"]
    return field.addresses if field is not None else ()


def _one(target: SmtpTarget, outgoing: Outgoing) -> Address | None:
    if target.sender is None:
        return None
    found = list(mailboxes(target.sender, outgoing.data))
    if len(found) != 1:
        raise BadHeader(f"`sender` gives {len(found)} addresses: a mail is from one")
    return found[0]


def _listed(written: Any) -> Sequence[Any]:
    return written if isinstance(written, list) else [written]


def _line(name: str, value: str) -> str:
    """A field's value. Raises BadHeader where it would be more than one line."""
    if _CONTROL.search(value):
        raise BadHeader(f"{name} would hold a line break or another control character: {value[:80]!r}")
    if len(value) > LONGEST_SUBJECT:
        raise BadHeader(f"{name} would have {len(value)} signs, and at most {LONGEST_SUBJECT} may be")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadHeader(f"{name} holds a lone surrogate at place {error.start}") from error
    return value


def _word(id: str) -> str:
    """The delivery's id as a Message-ID may hold it."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", id).strip(".")


def _write(mail: EmailMessage, target: SmtpTarget, outgoing: Outgoing) -> None:
    """The text, the page, or both as two forms of the same."""
    text, page = target.text or target.text_file, target.html or target.html_file
    data = outgoing.data
    if text is None and page is None:
        mail.set_content(_own_text(target, outgoing))
    if text is not None:
        mail.set_content(_clean(text.fill(data)))
    if page is not None:
        filled = _clean(page.fill(data, html.escape))
        if text is not None:
            mail.add_alternative(filled, subtype="html")
        else:
            mail.set_content(filled, subtype="html")


def _own_text(target: SmtpTarget, outgoing: Outgoing) -> str:
    """The message's body as text; nothing where an attachment holds it."""
    if any(attached.body is None for attached in target.attachments):
        return ""
    body = _bytes(outgoing.message.body)
    try:
        return _clean(body.decode(_charset(outgoing) or "utf-8"))
    except (UnicodeDecodeError, LookupError) as error:
        raise Unencodable(
            "the body of the message is no text, and the target says neither `text` nor `html`",
            hint="write `text:`, and the body as an attachment: `attachments: [{name: file.bin}]`",
        ) from error


def _charset(outgoing: Outgoing) -> str | None:
    """What the message's content type says."""
    match = re.search(r"charset=\"?([\w-]+)", outgoing.message.content_type or "")
    return match[1] if match else None


def _clean(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unencodable(f"the text of the mail holds a lone surrogate at place {error.start}") from error
    return text.replace("\x00", "")


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    main: str
    sub: str
    content: bytes
    charset: str | None
    """of a text, where it is known"""

    def add(self, mail: EmailMessage) -> None:
        params = {"charset": self.charset} if self.main == "text" and self.charset else None
        mail.add_attachment(self.content, self.main, self.sub, filename=self.name, params=params)


def _attachments(configured: Sequence[Attached], outgoing: Outgoing) -> Iterator[_File]:
    for attached in configured:
        if attached.each is None:
            if attached.when is None or attached.when(outgoing.data) is True:
                yield _file(attached, outgoing)
            continue
        items = attached.each(outgoing.data)
        if items is not None and not isinstance(items, (list, tuple)):
            raise MappingFailed(f"`{attached.each.text}` is no list", path=attached.each.text)
        for item in items or ():
            if attached.when is None or attached.when(outgoing.data, item=item) is True:
                yield _file(attached, outgoing, item=item)


def _file(attached: Attached, outgoing: Outgoing, **extra: Any) -> _File:
    name = _line("the name of an attachment", attached.name.fill(outgoing.data, **extra)).replace("\\", "/")
    name = name.rpartition("/")[2].strip() or "attachment"
    if attached.content_type is not None:
        kind = attached.content_type.fill(outgoing.data, **extra).partition(";")[0].strip()
    elif attached.body is None and outgoing.message.content_type:
        kind = outgoing.message.content_type.partition(";")[0].strip()
    else:
        kind = mimetypes.guess_type(name, strict=True)[0] or "application/octet-stream"
    match = _TYPE.fullmatch(kind)
    if match is None or match[1].lower() in {"multipart", "message"}:
        match = _TYPE.fullmatch("application/octet-stream")
    assert match is not None
    if attached.body is None:
        content, charset = _bytes(outgoing.message.body), _charset(outgoing)
    else:
        content, charset = _content(attached, outgoing, extra), None if attached.base64 else "utf-8"
    return _File(name, match[1].lower(), match[2].lower(), content, charset)


def _content(attached: Attached, outgoing: Outgoing, extra: dict[str, Any]) -> bytes:
    assert attached.body is not None
    value, path = attached.body(outgoing.data, **extra), attached.body.text
    if attached.base64:
        if not isinstance(value, str):
            raise MappingFailed(f"`{path}` is no text, and the attachment says `base64: true`", path=path)
        try:
            return base64.b64decode(re.sub(r"\s+", "", value), validate=True)
        except (binascii.Error, ValueError) as error:
            raise MappingFailed(f"`{path}` is not Base64", path=path) from error
    if isinstance(value, str):
        return _clean(value).encode()
    if isinstance(value, (bytes, Blob)):
        return _bytes(value)
    raise MappingFailed(
        f"`{path}` is {type(value).__name__}; an attachment is text or bytes", path=path,
        hint="encode it in a step, and attach the message's body",
    )  # fmt: skip


def _bytes(body: Any) -> bytes:
    if isinstance(body, Blob):
        return body.read()
    return body if isinstance(body, bytes) else b""


def _settle(mail: EmailMessage, id: str) -> None:
    """Boundaries made of the delivery's id: the same bytes at every attempt, and none that a text could guess."""
    for number, part in enumerate(mail.walk()):
        if part.is_multipart():
            part.set_boundary(f"=_{hashlib.sha256(f'{id} {number}'.encode()).hexdigest()[:40]}")
