"""What the broker handed over: which repetition is known, and what may be let go."""

from __future__ import annotations

import pytest
from paho.mqtt.client import MQTTMessage

from adapters.mqtt import inbox
from adapters.mqtt.inbox import Inbox


def message(body: bytes = b"x", *, mid: int = 1, dup: bool = False, qos: int = 1) -> MQTTMessage:
    """As paho hands it over."""
    made = MQTTMessage(mid, b"in/x")
    made.payload, made.dup, made.qos = body, dup, qos
    return made


def nothing() -> None:
    """Nobody is waiting."""


async def left_untold(*, resumed: bool = True) -> tuple[Inbox, str]:
    """An inbox that made one message safe and could not tell; with what the journal calls it."""
    made = Inbox(nothing)
    made.put(message())
    (entry,) = made.waiting(8)
    entry.safe = True
    made.untold(made.done())
    made.turn_over(resumed=resumed)
    return made, str(entry.identity)


async def test_a_repetition_has_the_name_of_the_first() -> None:
    """And only once: the next of that identifier is another message."""
    made, name = await left_untold()
    made.put(message(dup=True))
    made.put(message(dup=True))
    first, second = made.waiting(8)
    assert first.identity == name
    assert second.identity != name


@pytest.mark.parametrize(
    "other", [message(), message(b"y", dup=True), message(mid=2, dup=True)], ids=["not repeated", "body", "identifier"]
)
async def test_what_only_looks_alike_is_another_message(other: MQTTMessage) -> None:
    """The broker's flag, the identifier and the content must all agree."""
    made, name = await left_untold()
    made.put(other)
    assert made.waiting(8)[0].identity != name


async def test_a_new_session_has_no_repetitions() -> None:
    """Its packet identifiers begin anew."""
    made, name = await left_untold(resumed=False)
    made.put(message(dup=True))
    assert made.waiting(8)[0].identity != name


async def test_a_repetition_is_known_for_one_connection_only() -> None:
    """After that its identifier may be somebody else's."""
    made, name = await left_untold()
    made.turn_over(resumed=True)
    made.put(message(dup=True))
    assert made.waiting(8)[0].identity != name


async def test_qos_0_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker does not wait for us with these; what has left makes room."""
    monkeypatch.setattr(inbox, "MOST_UNASKED", 2)
    made = Inbox(nothing)
    for _ in range(3):
        made.put(message(qos=0))
    made.put(message())
    assert (len(made.waiting(8)), made.dropped) == (3, 1)
    made.entries[0].safe = True
    made.done()
    made.put(message(qos=0))
    assert (len(made.waiting(8)), made.dropped) == (3, 1)


async def test_what_is_done_leaves_from_the_oldest_on() -> None:
    """Acknowledgements keep the order of the messages."""
    made = Inbox(nothing)
    for mid in (1, 2):
        made.put(message(mid=mid))
    first, second = made.waiting(8)
    second.safe = True
    assert made.done() == []
    first.safe = True
    assert [made.done(), made.done()] == [[first, second], []]
