"""A person decides what the gateway cannot know: whether an uncertain delivery took effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pipe.errors import BadRequest, OutcomeUnknown
from pipe.operations.host import Host, reason_given
from pipe.operations.selection import D, deliveries_of
from pipe.refusing import refused
from pipe.store import journal
from pipe.store.journal import Outcome, Work
from pipe.store.schema import DEAD, DELIVERED, RETRY, UNCERTAIN
from pipe.store.transaction import Tx

Decision = Literal["delivered", "retry", "dead"]


async def resolve(host: Host, id: str, decision: Decision, reason: str, station: str | None = None) -> dict[str, Any]:
    """`delivered`: it took effect. `retry`: it did not, send it again. `dead`: keep it as a dead letter.

    `retry` also sends at once what waits for its next attempt. `station` names the target where several are uncertain.
    """
    why = reason_given(reason)
    states = (UNCERTAIN, RETRY) if decision == "retry" else (UNCERTAIN,)
    rows = [row for row in await deliveries_of(host, id, *states) if station in (None, row["station"])]
    if not rows:
        raise refused(BadRequest, "nothing_uncertain", id=id)
    if len({row["station"] for row in rows}) > 1:
        names = ", ".join(row["station"] for row in rows)
        raise refused(BadRequest, "several_uncertain", id=id, names=names)
    numbers = [row["delivery"] for row in rows]
    decided = await host.store.write(_unit(host, numbers, decision, why))
    return {"id": rows[0]["id"], "station": rows[0]["station"], "decision": decision, "resolved": decided}


def _unit(host: Host, numbers: list[int], decision: Decision, reason: str) -> Callable[[Tx], int]:
    outcomes = host.outcomes()

    def unit(tx: Tx) -> int:
        works, _ = host.store.loader.works(tx.connection, D.id.in_(numbers), D.done_at.is_(None))
        for work in works:
            _decide(tx, host, outcomes, work, decision, reason)
        return len(works)

    return unit


def _decide(tx: Tx, host: Host, outcomes: Any, work: Work, decision: Decision, reason: str) -> None:
    note = f"{host.actor} decided: {reason}"
    if decision == "retry":
        journal.make_ready(tx, work.id, note)
        tx.ready((work.route, work.station, work.id))
    elif decision == "delivered":
        outcomes.end(tx, work, Outcome(DELIVERED, note=note, at=tx.now, attempted=False), [])
    else:
        error = OutcomeUnknown(f"nobody knows whether it was delivered; {note}")
        outcome = Outcome(
            DEAD, code=error.code, note=error.text, error=error, maybe_delivered=True, at=tx.now, attempted=False
        )
        outcomes.end(tx, work, outcome, [])
    after = {"station": work.station, "delivery": work.id, "decision": decision, "reason": reason}
    tx.audit(f"uncertain.{decision}", before=work.state, after=after, target=work.message.id, actor=host.actor)
