"""What the stand-in of the text message service takes and refuses."""

from __future__ import annotations

import orjson
import pytest

from partners.sms import PER_SECOND
from tests.partners.conftest import Ask


async def test_a_good_message_is_taken(ask: Ask) -> None:
    """202 and state ok."""
    status, _, body = await ask("sms", "POST", "/sms/messages", json={"to": "+380671234567", "text": "Вітаємо"})
    assert (status, orjson.loads(body)) == (202, {"state": "ok", "id": "sms-1"})


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"to": "0671234567", "text": "a"}, "bad_number"),
        ({"to": "+380671234567 ", "text": "a"}, "bad_number"),
        ({"to": "+38067١٢٣٤٥٦٧", "text": "a"}, "bad_number"),
        ({"to": "+380671234567", "text": ""}, "bad_length"),
        ({"to": "+380671234567", "text": "я" * 671}, "bad_length"),
        ({"to": "+380671234567", "text": "a", "from": "x"}, "unknown_field"),
        ({"to": 380671234567, "text": "a"}, "bad_message"),
        (["+380671234567"], "bad_message"),
    ],
)
async def test_a_bad_message_is_refused(ask: Ask, message: object, code: str) -> None:
    """422 with a code."""
    status, _, body = await ask("sms", "POST", "/sms/messages", json=message)
    assert (status, orjson.loads(body)["code"]) == (422, code)


async def test_too_many_in_a_second_are_asked_to_wait(ask: Ask) -> None:
    """429 with Retry-After."""
    message = {"to": "+380671234567", "text": "a"}
    answers = [await ask("sms", "POST", "/sms/messages", json=message) for _ in range(PER_SECOND + 1)]
    assert (answers[-1][0], answers[-1][1]["Retry-After"]) == (429, "1")
