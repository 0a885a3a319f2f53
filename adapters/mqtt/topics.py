"""Topics: what a route listens to, and topics made from data, where a value fills a level and never makes one."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

from pipe.contract import Message, Template
from pipe.errors import BadHeader

LONGEST = 65_535
"""bytes of a topic that the protocol can say"""
_NAMED = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def listened(text: str) -> str:
    """Checks the topic of a `from:`. Raises ValueError that says what is wrong."""
    levels, names = text.split("/"), _NAMED.findall(text)
    if not text or len(text.encode("utf-8", "surrogatepass")) > LONGEST or _CONTROL.search(text):
        raise ValueError("a topic has 1 to 65,535 bytes and no control characters")
    if levels[0] in {"$share", "$queue"}:
        raise ValueError("a shared subscription is written `share: GROUP` beside a plain topic")
    if len(set(names)) != len(names):
        raise ValueError(f"`{text}` names one of its levels twice")
    for number, level in enumerate(levels, 1):
        if level == "#" and number < len(levels):
            raise ValueError(f"`{text}`: `#` stands for all that follows, so it is the last level")
        if level not in {"+", "#"} and not _NAMED.fullmatch(level) and re.search(r"[+#{}]", level):
            raise ValueError(
                f"`{text}`: `{level}` is no level: write a plain word, `{{name}}`, `+` or, at the end, `#`"
            )
    return text


def subscribed(topic: str, share: str | None) -> str:
    """The filter that the broker is asked for: named levels become `+`."""
    plain = _NAMED.sub("+", topic)
    return f"$share/{share}/{plain}" if share else plain


@lru_cache(maxsize=1024)
def _pattern(topic: str) -> re.Pattern[str]:
    made = ["(?!\\$)" if topic[0] in "+#{" else ""]
    for number, level in enumerate(topic.split("/")):
        slash = "/" if number else ""
        if level == "#":
            made.append("(?:/.*)?" if number else ".*")
        elif level == "+":
            made.append(f"{slash}[^/]*")
        elif named := _NAMED.fullmatch(level):
            made.append(f"{slash}(?P<{named[1]}>[^/]*)")
        else:
            made.append(slash + re.escape(level))
    return re.compile("".join(made), re.DOTALL)


def params_of(topic: str, name: str) -> dict[str, str] | None:
    """The named levels of `name` as `topic` says them; None where it does not fit."""
    found = _pattern(topic).fullmatch(name)
    return None if found is None else found.groupdict()


def overlap(one: str, other: str) -> bool:
    """Whether a message could fit both."""
    mine, theirs = subscribed(one, None).split("/"), subscribed(other, None).split("/")
    if ("$" in (mine[0][:1], theirs[0][:1])) and mine[0] != theirs[0]:
        return False  # what begins with $ is never meant by a wildcard
    for left, right in zip(mine, theirs, strict=False):
        if "#" in (left, right):
            return True
        if left != right and "+" not in (left, right):
            return False
    longer, shorter = (mine, theirs) if len(mine) > len(theirs) else (theirs, mine)
    return len(mine) == len(theirs) or (len(longer) == len(shorter) + 1 and longer[-1] == "#")


def writable(template: Template) -> Template:
    """Checks the topic of a `to:`, as far as it is known before data comes. Raises ValueError."""
    text = template.text
    for expression in template.expressions:
        text = text.replace(f"${{{expression.text}}}", "x", 1)
    if (problem := wrong(text)) is not None:
        raise ValueError(f"`{template.text}` {problem}")
    return template


def filled(template: Template, message: Message, *, percent: bool = False) -> str:
    """The topic for this message. Raises BadHeader where a value would be more than a word, or the whole no topic.

    `percent`: a value may be any text, and is encoded.
    """
    topic = template.fill(message, _encoded if percent else _word)
    if (problem := wrong(topic)) is not None:
        raise BadHeader(f"the topic made by `{template.text}` is not usable: {topic[:80]!r} {problem}")
    return topic


def wrong(topic: str) -> str | None:
    """What is wrong with a topic to publish to; None if nothing is."""
    if topic.startswith("$"):
        return "begins with `$`, which belongs to the broker"
    if "+" in topic or "#" in topic:
        return "holds a wildcard"
    if not topic or _CONTROL.search(topic) or len(topic.encode()) > LONGEST:
        return "must have 1 to 65,535 bytes and no control characters"
    return None


def answered(pattern: str, message: Message) -> str:
    """The topic that the message wants its answer on. Raises BadHeader where it names none that the pattern allows."""
    topic = message.headers.get("response_topic")
    if topic is None:
        raise BadHeader("the message names no response topic: it cannot be answered")
    if params_of(pattern, topic) is None or wrong(topic) is not None:
        raise BadHeader(f"the message wants its answer on {topic[:80]!r}, and `respond` allows `{pattern}`")
    return topic


def _encoded(value: str) -> str:
    if not value:
        raise BadHeader("a value for the topic is empty")
    return quote(value, safe="", errors="surrogatepass")


def _word(value: str) -> str:
    if not _WORD.fullmatch(value):
        raise BadHeader(f"a value for the topic is {value[:80]!r}: it must be 1 to 64 of A-Z a-z 0-9 _ -")
    return value
