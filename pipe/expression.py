"""Expressions and templates of the configuration: JMESPath over a message, parsed once, bounded when they run."""

from __future__ import annotations

import difflib
import operator
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jmespath.exceptions import JMESPathError, ParseError
from jmespath.parser import Parser
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from pipe import jmes
from pipe.errors import MappingFailed
from pipe.functions import KYIV, WrongValue, kind_of, plain_text

if TYPE_CHECKING:
    from pipe.contract import Message

__all__ = ["ROOTS", "Expression", "Template"]

MAX_LENGTH = 4096
"""signs of one expression"""
MAX_DEPTH = 64
"""levels of one expression's tree"""


def _now(message: Message) -> str:
    return datetime.fromtimestamp(message.received_at, KYIV).isoformat(timespec="seconds")


_OF_MESSAGE = ("id", "route", "received_at", "caller", "hops", "content_type")

ROOTS: dict[str, Callable[[Message], Any]] = {
    "message": lambda message: {name: getattr(message, name) for name in _OF_MESSAGE},
    "headers": operator.attrgetter("headers"),
    "params": operator.attrgetter("params"),
    "query": operator.attrgetter("query"),
    "body": operator.attrgetter("body"),
    "company": operator.attrgetter("company"),
    "now": _now,
    "date": lambda message: _now(message)[:10],
    "item": operator.attrgetter("item"),
    "parent": operator.attrgetter("parent"),
}
"""The names that every expression may start with; some places add their own (`status`, `fault`, `request`)."""


class _Scope:
    """A message and what the place adds to it, as JMESPath's root object. Nothing is built before it is asked for."""

    __slots__ = ("_extra", "_message")

    def __init__(self, message: Message, extra: Mapping[str, Any]) -> None:
        self._message = message
        self._extra = extra

    def get(self, name: str) -> Any:
        """The value of a root name; None where there is none."""
        if name in self._extra:
            return self._extra[name]
        read = ROOTS.get(name)
        return None if read is None else read(self._message)


class _FromText:
    """Made from text of the configuration; equal where the text is equal."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, _FromText) and other.text == self.text

    def __hash__(self) -> int:
        return hash((type(self), self.text))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        made = core_schema.is_instance_schema(cls)
        from_text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema(strict=True))
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=core_schema.union_schema([made, from_text], mode="left_to_right"),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "format": cls.__name__.lower()}


class Expression(_FromText):
    """A JMESPath expression over a message: `expression(message)` gives its value, None where a path leads nowhere.

    Raises ValueError with the position where the text is no expression.
    """

    __slots__ = ("_run", "_tree", "read")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._tree = _parsed(text)
        self._run = jmes.compiled(self._tree)
        self.read: Callable[[Message], Any] = self._reader()
        """the value for a message where nothing is added to the scope; plain paths are read without building one"""

    def __call__(self, message: Message, **extra: Any) -> Any:
        """The value for this message. `extra` adds names to the scope or replaces them (the reply's `body`, `status`).

        Raises MappingFailed where a function meets a value it cannot take, or the run takes too much.
        """
        return self._value(_Scope(message, extra)) if extra else self.read(message)

    def _reader(self) -> Callable[[Message], Any]:
        names = jmes.names(self._tree)
        if names is None or names[0] not in ROOTS:
            return lambda message: self._value(_Scope(message, {}))
        first, *path = names
        if first == "message" and path and path[0] in _OF_MESSAGE:
            start: Callable[[Message], Any] = operator.attrgetter(path.pop(0))
        else:
            start = ROOTS[first]
        return self._follower(start, path) if path else start

    def _follower(self, start: Callable[[Message], Any], path: list[str]) -> Callable[[Message], Any]:
        def read(message: Message) -> Any:
            try:
                return jmes.reached(start(message), path)
            except WrongValue as error:
                raise self._failed(error) from error

        return read

    def _value(self, scope: _Scope) -> Any:
        try:
            return self._run(scope)
        except jmes.Trouble as error:
            raise MappingFailed(f"{error.text}, in `{self.text}`", path=error.path or self._where()) from error
        except WrongValue as error:
            raise self._failed(error) from error
        except RecursionError as error:
            raise self._failed("goes too deep for this value") from error

    def _failed(self, reason: WrongValue | str) -> MappingFailed:
        return MappingFailed(f"`{self.text}` {reason}", path=self._where())

    def is_true(self, message: Message, **extra: Any) -> bool:
        """Whether the value is true in JMESPath's sense: not null, not false, not empty; zero is true."""
        return not jmes.is_false(self(message, **extra))

    @property
    def plain_path(self) -> str | None:
        """The dotted path that it is, lists on the way left out; None where it is anything else."""
        return jmes.dotted(self._tree)

    def paths(self) -> frozenset[str]:
        """The dotted paths that it reads from the root, for lint: `body.sum`, `headers.x`; lists leave no mark."""
        return frozenset(jmes.paths(self._tree))

    def roots(self) -> frozenset[str]:
        """The first parts of `paths()`."""
        return frozenset(path.split(".", 1)[0] for path in self.paths())

    def _where(self) -> str:
        return ", ".join(sorted(self.paths())) or self.text


class Template(_FromText):
    """Text with expressions in it: `appeals/${date}/${message.id}.xml`. `$${` stands for `${` itself."""

    __slots__ = ("_parts",)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._parts = tuple(_split(text))

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions in their order."""
        return tuple(part for part in self._parts if isinstance(part, Expression))

    def fill(self, message: Message, encode: Callable[[str], str] = str, **extra: Any) -> str:
        """The text for this message; `encode` makes each value fit its place (a URL's segment, a file's name).

        Raises MappingFailed where a value is null, a list or an object.
        """
        return "".join(
            [part if isinstance(part, str) else encode(_filled(part, message, extra)) for part in self._parts]
        )


def _filled(part: Expression, message: Message, extra: Mapping[str, Any]) -> str:
    value = part(message, **extra)
    try:
        return plain_text(value)
    except WrongValue as error:
        raise MappingFailed(
            f"`${{{part.text}}}` is {kind_of(value)}; a template takes text or a number", path=part.text
        ) from error


def _split(text: str) -> list[str | Expression]:
    """Texts and expressions in turn."""
    parts: list[str | Expression] = []
    plain, at = "", 0
    while (start := text.find("${", at)) >= 0:
        if start > 0 and text[start - 1] == "$":
            plain, at = plain + text[at : start - 1] + "${", start + 2
            continue
        end = _closing(text, start + 2)
        if plain := plain + text[at:start]:
            parts.append(plain)
        try:
            parts.append(Expression(text[start + 2 : end]))
        except ValueError as error:
            raise ValueError(f"in `${{…}}` at sign {start + 1}: {error}") from error
        plain, at = "", end + 1
    if plain := plain + text[at:]:
        parts.append(plain)
    return parts


def _closing(text: str, at: int) -> int:
    """Where the brace that ends an expression stands: not within quotes, not of an object inside."""
    depth, quote, start = 0, "", at
    while at < len(text):
        sign = text[at]
        if quote:
            at += sign == "\\"
            quote = "" if sign == quote else quote
        elif sign in "'\"`":
            quote = sign
        elif sign == "{":
            depth += 1
        elif sign == "}":
            if depth == 0:
                return at
            depth -= 1
        at += 1
    raise ValueError(f"the `${{` at sign {start - 1} is never closed")


def _parsed(text: str) -> jmes.Node:
    """The expression's tree. Raises ValueError that tells what is wrong, and where."""
    if not text.strip():
        raise ValueError("an expression cannot be empty; for an empty text write \"''\"")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an expression has at most {MAX_LENGTH} signs, not {len(text)}")
    try:
        with warnings.catch_warnings():
            # A word in backticks that is no JSON would be taken for text, with a warning that nobody sees.
            warnings.simplefilter("error", PendingDeprecationWarning)
            tree: jmes.Node = Parser().parse(text).parsed
    except ParseError as error:
        place = min(error.lex_position or 0, len(text))
        found = f"`{text[place : place + 12]}`" if place < len(text) else "its end"
        raise ValueError(f"`{text}` is no expression: sign {place + 1}, at {found}, does not fit") from error
    except PendingDeprecationWarning as error:
        raise ValueError(f"`{text}` is no expression: backticks hold JSON; write text as 'text'") from error
    except (JMESPathError, RecursionError, ValueError) as error:
        raise ValueError(f"`{text}` is no expression: {str(error).splitlines()[0]}") from error
    for node, depth in jmes.nodes(tree):
        if depth > MAX_DEPTH:
            raise ValueError(f"`{text[:60]}…` is nested deeper than {MAX_DEPTH} levels")
        if node["type"] == "function_expression":
            _check_call(node["value"], len(node["children"]))
        elif jmes.asks_part_of_not(node):
            raise ValueError(f"`{text}`: `!` takes in only the word after it; write !(…) around the whole path")
    return tree


def _check_call(name: str, given: int) -> None:
    wanted = jmes.arity(name)
    if wanted is None:
        near = difflib.get_close_matches(name, jmes.function_names(), 1)
        raise ValueError(f"there is no function `{name}()`{f'; did you mean `{near[0]}()`?' if near else ''}")
    least, most = wanted
    if given < least or (most is not None and given > most):
        span = str(least) if least == most else f"{least} or more" if most is None else f"{least} to {most}"
        raise ValueError(f"`{name}()` takes {span} argument{'' if span == '1' else 's'}, not {given}")
