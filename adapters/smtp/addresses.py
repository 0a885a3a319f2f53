"""Addresses of people: read strictly, so that a value can name a mailbox and never add another one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.errors import MessageError, NonASCIILocalPartDefect
from email.headerregistry import Address, HeaderRegistry
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag
from yarl import URL

from pipe.contract import Message, Strict, Template
from pipe.errors import BadHeader

LONGEST = 320
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029\ud800-\udfff]")
_SPECIAL = re.compile(r"[<>,;:\"()\[\]\\@\s]")
_DOMAIN = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*|\[[0-9A-Fa-f.:]+\]")
_registry = HeaderRegistry()


def parsed(text: str) -> Address:
    """The one mailbox of `a@b` or `Name <a@b>`, its domain in ASCII. Raises ValueError that says what is wrong."""
    if _CONTROL.search(text):
        raise ValueError(f"{text[:80]!r} holds a line break or another control character")
    if not text.strip() or len(text) > LONGEST:
        raise ValueError(f"{text[:80]!r} is no address of mail")
    try:
        header: Any = _registry("to", text)
    except (MessageError, IndexError) as error:  # what the standard library's parser raises over garbage
        raise ValueError(f"{text[:80]!r} is no address of mail") from error
    if (
        any(not isinstance(defect, NonASCIILocalPartDefect) for defect in header.defects)
        or len(header.addresses) != 1
        or any(group.display_name for group in header.groups)
    ):
        raise ValueError(f"{text[:80]!r} is not exactly one address of mail")
    found = header.addresses[0]
    return made(found.display_name, f"{found.username}@{found.domain}")


def made(name: str, address: str) -> Address:
    """A mailbox of a name and an address. Raises ValueError."""
    if _CONTROL.search(name) or _CONTROL.search(address):
        raise ValueError(f"{(name + ' ' + address)[:80]!r} holds a line break or another control character")
    user, at, domain = address.rpartition("@")
    if not at or not user or _SPECIAL.search(user) or user.startswith(".") or user.endswith(".") or ".." in user:
        raise ValueError(f"{address[:80]!r} is no address of mail")
    if not domain.startswith("["):
        domain = _ascii(domain)
    if not _DOMAIN.fullmatch(domain) or len(domain) > 253 or len(user.encode()) > 64:
        raise ValueError(f"{address[:80]!r} is no address of mail")
    return Address(name, user, domain)


def _ascii(domain: str) -> str:
    """A domain as name servers know it: `пошта.укр` becomes `xn--80a1acn3a.xn--j1amh`."""
    if domain.isascii():
        return domain
    try:
        return URL.build(scheme="http", host=domain).raw_host or ""
    except ValueError:
        return ""


def checked(text: str) -> str:
    """A fixed address of the configuration. Raises ValueError."""
    parsed(text)
    return text


class Person(Strict):
    """A mailbox whose name is data: it may hold quotes, commas, whatever people are called."""

    name: Template = Field(description="What people read.", examples=["${body.applicant.name}"])
    address: Template = Field(description="The address alone.", examples=["${body.applicant.email}"])


def _written(value: Template | Person) -> Template | Person:
    """As far as it is known before data comes."""
    if isinstance(value, Template) and not value.expressions:
        parsed(value.text)
    return value


def _kind(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "list"
    return "person" if isinstance(value, (Person, dict)) else "text"


Mailbox = Annotated[
    Annotated[Annotated[Template, Tag("text")] | Annotated[Person, Tag("person")], Discriminator(_kind)],
    AfterValidator(_written),
]
"""`Name <a@b>`, `${…}`, or name and address apart"""


Mailboxes = Annotated[
    Annotated[Template, AfterValidator(_written), Tag("text")]
    | Annotated[Person, Tag("person")]
    | Annotated[list[Mailbox], Tag("list")],
    Discriminator(_kind),
]
"""one, or a list of them"""


def mailboxes(written: Template | Person, message: Message) -> Iterator[Address]:
    """The mailboxes that it stands for with this message; several only where `${…}` alone gives a list.

    Raises BadHeader where a value is no address, or would be more than one.
    """
    try:
        if isinstance(written, Person):
            yield made(written.name.fill(message), written.address.fill(message).strip())
            return
        expressions = written.expressions
        if len(expressions) == 1 and written.text == f"${{{expressions[0].text}}}":
            value = expressions[0](message)
            if isinstance(value, (list, tuple)):
                for one in value:
                    if not isinstance(one, str):
                        raise ValueError(f"{str(one)[:80]!r} in the list is no text")
                    yield parsed(one)
                return
            yield parsed(written.fill(message))
            return
        yield parsed(written.fill(message, _part))
    except ValueError as error:
        text = written.address.text if isinstance(written, Person) else written.text
        raise BadHeader(f"`{text}`: {error}") from error


def _part(value: str) -> str:
    """A value within an address, which must not take it apart."""
    if re.search(r"[<>,;:\"()\[\]\\]", value):
        raise BadHeader(
            f"a value within an address is {value[:80]!r}: it must not hold signs that take addresses apart",
            hint="write `{name: …, address: …}`: a name may then hold any sign",
        )
    return value


def needs_utf8(mailbox: Address) -> bool:
    """Whether the part before the @ is not ASCII: the server must then know SMTPUTF8."""
    return not mailbox.username.isascii()
