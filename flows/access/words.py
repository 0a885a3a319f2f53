"""The short words of rights: names, lists of them, and what is refused. Without storage."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal, get_args

from pipe.errors import BadRequest
from pipe.refusing import refused

Level = Literal[0, 1, 2, 3]
"""0 open, 1 internal, 2 personal data, 3 restricted"""
HIGHEST = 3
Scope = Literal["all", "company", "unit", "own"]
Holder = Literal["person", "position", "title", "unit", "group"]
"""whom a grant may be given to; all but the first stand for whoever is in it"""
MemberOf = Literal["position", "unit", "group"]
PersonState = Literal["active", "blocked", "left"]
Kind = Literal["person", "service"]

SCOPES: tuple[str, ...] = get_args(Scope)
HOLDERS: tuple[str, ...] = get_args(Holder)

_SLUG = re.compile(r"[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?")
_LOGIN = re.compile(r"[^\W_][\w.@+-]{1,127}")
_PERMISSION = re.compile(r"[a-z_]+\.[a-z_]+")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def slug(text: str) -> str:
    """The text as the short name of a thing. Raises BadRequest."""
    if not _SLUG.fullmatch(text):
        raise refused(BadRequest, "no_slug", text=text)
    return text


def login_of(text: str) -> str:
    """The one way in which a login is kept and looked for. Raises BadRequest where it cannot be one."""
    login = unicodedata.normalize("NFKC", text.strip()).casefold()
    if not _LOGIN.fullmatch(login):
        raise refused(BadRequest, "no_login", text=text)
    return login


def phone_of(text: str | None) -> str | None:
    """`+380671234567` of what people write, None of nothing. Raises BadRequest."""
    if not text or not text.strip():
        return None
    number = re.sub(r"[\s()-]", "", text)
    if re.fullmatch(r"0[0-9]{9}", number):
        number = f"+38{number}"
    if not _PHONE.fullmatch(number):
        raise refused(BadRequest, "no_phone")
    return number


def mail_of(text: str | None) -> str | None:
    """The address without spaces around it, None of nothing. Raises BadRequest."""
    if not text or not text.strip():
        return None
    if not _MAIL.fullmatch(text.strip()):
        raise refused(BadRequest, "no_mail")
    return text.strip()


def joined(words: Iterable[str]) -> str:
    """Words in one column, `|a|b|`, so that SQL finds each: sorted, each once; the empty text for none."""
    unique = sorted(set(words))
    return f"|{'|'.join(unique)}|" if unique else ""


def parted(text: str | None) -> frozenset[str]:
    """The words of such a column."""
    return frozenset(word for word in (text or "").split("|") if word)


def level_of(value: int) -> int:
    """A level of confidentiality. Raises BadRequest."""
    if isinstance(value, bool) or value not in get_args(Level):
        raise refused(BadRequest, "no_level", value=value)
    return value


def covers(pattern: str, permission: str) -> bool:
    """Whether `area.verb`, `area.*` or `*` means this permission."""
    return pattern in {permission, "*"} or (pattern.endswith(".*") and permission.startswith(pattern[:-1]))


def pattern_of(text: str) -> str:
    """A permission or a pattern of some, by its form. Raises BadRequest."""
    if text != "*" and not _PERMISSION.fullmatch(text.removesuffix("*") + "x" if text.endswith(".*") else text):
        raise refused(BadRequest, "no_pattern", text=text)
    return text
