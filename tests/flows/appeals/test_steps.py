"""The steps of appeals over a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Executable, Result, create_engine, select

from flows.appeals import steps, tables
from flows.appeals.rules import KYIV
from pipe.contract import Message
from pipe.errors import NotFound

NOON = datetime(2026, 6, 1, 12, tzinfo=KYIV).timestamp()
BODY = {"applicant": {"name": "Олена", "phone": "+380671234567"}, "text": "Немає води"}


class Notes:
    """A transaction over a real connection that notes what was emitted and taken back."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.now = NOON
        self.emitted: list[tuple[Message, str | None, float | None, str | None]] = []
        self.cancelled: list[str] = []

    def new_id(self) -> str:
        """An id."""
        return f"id{len(self.emitted)}"

    def execute(self, statement: Executable, parameters: Any = None) -> Result[Any]:
        """Runs SQL."""
        return self.connection.execute(statement, parameters)

    def hash(self, *parts: str) -> str:
        """Appeals keep no hashes."""
        raise NotImplementedError

    def seal(self, plain: bytes, about: str) -> bytes:
        """Appeals seal nothing."""
        raise NotImplementedError

    def unseal(self, sealed: bytes, about: str) -> bytes:
        """Appeals seal nothing."""
        raise NotImplementedError

    def emit(
        self,
        message: Message,
        *,
        route: str | None = None,
        at: float | None = None,
        cancel: str | None = None,
        deadline: float | None = None,
    ) -> str:
        """Notes it."""
        self.emitted.append((message, route, at, cancel))
        return self.new_id()

    def cancel(self, key: str) -> int:
        """Notes it."""
        self.cancelled.append(key)
        return 1

    def publish(self, topic: str, event: Any) -> int:
        """Appeals have no feed."""
        raise NotImplementedError

    def audit(self, event: str, *, before: Any = None, after: Any = None, target: str = "") -> None:
        """Appeals change no settings."""
        raise NotImplementedError


@pytest.fixture
def tx() -> Iterator[Notes]:
    """The register, empty."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        tables.create(connection)
        yield Notes(connection)
    engine.dispose()


def arrived(id: str = "m1", *, at: float = NOON, **body: Any) -> Message:
    """An appeal as it comes through the door."""
    return Message(id=id, route="appeals", body={**BODY, **body}, received_at=at)


def confirmation(number: str) -> Message:
    """What says that somebody took care."""
    return Message(id="c1", route="confirmations", body=None, params={"number": number}, received_at=NOON)


def state(tx: Notes) -> str | None:
    """The only appeal's state."""
    return tx.execute(select(tables.appeal.c.state)).scalar()


def only(messages: Any) -> Message:
    """The one message that a step let pass."""
    [message] = messages
    assert isinstance(message, Message)
    return message


def test_numbers_follow_one_another(tx: Notes) -> None:
    """Without a gap."""
    numbers = [only(steps.register(arrived(f"m{n}"), tx)).body["number"] for n in range(3)]
    assert numbers == ["УКЦ-2026-000001", "УКЦ-2026-000002", "УКЦ-2026-000003"]


def test_each_year_starts_anew(tx: Notes) -> None:
    """Serials are of the year, also when a late one of the old year comes after."""
    old, new = NOON, datetime(2027, 1, 1, tzinfo=KYIV).timestamp()
    numbers = [only(steps.register(arrived(f"m{n}", at=at), tx)).body["number"] for n, at in enumerate((old, new, old))]
    assert numbers == ["УКЦ-2026-000001", "УКЦ-2027-000001", "УКЦ-2026-000002"]


def test_a_message_that_comes_again_keeps_its_number_and_its_one_reminder(tx: Notes) -> None:
    """Registering is idempotent by the message's id."""
    numbers = [only(steps.register(arrived(), tx)).body["number"] for _ in range(2)]
    assert (numbers, len(tx.emitted)) == (["УКЦ-2026-000001"] * 2, 1)


def test_the_record_says_all_that_the_register_wants(tx: Notes) -> None:
    """Id, number, time with its zone, and urgency also where the caller left it out."""
    record = only(steps.register(arrived(), tx))
    assert record.body == {
        **BODY,
        "urgent": False,
        "id": "m1",
        "number": "УКЦ-2026-000001",
        "registered_at": "2026-06-01T12:00:00+03:00",
    }
    assert record.headers == {"appeal_id": "m1"}


def test_a_reminder_is_asked_for_and_can_be_taken_back(tx: Notes) -> None:
    """It knows number and phone, becomes due tomorrow, and has a name."""
    steps.register(arrived(), tx)
    [(message, route, at, cancel)] = tx.emitted
    assert message.body == {"number": "УКЦ-2026-000001", "phone": "+380671234567"}
    assert (route, at, cancel) == ("reminders", NOON + 86400, "appeals/УКЦ-2026-000001")


def test_a_confirmation_takes_the_reminder_back(tx: Notes) -> None:
    """And a second one does nothing more."""
    steps.register(arrived(), tx)
    for _ in range(2):
        assert steps.confirm(confirmation("УКЦ-2026-000001"), tx) == []
    assert (state(tx), tx.cancelled) == ("confirmed", ["appeals/УКЦ-2026-000001"])


@pytest.mark.parametrize("number", ["УКЦ-2026-000009", "щось"])
def test_a_confirmation_of_nothing_says_so(tx: Notes, number: str) -> None:
    """It becomes a dead letter that a person sees."""
    with pytest.raises(NotFound) as missing:
        steps.confirm(confirmation(number), tx)
    assert missing.value.facts == {"number": number}


def test_a_due_reminder_passes_once(tx: Notes) -> None:
    """And the appeal is then known as reminded of."""
    steps.register(arrived(), tx)
    due = tx.emitted[0][0]
    assert [len(list(steps.remind(due, tx) or ())) for _ in range(2)] == [1, 0]
    assert state(tx) == "reminded"


def test_a_reminder_stops_where_a_confirmation_was_faster(tx: Notes) -> None:
    """Due and confirmed in the same moment: nobody gets a needless text."""
    steps.register(arrived(), tx)
    steps.confirm(confirmation("УКЦ-2026-000001"), tx)
    assert steps.remind(tx.emitted[0][0], tx) == []


def test_the_digest_counts_yesterday_only(tx: Notes) -> None:
    """By state and urgency, from midnight to midnight of Kyiv."""
    for n, (at, urgent) in enumerate([(NOON, False), (NOON, True), (NOON, False), (NOON + 86400, False)]):
        steps.register(arrived(f"m{n}", at=at, urgent=urgent), tx)
    steps.confirm(confirmation("УКЦ-2026-000001"), tx)
    morning = Message(id="t", route="nightly", body=None, received_at=NOON + 18 * 3600)
    day = {"day": "2026-06-01", "appeals": 1}
    assert only(steps.digest(morning, tx)).body == [
        {**day, "state": "confirmed", "urgent": False},
        {**day, "state": "registered", "urgent": False},
        {**day, "state": "registered", "urgent": True},
    ]


def test_a_day_without_appeals_makes_no_digest(tx: Notes) -> None:
    """No empty files."""
    assert steps.digest(Message(id="t", route="nightly", body=None, received_at=NOON), tx) == []
