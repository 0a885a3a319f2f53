"""What happens to an appeal inside the gateway: each step commits with its message or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from flows.appeals import rules, tables
from pipe.contract import Message, Transaction, step
from pipe.errors import NotFound


@step("appeals.register")
def register(message: Message, tx: Transaction) -> Iterable[Message]:
    """Gives the appeal its number, asks for a reminder, and goes on with the whole record.

    A message that comes again keeps its number. `headers.appeal_id` is the id that the caller was given.
    """
    appeal, urgent = message.body, bool(message.body.get("urgent"))
    number = tables.number_of(tx, message.id)
    if number is None:
        year = rules.year_of(message.received_at)
        number = tables.add(tx, message.id, year, urgent=urgent, registered_at=message.received_at)
        due = {"number": str(number), "phone": appeal["applicant"]["phone"]}
        at = rules.remind_at(message.received_at, urgent=urgent)
        tx.emit(message.but(body=due), route="reminders", at=at, cancel=_timer(number))
    registered_at = datetime.fromtimestamp(message.received_at, rules.KYIV).isoformat(timespec="seconds")
    record = {**appeal, "urgent": urgent, "id": message.id, "number": str(number), "registered_at": registered_at}
    return [message.but(body=record, headers={**message.headers, "appeal_id": message.id})]


@step("appeals.confirm")
def confirm(message: Message, tx: Transaction) -> Iterable[Message]:
    """Notes that the appeal was confirmed and takes its reminder back; confirming twice is harmless.

    Raises NotFound where `params.number` is no number of ours.
    """
    number, state = _known(tx, message.params["number"])
    if confirmed := rules.next_state(state, "confirm"):
        tables.move(tx, number, confirmed)
        tx.cancel(_timer(number))
    return []


@step("appeals.remind")
def remind(message: Message, tx: Transaction) -> Iterable[Message]:
    """Lets the reminder pass if nobody has confirmed the appeal meanwhile.

    A reminder that became due in the very moment of the confirmation is stopped here.
    """
    number, state = _known(tx, message.body["number"])
    reminded = rules.next_state(state, "remind")
    if reminded is None:
        return []
    tables.move(tx, number, reminded)
    return [message]


@step("appeals.digest")
def digest(message: Message, tx: Transaction) -> Iterable[Message]:
    """Yesterday's appeals, counted by state and urgency; nothing after a day without appeals."""
    day, since, until = rules.day_before(message.received_at)
    rows = [{"day": day.isoformat(), **row} for row in tables.counted(tx, since, until)]
    return [message.but(body=rows)] if rows else []


def _known(tx: Transaction, text: str) -> tuple[rules.Number, rules.State]:
    number = rules.Number.parse(text)
    state = tables.state_of(tx, number) if number else None
    if number is None or state is None:
        raise NotFound("no appeal has this number", number=text)
    return number, state


def _timer(number: rules.Number) -> str:
    """The name under which a reminder can be taken back."""
    return f"appeals/{number}"
