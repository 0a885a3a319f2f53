"""`decode:` makes plain values of bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, RootModel, Tag, model_validator

from pipe.contract import Blob, Message, Strict
from pipe.errors import Undecodable
from transformers import csv_format, json_format, text_format, xml_format
from transformers.formats import (
    CsvIn,
    FormatName,
    Plain,
    TextOptions,
    XmlIn,
    check_media_type,
    chosen,
    declared_charset,
    one_of,
    word_or_settings,
)


class DecodeOptions(Strict):
    """One format with its settings."""

    json_: Plain | None = Field(default=None, alias="json", description="JSON, strictly: RFC 8259 in UTF-8.")
    xml: XmlIn | None = Field(default=None, description="XML without DOCTYPE; `@name` attributes, `#text`, lists.")
    csv: CsvIn | None = Field(default=None, description="CSV; a list of objects of texts.")
    text: TextOptions | None = Field(default=None, description="One text.")

    @model_validator(mode="after")
    def _one(self) -> DecodeOptions:
        one_of(self)
        return self


_EXAMPLES: list[Any] = ["json", {"csv": {"delimiter": ";", "charset": "windows-1251"}}]


Written = Annotated[
    Annotated[FormatName, Tag("word")] | Annotated[DecodeOptions, Tag("settings")], Discriminator(word_or_settings)
]


class DecodeConfig(RootModel[Written]):
    """A format by its word, or `{csv: {delimiter: ";"}}` with settings."""

    model_config = ConfigDict(frozen=True, strict=True, json_schema_extra={"examples": _EXAMPLES})

    def chosen(self) -> tuple[str, Any]:
        """The format's name and its settings."""
        return chosen(self.root, {"xml": XmlIn, "csv": CsvIn, "text": TextOptions})


class Decode:
    """Reads the body in a format. The content type stays as it was received."""

    name: ClassVar[str] = "decode"
    Config: ClassVar[type[BaseModel]] = DecodeConfig
    heavy: ClassVar[bool] = False

    def __init__(self, config: DecodeConfig) -> None:
        self.format, self._options = config.chosen()

    def apply(self, message: Message) -> Message:
        """The message with plain values as body.

        A text body (taken out of another document) is read as well. Raises Undecodable or TooDeep with the place,
        WrongMediaType where the sender declared another format.
        """
        body = message.body
        if isinstance(body, str):
            message = message.but(content_type=None)
            body = _utf8(body)
        if not isinstance(body, (bytes, Blob)):
            raise Undecodable(f"the body is already decoded: it is {type(body).__name__}, not bytes", path="body")
        check_media_type(message, self.format)
        return message.but(body=self._decoded(body, message))

    def _decoded(self, body: bytes | Blob, message: Message) -> Any:
        if self.format == "json":
            return json_format.decode_pieces(body.open) if isinstance(body, Blob) else json_format.decode(body)
        if self.format == "xml":
            return self._xml(body, message)
        if self.format == "csv":
            return csv_format.decode(body, self._options.dialect(declared_charset(message) or "utf-8"))
        if self.format == "text":
            return text_format.decode(_whole(body), self._options.charset or declared_charset(message) or "utf-8")
        return body

    def _xml(self, body: bytes | Blob, message: Message) -> Any:
        options = self._options
        pieces: Iterable[bytes] = body.open() if isinstance(body, Blob) else (body,)
        marked = isinstance(body, bytes) and body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))
        return xml_format.decode(
            pieces,
            charset=None if marked else declared_charset(message),
            lists=options.lists,
            depth=options.depth,
            namespaces=options.namespaces,
        )


def _whole(body: bytes | Blob) -> bytes:
    return body.read() if isinstance(body, Blob) else body


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        place = f"character {error.start}"
        raise Undecodable(f"half a character (a lone surrogate) at {place}", path=place) from error
