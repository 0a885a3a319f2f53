"""The keys of `type: smtp`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from yarl import URL

from adapters.http_addresses import TOKEN
from adapters.http_network import Allow, Mtls, Tls, is_loopback, unlisted
from adapters.smtp.addresses import Mailbox, Mailboxes, checked
from pipe.contract import ConnectionConfig, Expression, Options, Secret, Size, Strict, Template, read_beside

PORTS = {"smtp": 587, "smtps": 465}
OURS = {
    "from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version", "content-type",
    "content-transfer-encoding", "content-disposition", "return-path", "received", "dkim-signature", "auto-submitted",
}  # fmt: skip
"""fields that have a key of their own, or are nobody's to write"""


def _address(text: str) -> str:
    url = URL(text)
    if url.scheme not in PORTS or not url.host or len(text.split()) != 1:
        raise ValueError("this is no address of a mail server: write `smtp://host:587` or `smtps://host:465`")
    if url.raw_user is not None or url.raw_password is not None:
        raise ValueError("credentials do not belong into an address: write them as `username:` and `password:`")
    if url.raw_path not in {"", "/"} or url.raw_query_string or url.raw_fragment:
        raise ValueError("an address of a mail server ends with its port")
    return text


def _field(name: str) -> str:
    if not TOKEN.fullmatch(name):
        raise ValueError(f"`{name}` cannot be the name of a field")
    if name.lower() in OURS:
        raise ValueError(f"`{name}` is not to be written here: it has a key of its own, or belongs to mail servers")
    return name


ServerAddress = Annotated[str, AfterValidator(_address)]
FieldName = Annotated[str, AfterValidator(_field)]


class SmtpConfig(ConnectionConfig):
    """A mail server that takes mail from us."""

    type: Literal["smtp"] = "smtp"
    url: ServerAddress = Field(
        description="Where it is: `smtps` is TLS from the first byte, `smtp` begins plain and demands STARTTLS.",
        examples=["smtp://mail.partner.example:587"],
    )
    starttls: bool = Field(
        default=True, description="`false`: stays plain, for a relay on this machine or in a closed network."
    )
    username: str | None = Field(default=None, description="Who we are.")
    password: Secret | None = Field(default=None, description="The password that goes with it; read at each sign-in.")
    sender: Annotated[str, AfterValidator(checked)] = Field(
        description="Whom mail is from, unless the target says otherwise; refusals come back to it.",
        examples=["Контактний центр <noreply@gov.example>"],
    )
    helo: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.:\[\]-]{1,255}$",
        description="Our name in EHLO, where the server wants another than this machine's.",
    )
    tls: Tls = Field(default=Tls(), description="How the server's certificate is checked.")
    mtls: Mtls | None = Field(default=None, description="Our own certificate, where the server demands one.")
    allow: Allow | None = Field(default=None, description="Where this connection may lead; else only to `url`.")
    max_mail: Size = Field(default=Size(25 << 20), description="Largest mail, attachments encoded.")

    @property
    def implicit(self) -> bool:
        """Whether TLS begins before SMTP does."""
        return URL(self.url).scheme == "smtps"

    @property
    def secure(self) -> bool:
        """Whether anything that matters is said over TLS."""
        return self.implicit or self.starttls

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        url = URL(self.url)
        return url.host or "", url.port or PORTS[url.scheme]

    @model_validator(mode="after")
    def _whole(self) -> SmtpConfig:
        if (problem := unlisted(self.allow, self.url)) is not None:
            raise ValueError(problem)
        if self.implicit and not self.starttls:
            raise ValueError("`starttls: false` and `smtps://` contradict each other: leave `starttls` out")
        if self.mtls is not None and not self.secure:
            raise ValueError("`mtls` needs TLS: leave `starttls: false` out")
        if (self.username is None) != (self.password is None):
            raise ValueError("`username` and `password` go together")
        if self.password is not None and not self.secure and not is_loopback(self.place[0]):
            raise ValueError("`starttls: false` would send `password` in clear: use TLS, or a relay that wants none")
        return self


class Attached(Strict):
    """A file that goes along with the mail."""

    name: Template = Field(description="What it is called.", examples=["${message.params.number}.pdf"])
    body: Expression | None = Field(
        default=None, description="Its content; without it the body of the message, as it is after the steps."
    )
    content_type: Template | None = Field(
        default=None, description="Its type; without it by its name.", examples=["application/pdf"]
    )
    base64: bool = Field(default=False, description="The content is text that holds the bytes in Base64.")
    each: Expression | None = Field(
        default=None,
        description="A list: one attachment for each of its items, `item` in the other keys.",
        examples=['body."@attachments"'],
    )
    when: Expression | None = Field(default=None, description="Only where this is true.")


class SmtpTarget(Options):
    """One mail for each message. Either every recipient gets it or none: a refused one refuses the mail."""

    send: Mailboxes = Field(
        description="Whom it is to: an address, a list of them, or `${…}` that gives one or a list.",
        examples=["${body.applicant.email}", [{"name": "${body.name}", "address": "${body.email}"}]],
    )
    cc: list[Mailbox] = Field(default=[], description="Who gets a copy.")
    bcc: list[Mailbox] = Field(default=[], description="Who gets a copy that the others do not see.")
    reply_to: Mailbox | None = Field(default=None, description="Where answers go.")
    sender: Mailbox | None = Field(default=None, description="Whom it is from, instead of the connection's `sender`.")
    subject: Template = Field(description="What it is about, in one line.", examples=["Звернення ${body.number}"])
    text: Template | None = Field(
        default=None, description="The text. Without `text` and `html` the body of the message is the text."
    )
    text_file: Template | None = Field(default=None, description="The file with the text, instead of `text`.")
    html: Template | None = Field(default=None, description="The page; values are escaped.")
    html_file: Template | None = Field(default=None, description="The file with the page, instead of `html`.")
    attachments: list[Attached] = Field(default=[], description="Files that go along.")
    headers: dict[FieldName, Template] = Field(
        default={}, description="Further fields.", examples=[{"X-Case": "${body.number}"}]
    )

    @field_validator("text_file", "html_file", mode="before")
    @classmethod
    def _read(cls, path: object, info: ValidationInfo) -> object:
        return Template(read_beside(info, path)) if isinstance(path, str) else path

    @model_validator(mode="after")
    def _one_of_each(self) -> SmtpTarget:
        for name in ("text", "html"):
            if getattr(self, name) is not None and getattr(self, f"{name}_file") is not None:
                raise ValueError(f"`{name}` and `{name}_file` are two ways to say the same: keep one")
        if isinstance(self.send, list) and not self.send:
            raise ValueError("`send` names nobody")
        if re.search(r"[\r\n]", self.subject.text):
            raise ValueError("`subject` is one line")
        return self
