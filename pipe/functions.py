"""The functions that expressions may call beside JMESPath's own; the reference page is generated from `FUNCTIONS`.

All are total and bounded: no network, no clock, texts capped, patterns matched in linear time.
"""

from __future__ import annotations

import base64 as b64
import binascii
import hashlib
import inspect
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, DecimalException, localcontext
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema_rs
import orjson

KYIV = ZoneInfo("Europe/Kyiv")
MAX_TEXT = 4 << 20
"""signs that a function may take or make"""


class WrongValue(ValueError):
    """A function met a value that it cannot take; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Function:
    """One registered function, with what its reference entry needs."""

    name: str
    signature: str
    meaning: str
    example: str
    result: Any
    """what the example gives, for a message whose header `x_source` is `crm`"""
    run: Callable[..., Any]
    """called with the arguments; `header` with the message's headers before them"""
    least: int
    most: int | None
    """None: any number of arguments"""
    nulls: bool
    """takes nulls itself; otherwise a null argument makes the result null"""


FUNCTIONS: dict[str, Function] = {}


def _function(example: str, result: Any, *, nulls: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a function under its name; its docstring is its meaning."""

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        name = run.__name__.rstrip("_")
        arguments = [argument for argument in inspect.signature(run).parameters.values() if argument.name != "headers"]
        variadic = any(argument.kind is argument.VAR_POSITIONAL for argument in arguments)
        positional = [argument for argument in arguments if argument.kind is not argument.VAR_POSITIONAL]
        shown = ", ".join("…" if a.kind is a.VAR_POSITIONAL else a.name.rstrip("_") for a in arguments)
        FUNCTIONS[name] = Function(
            name=name,
            signature=f"{name}({shown})",
            meaning=inspect.getdoc(run) or "",
            example=example,
            result=result,
            run=run,
            least=sum(argument.default is argument.empty for argument in positional) + variadic,
            most=None if variadic else len(positional),
            nulls=nulls,
        )
        return run

    return register


# --- what functions take --------------------------------------------------------------------------------------------


def kind_of(value: Any) -> str:
    """The value's type in the words of messages: text, number, list, object, true or false, null, bytes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    for types, word in (((str,), "text"), ((int, float, Decimal), "a number"), ((Mapping,), "an object")):
        if isinstance(value, types):
            return word
    return "bytes" if isinstance(value, bytes) else "a list"


def plain_text(value: Any) -> str:
    """A scalar as text: numbers in full digits, `true` and `false`. Raises WrongValue for lists, objects, null."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) <= 400:
        return format(value, "f")
    if isinstance(value, (int, float)):
        return str(value)
    raise WrongValue(f"takes text or a number, not {kind_of(value)}")


def _shown(value: Any) -> str:
    """The whole value or none of it: a part of a sensitive value could not be recognised and masked."""
    text = str(value)
    return f"a text of {len(text)} signs" if len(text) > 40 else f"`{text}`"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise WrongValue(f"takes text, not {kind_of(value)}")
    if len(value) > MAX_TEXT:
        raise WrongValue(f"takes texts up to {MAX_TEXT} signs, not {len(value)}")
    return value


def _number(value: Any) -> int | Decimal:
    """An exact number from a number, or from text such as `12.50`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not re.fullmatch(r"\s*[+-]?\d{1,60}(\.\d{1,60})?([eE][+-]?\d{1,3})?\s*", value, re.ASCII):
            raise WrongValue(f"takes a number, not {_shown(value)}")
        value = Decimal(value.strip())
    elif isinstance(value, float):
        value = Decimal(repr(value))
    if not isinstance(value, Decimal):
        raise WrongValue(f"takes a number, not {kind_of(value)}")
    if not value.is_finite() or abs(value.adjusted()) > 400:
        raise WrongValue(f"takes a number of ordinary size, not {_shown(value)}")
    return value


def _whole(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise WrongValue(f"takes a whole number, not {_shown(value)}")
    return int(number)


def _moment(value: Any) -> date:
    """A date or a time from ISO text; times without an offset are Kyiv's."""
    text = _text(value).strip()
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=KYIV) if moment.tzinfo is None else moment.astimezone(KYIV)
    except (ValueError, OverflowError) as error:
        raise WrongValue(f"takes a date or time such as 2026-11-23T10:00:00+02:00, not {_shown(value)}") from error


_DIRECTIVES = re.compile(r"(?:[^%]|%[aAbBdfGHIjmMpSuUVwWyYzZ%])*")


def _pattern_of_time(value: Any) -> str:
    pattern = _text(value)
    if len(pattern) > 100 or not _DIRECTIVES.fullmatch(pattern):
        raise WrongValue(f"takes a pattern of the strftime kind such as %d.%m.%Y, not {_shown(pattern)}")
    return pattern


# --- texts ----------------------------------------------------------------------------------------------------------


@_function("header('X-Source')", "crm")
def header(headers: Mapping[str, str], name: str) -> Any:
    """The header of that name, in any case, with dashes or underscores; null where there is none."""
    return headers.get(_text(name).lower().replace("-", "_"))


@_function("concat('a-', `1`, '.xml')", "a-1.xml", nulls=True)
def concat(*values: Any) -> str:
    """The texts and numbers one after another. A null is an error: say what stands in its place with default()."""
    if any(value is None for value in values):
        raise WrongValue("met null; write default(path, '') where it may be missing")
    return "".join([plain_text(value) for value in values])


@_function("lower('ABC')", "abc")
def lower(text: str) -> str:
    """The text in small letters."""
    return _text(text).lower()


@_function("upper('abc')", "ABC")
def upper(text: str) -> str:
    """The text in capital letters."""
    return _text(text).upper()


@_function("trim('  a b ')", "a b")
def trim(text: str) -> str:
    """The text without blanks at its ends."""
    return _text(text).strip()


@_function("replace('1 234', ' ', '')", "1234")
def replace(text: str, old: str, new: str) -> str:
    """The text with every `old` replaced by `new`; plain texts, not patterns."""
    text, old, new = _text(text), _text(old), _text(new)
    if not old:
        raise WrongValue("takes something to look for, not an empty text")
    if len(text) + text.count(old) * len(new) > MAX_TEXT:
        raise WrongValue(f"would make more than {MAX_TEXT} signs")
    return text.replace(old, new)


@_function("split_text('a;b', ';')", ["a", "b"])
def split_text(text: str, separator: str) -> list[str]:
    """The parts of the text between the separators, as a list."""
    if not _text(separator):
        raise WrongValue("takes a separator, not an empty text")
    return _text(text).split(separator)


@_function("pad('42', `6`, '0')", "000042")
def pad(text: Any, width: Any, sign: str = " ") -> str:
    """The text filled up at the left to `width` signs; nothing is cut."""
    size = _whole(width)
    if len(_text(sign)) != 1 or not 0 <= size <= 10_000:
        raise WrongValue("takes a width up to 10000 and one sign to fill with")
    return plain_text(text).rjust(size, sign)


@_function("substring('380671234567', `3`, `2`)", "67")
def substring(text: str, start: Any, length: Any = MAX_TEXT) -> str:
    """`length` signs of the text from `start`, counted from 0; a negative start counts from the end."""
    text, first, size = _text(text), _whole(start), _whole(length)
    first = max(len(text) + first, 0) if first < 0 else first
    return text[first : first + max(size, 0)]


@_function("digits('+38 (067) 123-45-67')", "380671234567")
def digits(text: Any) -> str:
    """Only the digits 0–9 of the text."""
    return re.sub(r"[^0-9]", "", plain_text(text))


@_function("match('AB123456', '^[A-Z]{2}[0-9]{6}$')", True)
def match(text: str, pattern: str) -> bool:
    """Whether the pattern is found in the text. Anchor it with ^ and $; no look-around or back-references."""
    return bool(_matcher(_text(pattern)).is_valid(_text(text)))


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> Any:
    """JSON Schema's matcher on the engine that is linear in the text: no pattern can hang it."""
    if len(pattern) > 1024:
        raise WrongValue("takes patterns up to 1024 signs")
    try:
        return jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions())
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise WrongValue(f"takes a regular expression, not {_shown(pattern)}") from error


# --- choices --------------------------------------------------------------------------------------------------------


@_function("default(body.nickname, 'none')", "none", nulls=True)
def default(value: Any, fallback: Any) -> Any:
    """The value; the fallback where it is null or an empty text."""
    return fallback if value is None or value == "" else value


@_function("if(`5` > `3`, 'many', 'few')", "many", nulls=True)
def if_(condition: Any, yes: Any, no: Any) -> Any:
    """`yes` where the condition is true in JMESPath's sense (not false, null or empty), else `no`."""
    return no if condition is None or condition is False or condition in ("", [], {}) else yes


# --- numbers --------------------------------------------------------------------------------------------------------


@_function("to_int(' 42 ')", 42)
def to_int(value: Any) -> int:
    """A whole number from text or a number; anything else is an error, also 1.5."""
    return _whole(value)


@_function("to_decimal('100.50')", Decimal("100.50"))
def to_decimal(value: Any) -> int | Decimal:
    """An exact number from text or a number; its digits are kept as they are."""
    return _number(value)


def _exactly(work: Callable[[Decimal, Decimal], Decimal], left: Any, right: Any) -> int | Decimal:
    """The result of exact arithmetic; an int where both sides are ints and nothing is left over."""
    a, b = _number(left), _number(right)
    with localcontext(Context(prec=60)):
        try:
            result = work(Decimal(a), Decimal(b))
        except DecimalException as error:
            raise WrongValue(f"cannot work out {_shown(left)} and {_shown(right)}") from error
    return int(result) if isinstance(a, int) and isinstance(b, int) and result == int(result) else result


@_function("add(body.sum, '0.50')", Decimal("100.50"))
def add(a: Any, b: Any) -> int | Decimal:
    """The sum a + b, exactly."""
    return _exactly(Decimal.__add__, a, b)


@_function("subtract(`5`, `3`)", 2)
def subtract(a: Any, b: Any) -> int | Decimal:
    """The difference a - b, exactly."""
    return _exactly(Decimal.__sub__, a, b)


@_function("multiply('12.34', `100`)", Decimal("1234.00"))
def multiply(a: Any, b: Any) -> int | Decimal:
    """The product a × b, exactly: hryvnias to kopecks."""
    return _exactly(Decimal.__mul__, a, b)


@_function("divide(`1234`, `100`)", Decimal("12.34"))
def divide(a: Any, b: Any) -> int | Decimal:
    """The quotient a ÷ b to 60 digits; dividing by zero is an error."""
    return _exactly(Decimal.__truediv__, a, b)


@_function("round('12.345', `2`)", Decimal("12.35"))
def round_(number: Any, places: Any) -> int | Decimal:
    """The number to so many places, half away from zero; with 0 places a whole number."""
    size = _whole(places)
    if not 0 <= size <= 20:
        raise WrongValue("takes 0 to 20 places")
    with localcontext(Context(prec=500)):
        result = Decimal(_number(number)).quantize(Decimal(1).scaleb(-size), ROUND_HALF_UP)
    return result if size else int(result)


# --- dates ----------------------------------------------------------------------------------------------------------


@_function("date_format('2026-11-23T22:30:00Z', '%d.%m.%Y %H:%M')", "24.11.2026 00:30")
def date_format(moment: str, pattern: str) -> str:
    """An ISO date or time in another form (strftime's signs); times are told in Kyiv's."""
    return _moment(moment).strftime(_pattern_of_time(pattern))


@_function("date_parse('23.11.2026', '%d.%m.%Y')", "2026-11-23")
def date_parse(text: str, pattern: str) -> str:
    """An ISO date, or a time where the pattern has hours, from text in another form; Kyiv's unless it has %z."""
    pattern = _pattern_of_time(pattern)
    try:
        moment = datetime.strptime(_text(text).strip(), pattern)  # noqa: DTZ007 - the next line gives it a zone
    except (ValueError, re.error) as error:
        raise WrongValue(f"takes a date of the form {pattern}, not {_shown(text)}") from error
    if not re.search(r"%[HIMSfpzZ]", pattern):
        return moment.date().isoformat()
    return (moment.replace(tzinfo=KYIV) if moment.tzinfo is None else moment.astimezone(KYIV)).isoformat()


@_function("add_days('2026-11-23', `7`)", "2026-11-30")
def add_days(moment: str, days: Any) -> str:
    """The same time of day so many days later (or earlier, with a negative number)."""
    return _later(_moment(moment), timedelta(days=1), days)


@_function("add_seconds('2026-11-23T10:00:00+02:00', `90`)", "2026-11-23T10:01:30+02:00")
def add_seconds(moment: str, seconds: Any) -> str:
    """The time so many seconds later; a date counts from its midnight."""
    start = _moment(moment)
    if not isinstance(start, datetime):
        start = datetime(start.year, start.month, start.day, tzinfo=KYIV)
    utc = ZoneInfo("UTC")
    return (
        datetime.fromisoformat(_later(start.astimezone(utc), timedelta(seconds=1), seconds))
        .astimezone(KYIV)
        .isoformat()
    )


def _later(moment: date, unit: timedelta, count: Any) -> str:
    try:
        return (moment + unit * _whole(count)).isoformat()
    except OverflowError as error:
        raise WrongValue(f"cannot count {_shown(count)} from {moment.isoformat()}") from error


# --- bytes, ids, JSON -----------------------------------------------------------------------------------------------


@_function("sha256('abc')", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
def sha256(text: str) -> str:
    """The SHA-256 of the text's UTF-8 bytes, in 64 hex digits."""
    return hashlib.sha256(_text(text).encode()).hexdigest()


@_function("base64('привіт')", "0L/RgNC40LLRltGC")
def base64(text: str) -> str:
    """The text's UTF-8 bytes in Base64."""
    return b64.b64encode(_text(text).encode()).decode()


@_function("unbase64('0L/RgNC40LLRltGC')", "привіт")
def unbase64(text: str) -> str:
    """The text behind Base64; an error where that is not UTF-8."""
    try:
        return b64.b64decode(_text(text), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise WrongValue("takes Base64 of UTF-8 text") from error


@_function("uuid5('url', 'https://a.example/1')", "5d8fd54e-2827-5e39-a337-33e0db7891ec")
def uuid5(namespace: str, name: str) -> str:
    """A UUID that is the same for the same name; the namespace is `url`, `dns`, `oid` or a UUID."""
    known = {"url": uuid.NAMESPACE_URL, "dns": uuid.NAMESPACE_DNS, "oid": uuid.NAMESPACE_OID}
    try:
        return str(uuid.uuid5(known.get(_text(namespace)) or uuid.UUID(namespace), _text(name)))
    except ValueError as error:
        raise WrongValue(f"takes url, dns, oid or a UUID as namespace, not {_shown(namespace)}") from error


@_function("json({a: `1`})", '{"a":1}', nulls=True)
def json(value: Any) -> str:
    """The value as JSON text."""

    def exact(number: Any) -> orjson.Fragment:
        if isinstance(number, Decimal) and number.is_finite():
            return orjson.Fragment(str(number))
        raise TypeError(f"takes plain values, not {kind_of(number)}")

    try:
        return orjson.dumps(value, default=exact).decode()
    except TypeError as error:
        raise WrongValue(f"cannot write this as JSON: {error}") from error


@_function("""from_json('{"a": 0.10}').a""", Decimal("0.10"))
def from_json(text: str) -> Any:
    """The value of JSON text; numbers with a fraction stay exact."""
    import json as standard

    def refuse(word: str) -> Any:
        raise WrongValue(f"takes JSON, which has no {word}")

    try:
        return standard.loads(_text(text), parse_float=_number, parse_constant=refuse)
    except (standard.JSONDecodeError, RecursionError) as error:
        raise WrongValue(f"takes JSON text ({error})") from error
