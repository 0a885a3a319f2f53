"""`filter:` keeps the messages for which an expression is true."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, RootModel

from pipe.contract import Expression, Message


class FilterConfig(RootModel[Expression]):
    """An expression; what it is not true for ends here as discarded, and is counted."""

    model_config = ConfigDict(frozen=True, strict=True, json_schema_extra={"examples": ["body.state != 'test'"]})


class Filter:
    """Keeps what is true: not null, not false, not empty; zero is true."""

    name: ClassVar[str] = "filter"
    Config: ClassVar[type[BaseModel]] = FilterConfig
    heavy: ClassVar[bool] = False

    def __init__(self, config: FilterConfig) -> None:
        self._condition = config.root

    def apply(self, message: Message) -> Message | None:
        """The same message, or None. Raises MappingFailed where the expression meets a value it cannot take."""
        return message if self._condition.is_true(message) else None
