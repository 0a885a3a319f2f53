"""Quantities with units."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pipe.config.units import Duration, Percent, Rate, Secret, Size


class Block(BaseModel):
    """A strict block with each kind."""

    model_config = ConfigDict(strict=True)

    duration: Duration = Duration(5)
    size: Size = Size(1)
    percent: Percent = Percent(0.5)
    rate: Rate | None = None
    secret: Secret | None = None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("5s", 5.0), ("1.5s", 1.5), ("15m", 900.0), ("6h", 21600.0), ("7d", 604800.0), ("0s", 0.0)],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    """Every unit that may be written."""
    assert Block.model_validate({"duration": text}).duration == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("512B", 512), ("64KiB", 65536), ("10MiB", 10 << 20), ("1GiB", 1 << 30), ("1kB", 1000), ("5MB", 5_000_000)],
)
def test_a_size_is_bytes(text: str, count: int) -> None:
    """Binary and decimal units are different."""
    assert Block.model_validate({"size": text}).size == count


@pytest.mark.parametrize(("text", "count", "per"), [("30/s", 30, 1.0), ("100/m", 100, 60.0), ("5/h", 5, 3600.0)])
def test_a_rate_is_a_count_in_seconds(text: str, count: int, per: float) -> None:
    """Both parts can be read."""
    assert Block.model_validate({"rate": text}).rate == Rate(count, per)


def test_a_percentage_is_a_share_of_one() -> None:
    """Half is 0.5."""
    assert Block.model_validate({"percent": "50%"}).percent == 0.5


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("duration", 5),
            ("duration", 0.5),
            ("duration", "5"),
            ("duration", "5 s"),
            ("duration", "-5s"),
            ("duration", "05s"),
        ),
        *(
            ("duration", "1h30m"),
            ("duration", True),
            ("duration", None),
            ("duration", ""),
            ("duration", "５s"),
            ("duration", "5s\n"),
        ),
        *(("size", 10), ("size", "10"), ("size", "10M"), ("size", "10mb"), ("size", False), ("size", [])),
        *(("percent", 0.5), ("percent", "101%"), ("percent", "50"), ("rate", 30), ("rate", "0/s"), ("rate", "30/w")),
    ],
)
def test_what_has_no_unit_or_a_wrong_one_is_refused_with_advice(key: str, value: Any) -> None:
    """The text says what is wrong with it, or how it is written."""
    with pytest.raises(ValidationError) as caught:
        Block.model_validate({key: value})
    assert re.search(r"write for example `|is more than 100%", str(caught.value))


@given(st.one_of(st.integers(0, 10**7).map(float), st.integers(0, 999).map(lambda count: count / 1000)))
def test_a_written_duration_reads_back_the_same(seconds: float) -> None:
    """`str` is what the YAML would say, so that plans and pages can be pasted into it."""
    assert Duration.parse(str(Duration(seconds))) == pytest.approx(seconds, rel=1e-9)


@given(st.integers(0, 1 << 50))
def test_a_written_size_reads_back_the_same(count: int) -> None:
    """`str` is what the YAML would say."""
    assert Size.parse(str(Size(count))) == count


@given(st.text(max_size=12))
def test_no_text_makes_a_unit_fail_otherwise_than_by_value_error(text: str) -> None:
    """Whatever is written, the loader gets an answer that it understands."""
    for kind in (Duration, Size, Percent, Rate):
        try:
            kind.parse(text)
        except ValueError as error:
            assert text in str(error)  # noqa: PT017 - both ends are right, and each has its own promise


def test_the_json_schema_accepts_what_is_accepted() -> None:
    """Editors see a text with a pattern and examples that fit it."""
    for kind in (Duration, Size, Percent, Rate, Secret):
        schema = TypeAdapter(kind).json_schema()
        assert schema["type"] == "string"
        assert all(re.search(schema["pattern"], example) for example in schema["examples"])


def test_json_shows_a_quantity_as_it_is_written() -> None:
    """A dumped configuration can be read by people, and holds references only."""
    block = Block(duration=Duration(900), size=Size(10 << 20), rate=Rate(30, 1.0), secret=Secret("${env:TOKEN}"))
    assert block.model_dump(mode="json") == {
        "duration": "15m",
        "size": "10MiB",
        "percent": "50%",
        "rate": "30/s",
        "secret": "${env:TOKEN}",
    }
