"""The log: one line a thing, nothing sensitive in it, nothing that a partner wrote can break it."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from loguru import logger

from pipe import log
from pipe.redact import shield


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Where the log goes; afterwards it goes where it went before."""
    handlers, level = logging.root.handlers[:], logging.root.level
    stream = io.StringIO()
    log.set_up(level="debug", as_json=True, out=stream)
    yield stream
    logger.remove()
    logger.add(sys.stderr)
    logging.root.handlers[:], logging.root.level = handlers, level


def lines(out: io.StringIO) -> list[Any]:
    """What was logged."""
    return [orjson.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_has_time_level_action_text_and_fields(out: io.StringIO) -> None:
    """JSON for programs; the time in UTC with milliseconds."""
    logger.bind(action="retry", route="r", n=3).warning("it is tried again")
    [line] = lines(out)
    assert line.pop("at").endswith("Z")
    assert line == {"level": "warning", "action": "retry", "text": "it is tried again", "route": "r", "n": 3}


def test_what_is_in_work_is_masked(out: io.StringIO) -> None:
    """In the text, in fields within fields, in a stack trace."""
    with shield.over(["+380671234567"]):
        try:
            raise ValueError("+380671234567 is wrong")
        except ValueError as error:
            logger.bind(action="x", told={"phone": "+380671234567"}).opt(exception=error).error(
                "about {}", "+380671234567"
            )
    assert "+380671234567" not in out.getvalue()
    [line] = lines(out)
    assert (line["text"], line["told"], "*** is wrong" in line["exception"]) == ("about ***", {"phone": "***"}, True)


def test_variables_of_a_stack_trace_are_not_printed(out: io.StringIO) -> None:
    """They hold bodies and secrets."""

    def broken(secret: str) -> None:
        raise ValueError("broken")

    try:
        broken("hunter" + "22")
    except ValueError as error:
        logger.opt(exception=error).error("it broke")
    assert "hunter22" not in out.getvalue()
    assert "ValueError: broken" in lines(out)[0]["exception"]


def test_a_partner_cannot_write_a_line_of_its_own(out: io.StringIO) -> None:
    """A line break in what it said stays within the line."""
    logger.bind(action="x", said='a\n{"level": "critical"}').info("it said something")
    assert len(lines(out)) == 1


def test_libraries_log_through_us(out: io.StringIO) -> None:
    """With their name; their chatter is left out."""
    logging.getLogger("zeep").warning("odd %s", "thing")
    logging.getLogger("asyncio").info("chatter")
    [line] = lines(out)
    assert (line["library"], line["text"], line["action"]) == ("zeep", "odd thing", "library")


def test_a_terminal_gets_text_without_control_signs() -> None:
    """What a partner wrote does not colour or move anything."""
    stream = io.StringIO()
    log.set_up(as_json=False, out=stream)
    logger.bind(action="x", said="red\x1b[31m\nnext").info("it said something")
    logger.remove()
    logger.add(sys.stderr)
    [line] = stream.getvalue().splitlines()
    assert line.endswith("it said something  said=red [31m next")
