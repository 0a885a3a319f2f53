"""Quantities that carry their unit in the YAML: `15m`, `10MiB`, `50%`, `30/s`; and secrets by reference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from pipe.config.references import Secret

__all__ = ["Duration", "Percent", "Rate", "Secret", "Size"]

_NUMBER = r"(0|[1-9][0-9]*)(\.[0-9]+)?"
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {
    "B": 1,
    "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip


class _Quantity:
    """What all quantities share: how pydantic and the editor's schema read them."""

    pattern: ClassVar[str]
    examples: ClassVar[tuple[str, ...]]
    meaning: ClassVar[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """The quantity that the text says. Raises ValueError with the forms it may have."""
        match = re.fullmatch(cls.pattern, text)
        if match is None:
            raise ValueError(f"`{text}` is not {cls.meaning}: write for example {cls._forms()}")
        return cls._made(match)

    @classmethod
    def _made(cls, match: re.Match[str]) -> Self:
        raise NotImplementedError

    @classmethod
    def _forms(cls) -> str:
        return " or ".join(f"`{example}`" for example in cls.examples)

    @classmethod
    def _read(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            raise ValueError(f"`{value}` needs a unit: write for example {cls._forms()}")
        raise ValueError(f"should be {cls.meaning}: write for example {cls._forms()}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        return core_schema.no_info_plain_validator_function(cls._read, serialization=written)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # The environment may fill in any text, so an editor must let its references pass.
        pattern = rf"^({cls.pattern}|.*\$\{{env:.*)$"
        return {"type": "string", "pattern": pattern, "examples": list(cls.examples)}


class Duration(_Quantity, float):
    """Seconds, as a float; written `250ms`, `5s`, `15m`, `6h`, `7d`."""

    pattern = rf"{_NUMBER}(ms|s|m|h|d)"
    examples = ("250ms", "5s", "15m", "6h", "7d")
    meaning = "a duration"

    @classmethod
    def _made(cls, match: re.Match[str]) -> Self:
        amount, unit = float(match[0].removesuffix(match[3])), match[3]
        return cls(amount / 1000 if unit == "ms" else amount * _SECONDS[unit])

    def __str__(self) -> str:
        if self < 1:
            return f"{_plain(self * 1000)}ms" if self else "0s"
        return _largest(float(self), {unit: size for unit, size in _SECONDS.items() if unit != "ms"}, "s")

    def __repr__(self) -> str:
        return f"Duration({float(self)!r})"


class Size(_Quantity, int):
    """Bytes, as an int; written `512B`, `64KiB`, `10MiB`, `1GiB`, and in thousands `1kB`, `5MB`, `1GB`."""

    pattern = rf"{_NUMBER}(B|[kMGT]B|[KMGT]iB)"
    examples = ("64KiB", "10MiB", "1GiB")
    meaning = "a size"

    @classmethod
    def _made(cls, match: re.Match[str]) -> Self:
        return cls(round(float(match[0].removesuffix(match[3])) * _BYTES[match[3]]))

    def __str__(self) -> str:
        return _largest(int(self), {unit: size for unit, size in _BYTES.items() if "i" in unit or unit == "B"}, "B")

    def __repr__(self) -> str:
        return f"Size({int(self)})"


class Percent(_Quantity, float):
    """A share from 0 to 1, as a float; written `50%`."""

    pattern = rf"{_NUMBER}%"
    examples = ("50%", "2.5%")
    meaning = "a share in percent"

    @classmethod
    def _made(cls, match: re.Match[str]) -> Self:
        share = float(match[0].removesuffix("%")) / 100
        if share > 1:
            raise ValueError(f"`{match[0]}` is more than 100%")
        return cls(share)

    def __str__(self) -> str:
        return f"{_plain(self * 100)}%"

    def __repr__(self) -> str:
        return f"Percent({float(self)!r})"


@dataclass(frozen=True, slots=True)
class Rate(_Quantity):
    """So many in so many seconds; written `30/s`, `100/m`, `5/h`, `1000/d`."""

    count: int
    per: float
    """seconds"""

    pattern: ClassVar[str] = r"([1-9][0-9]{0,8})/(s|m|h|d)"
    examples: ClassVar[tuple[str, ...]] = ("30/s", "100/m", "5/h")
    meaning: ClassVar[str] = "a rate"

    @classmethod
    def _made(cls, match: re.Match[str]) -> Self:
        return cls(int(match[1]), float(_SECONDS[match[2]]))

    def __str__(self) -> str:
        unit = next((unit for unit, seconds in _SECONDS.items() if seconds == self.per), f"{_plain(self.per)}s")
        return f"{self.count}/{unit}"


def _plain(number: float) -> str:
    """A number without needless digits and without an exponent: 5 and not 5.0."""
    return str(int(number)) if number == int(number) else f"{number:.9f}".rstrip("0")


def _largest(number: float, units: Mapping[str, float], smallest: str) -> str:
    """The number in the largest unit that divides it evenly."""
    fitting = [unit for unit, size in units.items() if number and number % size == 0]
    unit = max(fitting, key=lambda name: units[name], default=smallest)
    return f"{_plain(number // units[unit] if fitting else number)}{unit}"
