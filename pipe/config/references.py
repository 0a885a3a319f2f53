"""References in the YAML: `${env:NAME}`, `${file:PATH}`, `${secret:NAME}`. Any other `${…}` belongs to a template."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from pipe.errors import SecretMissing

SecretStore = Callable[[str], str | None]
"""today's value of a stored secret by its name; None where there is none"""

_ENV = re.compile(r"(?<!\$)\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_WHOLE = r"\$\{(env|file|secret):([^}\s][^}]*)\}"
_HINT = "write `${env:NAME}`, `${file:PATH}` or `${secret:NAME}`"


class Reference(str):
    """A text that is one reference and nothing else, with the place where it stands.

    Its value as a `str` has the environment filled in, for ordinary fields; a Secret reads `written` instead.
    """

    __slots__ = ("place", "written")

    written: str
    place: str

    @classmethod
    def at(cls, written: str, place: str) -> Self:
        """The reference that stands at `place` (`FILE:LINE`)."""
        reference = cls(substituted(written))
        reference.written, reference.place = written, place
        return reference


class Secret:
    """A reference to a secret. `reveal` reads today's value; neither `repr` nor errors ever show it."""

    __slots__ = ("_base", "_place", "_seen", "_store", "kind", "name")

    def __init__(
        self, reference: str, base: Path | None = None, store: SecretStore | None = None, place: str = ""
    ) -> None:
        """`base` is the folder that `${file:…}` starts from, `place` is named where the secret is missing.

        Raises ValueError where `reference` is not exactly one reference; the text never repeats what was written.
        """
        match = re.fullmatch(_WHOLE, reference)
        if match is None:
            raise ValueError(f"a secret must not stand in clear: {_HINT}")
        self.kind, self.name = match[1], match[2]
        if self.kind == "env" and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.name):
            raise ValueError("a secret has no default: write `${env:NAME}` alone")
        self._base, self._store, self._place = base or Path(), store, place
        self._seen: tuple[tuple[int, int, int], str] | None = None

    @property
    def place(self) -> str:
        """Where it stands, `FILE:LINE`; empty where it was not read from a file."""
        return self._place

    @property
    def reference(self) -> str:
        """As it is written: `${env:NAME}`."""
        return f"${{{self.kind}:{self.name}}}"

    @property
    def path(self) -> Path | None:
        """The file that holds it; None where it is not kept in a file."""
        return self._base / self.name if self.kind == "file" else None

    def reveal(self) -> str:
        """Today's value; a file's trailing line break is not part of it. Raises SecretMissing."""
        value = self._value()
        if not value:
            raise self._missing("is not there" if value is None else "is empty")
        return value

    def _value(self) -> str | None:
        if self.kind == "env":
            return os.environ.get(self.name)
        return self._from_file(self.name) if self.kind == "file" else self._from_store(self.name)

    def _from_store(self, name: str) -> str | None:
        return self._store(name) if self._store else None

    def _from_file(self, name: str) -> str | None:
        path = self._base / name
        try:
            state = path.stat()
            version = (state.st_mtime_ns, state.st_size, state.st_ino)
            if self._seen is None or self._seen[0] != version:
                self._seen = version, path.read_text(encoding="utf-8").rstrip("\r\n")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            reason = "is not UTF-8 text" if isinstance(error, ValueError) else f"cannot be read: {error.strerror}"
            raise self._missing(reason) from None
        return self._seen[1]

    def _missing(self, reason: str) -> SecretMissing:
        text = f"{self.reference} {reason}"
        return SecretMissing(text, place=self._place) if self._place else SecretMissing(text)

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return (self.kind, self.name, self._base) == (other.kind, other.name, other._base)

    def __hash__(self) -> int:
        return hash((self.kind, self.name, self._base))

    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Secret:
        if isinstance(value, Secret):
            return value
        context: Mapping[str, Any] = info.context or {}
        place = ""
        if isinstance(value, Reference):
            value, place = value.written, value.place
            context.get("taken", set()).add((place, value))
        if not isinstance(value, str):
            raise PydanticCustomError("secret_in_clear", f"a secret must not stand in clear: {_HINT}")
        try:
            return cls(value, context.get("base"), context.get("secrets"), place)
        except ValueError as error:
            raise PydanticCustomError("secret_in_clear", "{reason}", {"reason": str(error)}) from None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(lambda secret: secret.reference)
        return core_schema.with_info_plain_validator_function(cls._read, serialization=written)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": f"^{_WHOLE}$",
            "examples": ["${env:NAME}", "${file:secrets/NAME}", "${secret:NAME}"],
        }


def is_reference(text: str) -> bool:
    """Whether the text is exactly one reference."""
    return re.fullmatch(_WHOLE, text) is not None


def substituted(text: str) -> str:
    """The text with `${env:NAME}` and `${env:NAME:-default}` filled in; what is not set stays as it is written."""
    return _ENV.sub(lambda match: _value(match) or match[0] if match[2] is None else _value(match) or match[2], text)


def unset(text: str) -> list[str]:
    """Names of the environment that the text asks for without a default and that are not set, or empty."""
    return [match[1] for match in _ENV.finditer(text) if match[2] is None and not _value(match)]


def _value(match: re.Match[str]) -> str:
    return os.environ.get(match[1], "")
