"""Forms: what was sent becomes a model, what is wrong with it becomes words beside each field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from pipe.errors import Conflict
from web.pages.words import Words

_SOLID = r"[^\s\x00\x1c-\x1f\x85]"
Said = Annotated[str, StringConstraints(strip_whitespace=False, pattern=f"^{_SOLID}([^\\x00]*{_SOLID})?$")]
"""a text that may not be empty, without blanks around it; those of a form are taken away before"""
Number = Annotated[int, Field(ge=1, lt=1 << 63)]
"""of a row of the store"""


def _day(value: object) -> object:
    """A day as calendars write it; the library would take a number for one, too."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"(\d{4}-\d\d-\d\d)?", value):
        raise ValueError("write it as 2026-11-23")
    return date.fromisoformat(value) if value else None


Day = Annotated[
    date | None,
    BeforeValidator(_day),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"const": ""}, {"type": "null"}]}),
]


class Input(BaseModel):
    """What a person or program sends to an operation. Text is trimmed, unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    @field_validator("*", mode="before")
    @classmethod
    def _without_nul(cls, value: Any) -> Any:
        """PostgreSQL keeps no text with a NUL, and nobody types one."""
        if any(isinstance(each, str) and "\0" in each for each in (value if isinstance(value, list) else (value,))):
            raise PydanticCustomError("nul", "a NUL character cannot be kept")
        return value


class Invalid(Conflict):
    """A handler found something wrong with a field that the model cannot know, such as a name that is taken."""

    def __init__(self, field: str, key: str, **values: Any) -> None:
        """`field` may be empty: then the words stand above the form. `key` names a text."""
        super().__init__(f"{field or 'the form'}: {key}")
        self.errors = [(field, key, values)]


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it was sent back: the values, and what is wrong with them, in the reader's language."""

    name: str = ""
    """of the action that it belongs to"""
    values: Mapping[str, Any] = field(default_factory=dict)
    """texts, and lists of them"""
    errors: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.errors)


EMPTY = Form()
NEVER_SENT_BACK = ("password", "current", "code", "secret")
"""fields whose name holds one of these words"""


def read(model: type[BaseModel], raw: Mapping[str, Any], *, typed: bool = False) -> BaseModel:
    """The model of what was sent; an empty field of a form counts as one that was left out. Raises ValidationError.

    `typed` stands for JSON, which has values of its own for nothing, for numbers and for yes and no.
    """
    if typed:
        return model.model_validate({name: _number(value) for name, value in raw.items()}, strict=True)
    said = {name: value.strip() if isinstance(value, str) else value for name, value in raw.items()}
    return model.model_validate({name: value for name, value in said.items() if value not in ("", [])})


def _number(value: Any) -> Any:
    """To JSON, 3.0 is a whole number."""
    if isinstance(value, list):
        return [_number(each) for each in value]
    whole = isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value)
    return int(value) if whole else value


def mistakes(error: ValidationError | Invalid, words: Words) -> list[tuple[str, str]]:
    """Field and words for each mistake."""
    if isinstance(error, Invalid):
        return [(name, words(key, **values)) for name, key, values in error.errors]
    return [(".".join(str(part) for part in each["loc"]), _say(each, words)) for each in error.errors()]


def sent_back(name: str, raw: Mapping[str, Any], error: ValidationError | Invalid, words: Words) -> Form:
    """The form again, without what must not be shown."""
    values = {
        each: value
        for each, value in raw.items()
        if isinstance(value, (str, list)) and not any(word in each for word in NEVER_SENT_BACK)
    }
    errors: dict[str, str] = {}
    for each, text in mistakes(error, words):
        errors.setdefault(each.partition(".")[0], text)
    return Form(name, values, errors)


def _say(error: Any, words: Words) -> str:
    """Pydantic's mistake by its own key, `form.error.string_too_short`, else in general words."""
    key = f"form.error.{error['type']}"
    context = {name: value for name, value in error.get("ctx", {}).items() if name != "error"}
    if not words.has(key):
        return words("form.error.other")
    if "n" not in context:
        context["n"] = next((value for value in context.values() if isinstance(value, int)), 0)
    return words(key, **context)
