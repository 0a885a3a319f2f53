"""What every error is: a class that says what kind, and carries what the engine does with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, ClassVar, Literal


class Verdict(StrEnum):
    """What the engine does with a delivery whose attempt raised the error."""

    RETRY = "retry"
    """try again later: nothing happened at the partner"""
    DEAD = "dead"
    """trying again cannot help: keep it as a dead letter"""
    UNCERTAIN = "uncertain"
    """it may have happened: retried when the target is idempotent, else confirmed or shown to a person"""
    STOP = "stop"
    """the connection is at fault, not the message: the connection goes down, the message waits"""


Blame = Literal["caller", "gateway", "target"]
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def sayable(text: str) -> str:
    """Without what no database takes, and a partner or a file's name may well contain: NUL and lone surrogates."""
    return text if text.isprintable() else _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)


class PipeError(Exception):
    """Something failed. The class says what kind, the text says what happened, where and with which value."""

    code: ClassVar[str] = "PIPE-0000"
    verdict: ClassVar[Verdict] = Verdict.DEAD
    hint: str = "see the log of the gateway for the cause"
    status: ClassVar[int] = 500
    """HTTP status a caller gets"""
    blame: ClassVar[Blame] = "gateway"
    said: tuple[str, Mapping[str, Any]] = ("", {})
    """key and values of its words in the catalogue of the pages, where it has some"""

    def __init__(
        self,
        text: str = "",
        *,
        retry_after: float | None = None,
        reply: Any = None,
        hint: str | None = None,
        **facts: Any,
    ) -> None:
        """`text` defaults to the first line of the class's docstring.

        `retry_after` is in seconds, as the partner asked; `reply` is the partner's Receipt, where there was one;
        `hint` takes the place of the class's where more is known of the cure;
        `facts` (connection, route, message, path, line …) are shown beside the text and never hold secrets.
        """
        self.text = sayable(text) or (self.__doc__ or "").splitlines()[0]
        self.retry_after = retry_after
        self.reply = reply
        self.facts: dict[str, Any] = facts
        if hint is not None:
            self.hint = hint
        super().__init__(self.text)

    @classmethod
    def slug(cls) -> str:
        """The class's name in lower_snake, as `X-Pipe-Error` and the pages show it."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_")

    def __str__(self) -> str:
        where = ", ".join(f"{key} {value}" for key, value in self.facts.items())
        return f"[{self.code}] {self.text}{f' ({where})' if where else ''}. Try: {self.hint}"


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """Adds facts to a PipeError on its way out; what is known nearer the cause is kept."""
    try:
        yield
    except PipeError as error:
        error.facts = {**facts, **error.facts}
        raise


@contextmanager
def translated(table: Mapping[type[BaseException], type[PipeError]], who: str) -> Iterator[None]:
    """Turns a library's exceptions into ours by the first class of `table` that fits, keeping the cause."""
    try:
        yield
    except tuple(table) as error:
        for kind, ours in table.items():
            if isinstance(error, kind):
                raise ours(f"{who}: {str(error) or type(error).__name__}") from error
        raise
