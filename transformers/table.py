"""`table:` groups, sums and sorts a list of objects, with pandas; sums of money are exact."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from pipe.contract import Message, Strict
from pipe.errors import MappingFailed

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Number = int | Decimal


class TableConfig(Strict):
    """What is done with the rows, in this order: group and reckon, sort, head, select, rename."""

    group: str | list[str] = Field(
        default=[], description="Columns whose equal values make one row.", examples=["region"]
    )
    sum: list[str] = Field(default=[], description="Columns to add up.", examples=[["amount"]])
    mean: list[str] = Field(default=[], description="Columns to take the mean of.")
    min: list[str] = Field(default=[], description="Columns to take the smallest number of.")
    max: list[str] = Field(default=[], description="Columns to take the greatest number of.")
    count: str | None = Field(default=None, description="Name of a new column: how many rows made it.", examples=["n"])
    sort: str | list[str] = Field(
        default=[],
        description="Columns to sort by, `-` before one for descending; as numbers where all its values are numbers.",
        examples=["-amount"],
    )
    head: int | None = Field(default=None, ge=1, description="How many of the first rows are kept.")
    select: list[str] = Field(default=[], description="Columns to keep, in this order.")
    rename: dict[str, str] = Field(default={}, description="Old names of columns and their new ones.")
    decimal: Literal[".", ","] = Field(default=".", description="Sign before the fraction in numbers that are text.")

    @model_validator(mode="after")
    def _does_something(self) -> TableConfig:
        if not any(getattr(self, name) for name in type(self).model_fields if name != "decimal"):
            raise ValueError("say what to do: group, sum, mean, min, max, count, sort, head, select or rename")
        if self.group and not self.reckoned() and not self.count:
            raise ValueError("`group` needs something to reckon: sum, mean, min, max or count")
        return self

    def reckoned(self) -> list[tuple[str, str, str]]:
        """(kind, column, name of the result): a column under several kinds gets `sum_amount`, `mean_amount`."""
        wanted = [(kind, column) for kind in _KINDS for column in getattr(self, kind)]
        often = [column for _, column in wanted]
        return [(kind, column, column if often.count(column) == 1 else f"{kind}_{column}") for kind, column in wanted]


def _mean(numbers: Sequence[Number]) -> Number:
    total = Decimal(sum(numbers)) / len(numbers)
    return int(total) if total == int(total) and all(isinstance(number, int) for number in numbers) else total


_KINDS: dict[str, Callable[[Sequence[Number]], Number]] = {"sum": sum, "mean": _mean, "min": min, "max": max}


class Table:
    """Makes another list of objects of a list of objects."""

    name: ClassVar[str] = "table"
    Config: ClassVar[type[BaseModel]] = TableConfig
    heavy: ClassVar[bool] = True

    def __init__(self, config: TableConfig) -> None:
        self._config = config
        self._group = _names(config.group)
        self._sort = [(name.removeprefix("-"), not name.startswith("-")) for name in _names(config.sort)]

    def apply(self, message: Message) -> Message:
        """The message with the new rows; cells are text, int, Decimal or null, never NaN.

        Empty cells are left out of sums and means. Raises MappingFailed that names row and column of what is no number.
        """
        frame = _frame(message.body)
        config = self._config
        if self._group or config.reckoned() or config.count:
            frame = self._reckoned(frame)
        frame = self._sorted(frame)
        if config.head is not None:
            frame = frame.head(config.head)
        if config.select:
            _demand(frame, config.select)
            frame = frame[config.select]
        _demand(frame, config.rename)
        return message.but(body=_plain(frame.rename(columns=config.rename)))

    def _reckoned(self, frame: DataFrame) -> DataFrame:
        import pandas as pd

        reckoned = self._config.reckoned()
        _demand(frame, [*self._group, *(column for _, column, _ in reckoned)])
        for column in {column for _, column, _ in reckoned}:
            frame[column] = pd.Series(self._numbers(frame[column]), index=frame.index, dtype=object)
        # A column of ones groups everything into one row where no group is named.
        groups = frame.groupby(self._group or (lambda _: 0), sort=False, dropna=False)
        made: dict[str, Any] = {}
        for kind, column, name in reckoned:
            made[name] = groups[column].agg(_skipping(_KINDS[kind])).astype(object)
        if self._config.count:
            made[self._config.count] = groups.size().astype(object)
        result = pd.DataFrame(made, dtype=object)
        return result.reset_index() if self._group else result

    def _numbers(self, column: Series[Any]) -> list[Number | None]:
        return [self._number(value, row, str(column.name)) for row, value in enumerate(column, 1)]

    def _number(self, value: Any, row: int, column: str) -> Number | None:
        if _missing(value):
            return None
        number = _as_number(value, self._config.decimal)
        if number is None:
            raise MappingFailed(f"row {row}, column {column}: this is no number", path=f"body[{row - 1}].{column}")
        return number

    def _sorted(self, frame: DataFrame) -> DataFrame:
        import pandas as pd

        _demand(frame, [name for name, _ in self._sort])
        for name, ascending in reversed(self._sort):
            numbers = [_as_number(value, self._config.decimal) for value in frame[name] if not _missing(value)]
            as_key = (lambda value: _as_number(value, self._config.decimal)) if None not in numbers else str
            keys = pd.Series([None if _missing(v) else as_key(v) for v in frame[name]], index=frame.index, dtype=object)
            frame = frame.loc[keys.sort_values(ascending=ascending, kind="stable", na_position="last").index]
        return frame


def _names(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _missing(value: Any) -> bool:
    return value is None or value == "" or value != value  # noqa: PLR0124 - NaN alone differs from itself


_NUMBER = re.compile(r"[+-]?\d{1,60}(?:\.\d{1,60})?", re.ASCII)


def _as_number(value: Any, point: str) -> Number | None:
    """An exact number; None for what is none. Text must be plain digits: no blanks between thousands."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, Decimal)):
        return value
    if isinstance(value, float):
        return Decimal(repr(value))
    text = value.strip() if isinstance(value, str) else ""
    if point == ",":
        text = text.replace(".", "?").replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return None
    return Decimal(text) if "." in text else int(text)


def _skipping(reckon: Callable[[Sequence[Number]], Number]) -> Callable[[Series[Any]], Number | None]:
    def reckoned(column: Series[Any]) -> Number | None:
        numbers = [value for value in column if not _missing(value)]
        return reckon(numbers) if numbers else None

    return reckoned


def _frame(body: Any) -> DataFrame:
    import pandas as pd

    if not isinstance(body, Sequence) or isinstance(body, (str, bytes)):
        raise MappingFailed("`table` takes a list of objects", path="body")
    for number, row in enumerate(body):
        if not isinstance(row, Mapping):
            raise MappingFailed("`table` takes a list of objects", path=f"body[{number}]")
        for name, value in row.items():
            if isinstance(value, (Mapping, list)):
                text = f"row {number + 1}, column {name}: a cell cannot be a list or an object"
                raise MappingFailed(text, path=f"body[{number}].{name}")
    return pd.DataFrame(list(body), dtype=object)


def _demand(frame: DataFrame, names: Sequence[str] | Mapping[str, str]) -> None:
    for name in names:
        if name not in frame.columns:
            raise MappingFailed(f"the rows have no column `{name}`", path=f"body[].{name}")


def _plain(frame: DataFrame) -> list[dict[str, Any]]:
    columns = [str(name) for name in frame.columns]
    rows = frame.itertuples(index=False, name=None)
    return [{name: _cell(value) for name, value in zip(columns, row, strict=True)} for row in rows]


def _cell(value: Any) -> Any:
    if value is None or value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return None
    return value.item() if hasattr(value, "item") else value
