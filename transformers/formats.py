"""What `decode:` and `encode:` may say of each format, and which content types belong to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from pipe.contract import Message, Strict
from pipe.errors import WrongMediaType
from transformers import csv_format, xml_format
from transformers.text_format import known_charset

FormatName = Literal["json", "xml", "csv", "text", "bytes"]
Charset = Annotated[str, AfterValidator(lambda name: known_charset(name) and name)]


def _element(name: str) -> str:
    if not xml_format.is_name(name):
        raise ValueError(f"`{name}` is no name of an XML element")
    return name


class Plain(Strict):
    """A format without settings of its own."""


class XmlIn(Strict):
    """How XML is read."""

    lists: list[str] = Field(
        default=[],
        description="Dotted paths of elements that are a list even where they stand once.",
        examples=[["Appeals.Appeal"]],
    )
    depth: int = Field(default=64, ge=1, le=128, description="Levels of elements that a document may have.")
    namespaces: dict[str, str] | None = Field(
        default=None,
        description="URI to prefix: names get these prefixes, whichever the sender chose (an empty one: none).",
        examples=[{"urn:registry:1": "r"}],
    )


class XmlOut(Strict):
    """How XML is written."""

    root: Annotated[str, AfterValidator(_element)] | None = Field(
        default=None, description="Name of an element put around the body.", examples=["Appeal"]
    )
    charset: Charset = Field(default="utf-8", description="Charset of the document.", examples=["windows-1251"])
    declaration: bool = Field(default=True, description="Whether it begins with `<?xml …?>`.")


class CsvOptions(Strict):
    """How CSV is read or written."""

    delimiter: str = Field(default=",", min_length=1, max_length=1, description="Sign between fields.", examples=[";"])
    quote: str = Field(default='"', min_length=1, max_length=1, description="Sign around fields that need it.")
    charset: Charset | None = Field(
        default=None,
        description="Charset of the file. Read: by default what the sender declares, else utf-8. Written: utf-8.",
        examples=["windows-1251"],
    )
    header: bool = Field(default=True, description="Whether the first line names the columns.")
    columns: list[str] = Field(
        default=[],
        description="Read: the columns of a file without a header; with one, columns it must have. "
        "Written: the columns in their order, by default all keys as they first appear.",
        examples=[["ref", "sum"]],
    )

    @model_validator(mode="after")
    def _sensible(self) -> CsvOptions:
        if self.delimiter == self.quote or not {self.delimiter, self.quote}.isdisjoint("\r\n"):
            raise ValueError("`delimiter` and `quote` are two different signs, and no line breaks")
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("`columns` names a column twice")
        return self

    def dialect(self, charset: str, *, guard_formulas: bool = False) -> csv_format.Dialect:
        """The same for the format's own functions, with `charset` where none is written."""
        return csv_format.Dialect(
            delimiter=self.delimiter,
            quote=self.quote,
            charset=self.charset or charset,
            header=self.header,
            columns=tuple(self.columns),
            guard_formulas=guard_formulas,
        )


class CsvIn(CsvOptions):
    """How CSV is read."""

    @model_validator(mode="after")
    def _has_columns(self) -> CsvIn:
        if not self.header and not self.columns:
            raise ValueError("a file without a header needs `columns`")
        return self


class CsvOut(CsvOptions):
    """How CSV is written."""

    guard_formulas: bool = Field(
        default=False,
        description="Put `'` before texts that a spreadsheet would run as a formula: for files that people open.",
    )


class TextOptions(Strict):
    """How text is read or written."""

    charset: Charset | None = Field(
        default=None,
        description="Charset of the bytes. Read: by default what the sender declares, else utf-8. Written: utf-8.",
        examples=["windows-1251"],
    )


def one_of(options: BaseModel) -> tuple[str, Any]:
    """The only format that is written under `decode:` or `encode:`, and its settings. Raises ValueError."""
    written = [
        (name, getattr(options, name)) for name in type(options).model_fields if getattr(options, name) is not None
    ]
    if len(written) != 1:
        raise ValueError(f"name exactly one format, not {len(written)}")
    return written[0]


def chosen(written: BaseModel | str, settings: Mapping[str, type[BaseModel]]) -> tuple[str, Any]:
    """The name of a format, given by its word or with settings, and its settings: by default those of `settings`."""
    if isinstance(written, str):
        return written, settings.get(written, Plain)()
    name, options = one_of(written)
    return name.rstrip("_"), options


def word_or_settings(value: Any) -> str:
    """Which of the two ways to name a format it is, so that a mistake is told once."""
    return "word" if isinstance(value, str) else "settings"


# --- content types ----------------------------------------------------------------------------------------------------

_FAMILIES: dict[str, re.Pattern[str]] = {
    "json": re.compile(r"application/json|text/json|application/(?:[\w.-]+\+)?json|[\w.-]+/[\w.-]+\+json"),
    "xml": re.compile(r"application/xml|text/xml|[\w.-]+/[\w.-]+\+xml"),
    "csv": re.compile(r"text/csv|application/csv|text/tab-separated-values"),
    "other": re.compile(r"(?:multipart|image|audio|video|font)/.*|application/(?:pdf|zip|gzip)|text/html"),
}


def check_media_type(message: Message, format: str) -> None:
    """Raises WrongMediaType where the sender declared clearly another format; nothing declared is good."""
    if message.content_type is not None and (declared := _other(message.content_type, format)):
        raise WrongMediaType(f"the content type is {declared[:80]}, but this route takes {format}", path="content_type")


@lru_cache(maxsize=1024)
def _other(content_type: str, format: str) -> str:
    """The media type, where it is clearly another format's; else nothing."""
    declared = content_type.partition(";")[0].strip().lower()
    if format not in _FAMILIES or _FAMILIES[format].fullmatch(declared):
        return ""
    return declared if any(family.fullmatch(declared) for family in _FAMILIES.values()) else ""


def declared_charset(message: Message) -> str | None:
    """The charset of the content type, where one is declared. Raises WrongMediaType for one that is unknown."""
    found = re.search(r";\s*charset\s*=\s*\"?([^\s\";]+)", message.content_type or "", re.IGNORECASE)
    if found is None:
        return None
    try:
        known_charset(found[1])
    except ValueError as error:
        raise WrongMediaType(f"the charset {found[1][:40]} is unknown", path="content_type") from error
    return found[1]
