"""What pages ask of operations, and how what these refuse is told beside the form."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from monitoring.pulse import TOPIC
from pipe.errors import BadRequest, Conflict
from web.pages.call import Call
from web.pages.forms import Invalid

T = TypeVar("T")


async def acted(call: Call, work: Awaitable[T]) -> T:
    """What the operation gives; open pages, and the one that follows, show it at once.

    What it refuses comes back beside the form, with its reason.
    """
    try:
        result = await work
    except Conflict:
        raise
    except BadRequest as error:
        raise Invalid("", "form.error.refused", why=call.words.refusal(error)) from None
    await call.write(lambda tx: tx.publish(TOPIC, {}))
    return result


def only_done(call: Call, told: dict[str, Any], verb: str) -> int:
    """How many of an action were done. Raises Invalid where none was, with the first reason."""
    if not told[verb] and told["refused"]:
        raise Invalid("", "form.error.refused", why=in_words(call, told["refused"][0]))
    if not told[verb]:
        raise Invalid("", "ops.dead.no_longer")
    return int(told[verb])


def in_words(call: Call, said: dict[str, Any]) -> str:
    """What an operation says in both languages, in the reader's."""
    return str(said["text_uk"] if call.words.language == "uk" else said["text"])
