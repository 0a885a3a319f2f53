"""What `tests:` may say, and what a test run comes to."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from pipe.config.models import Place
from pipe.contract import Strict


def _is_base64(text: str) -> str:
    base64.b64decode(text, validate=True)
    return text


class Send(Strict):
    """The message that a test sends."""

    body: Any = Field(
        default=None, description="Values, written in the format that the route decodes; text goes as it is."
    )
    base64: Annotated[str, AfterValidator(_is_base64)] | None = Field(
        default=None, description="Instead of `body`: the very bytes."
    )
    headers: dict[str, Any] = Field(
        default={}, description="By name; `Idempotency-Key` and `idempotency_key` are the same."
    )
    params: dict[str, Any] = Field(default={}, description="Named parts of the path or topic.")
    query: dict[str, Any] = Field(default={}, description="What follows `?` in the address.")
    content_type: str | None = Field(default=None, description="By default that of the format.")
    caller: str | None = Field(default=None, description="Who sends.")
    company: dict[str, Any] | None = Field(default=None, description="The company that the message belongs to.")


class Reply(Strict):
    """What a stubbed partner answers once."""

    status: int | str | None = Field(default=200, description="As the protocol says it.")
    headers: dict[str, str] = Field(default={}, description="By lower_snake name.")
    body: Any = Field(default=None, description="Values, as `success:` and its fellows see them.")
    content_type: str | None = Field(default=None, description="Of the body.")
    fault: Any = Field(default=None, description="A typed fault of the protocol: the call is refused with it.")
    error: str | None = Field(
        default=None, description="No answer but a failure: `no_answer`, `unreachable`, `PIPE-2003`."
    )


EXPECTATIONS: dict[str, tuple[str, str]] = {
    "{connection: registry, post: /appeals, body: {…}}": (
        "A delivery. The target's own keys as they were filled in (before they are encoded for an address), `key` (of "
        "`idempotent_by`), `attempts` where there were several, `message_headers`, and `body`: decoded by its content "
        "type, or a text that must be equal to the bytes.",
        "must be covered",
    ),
    "{refused: PIPE-3004, status: 422}": ("The door refused the message.", "must be covered"),
    "{outcome: dead, code: PIPE-2006, target: registry}": (
        "A delivery ended badly (`dead`, `expired`), nobody knows how (`uncertain`), or waits for its connection "
        "(`waiting`).",
        "must be covered",
    ),
    "{reply: {status: 200, body: {…}}}": ("What the caller of a synchronous route was answered.", "may be left out"),
}
"""the forms of an entry of `expect:`, with their meaning and whether one that happens must be expected"""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as a test expects."""

    kind: str
    """missing, unexpected, invalid, no-reply"""
    text: str
    difference: str = ""
    """unified, expected against got"""

    def __str__(self) -> str:
        return "\n".join([self.text, *self.difference.splitlines()])


@dataclass(slots=True)
class Result:
    """What became of one test."""

    name: str
    route: str
    place: Place
    problems: list[Problem] = field(default_factory=list)
    got: list[dict[str, Any]] = field(default_factory=list)
    """everything that happened, in the words of `expect:`"""

    @property
    def passed(self) -> bool:
        """Whether all is as expected."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        problems = [{"kind": each.kind, "text": each.text, "difference": each.difference} for each in self.problems]
        return {
            "test": self.name, "route": self.route, "file": self.place.file, "line": self.place.line,
            "passed": self.passed,             "problems": problems, "got": self.got,
        }  # fmt: skip
