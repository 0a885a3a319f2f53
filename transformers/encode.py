"""`encode:` makes bytes of plain values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, RootModel, Tag, model_validator

from pipe.contract import Blob, Message, Strict
from pipe.errors import Unencodable
from transformers import csv_format, json_format, text_format, xml_format
from transformers.formats import CsvOut, FormatName, Plain, TextOptions, XmlOut, chosen, one_of, word_or_settings


class EncodeOptions(Strict):
    """One format with its settings."""

    json_: Plain | None = Field(default=None, alias="json", description="Compact JSON in UTF-8.")
    xml: XmlOut | None = Field(default=None, description="XML; `@name` keys become attributes, `#text` text.")
    csv: CsvOut | None = Field(default=None, description="CSV of a list of objects.")
    text: TextOptions | None = Field(default=None, description="One text, number or truth value.")

    @model_validator(mode="after")
    def _one(self) -> EncodeOptions:
        one_of(self)
        return self


Written = Annotated[
    Annotated[FormatName, Tag("word")] | Annotated[EncodeOptions, Tag("settings")], Discriminator(word_or_settings)
]


class EncodeConfig(RootModel[Written]):
    """A format by its word, or `{xml: {root: Appeal}}` with settings."""

    model_config = ConfigDict(
        frozen=True, strict=True, json_schema_extra={"examples": ["xml", {"csv": {"columns": ["ref", "state"]}}]}
    )

    def chosen(self) -> tuple[str, Any]:
        """The format's name and its settings."""
        return chosen(self.root, {"xml": XmlOut, "csv": CsvOut, "text": TextOptions})


class Encode:
    """Writes the body in a format and declares its content type."""

    name: ClassVar[str] = "encode"
    Config: ClassVar[type[BaseModel]] = EncodeConfig
    heavy: ClassVar[bool] = False

    def __init__(self, config: EncodeConfig) -> None:
        self.format, options = config.chosen()
        self._write, self._content_type = _writer(self.format, options)

    def apply(self, message: Message) -> Message:
        """The message with bytes as body. Raises Unencodable that names the field which the format cannot say."""
        body = message.body
        if self.format == "bytes":
            if not isinstance(body, (bytes, Blob)):
                raise Unencodable("the body is not bytes; choose another format", path="body")
            return message.but(content_type=message.content_type or self._content_type)
        if isinstance(body, (bytes, Blob)):
            raise Unencodable("the body is bytes already; decode it first", path="body")
        return message.but(body=self._write(body), content_type=self._content_type)


def _writer(format: str, options: Any) -> tuple[Callable[[Any], bytes], str]:
    """What writes values in a format with these settings, and the content type of what it writes."""
    if format == "json":
        return json_format.encode, json_format.MEDIA_TYPE
    if format == "xml":
        settings = {"charset": options.charset, "root": options.root, "declaration": options.declaration}
        return partial(xml_format.encode, **settings), f"{xml_format.MEDIA_TYPE}; charset={options.charset}"
    if format == "bytes":
        return bytes, "application/octet-stream"
    charset = options.charset or "utf-8"
    declared = f"charset={charset.removesuffix('-sig')}"
    if format == "csv":
        dialect = options.dialect(charset, guard_formulas=options.guard_formulas)
        return partial(csv_format.encode, dialect=dialect), f"{csv_format.MEDIA_TYPE}; {declared}"
    return partial(text_format.encode, charset=charset), f"text/plain; {declared}"
