"""What people and programs may ask of a gateway: one function each, called over the control socket or in this process.

An operation is an async function of a Host and typed arguments; it returns plain values and raises PipeErrors. An
action writes its audit row in the transaction of what it does. Adding one: write the function, add it to OPERATIONS;
those of a flow stand in its `Flow.operations`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial, wraps
from typing import Any

from pydantic import ValidationError, validate_call

from pipe.errors import BadRequest
from pipe.operations import (
    auditing,
    backing_up,
    bundling,
    configuring,
    credentials,
    dead_letters,
    doctor,
    editing,
    erasing,
    exchanges,
    ledger,
    messages,
    overview,
    rehearsal,
    resolving,
    selection,
    story,
    switching,
)
from pipe.operations.doctor.connections import doctor_connections
from pipe.operations.host import Host, Progress, World

__all__ = ["OPERATIONS", "Host", "Progress", "World", "perform"]

Operation = Callable[..., Awaitable[Any]]

OPERATIONS: Mapping[str, Operation] = {
    "status": overview.status,
    "connections": overview.connections,
    "routes": overview.routes,
    "plan": configuring.plan,
    "apply": configuring.apply,
    "capture": configuring.capture,
    "ledger": ledger.books,
    "ledger.verify": ledger.verify,
    "explain": story.explain,
    "search": selection.search,
    "exchanges": exchanges.find,
    "exchanges.news": exchanges.news,
    "messages.show": messages.show,
    "dead.list": dead_letters.find,
    "dead.show": dead_letters.show,
    "dead.rehearse": rehearsal.rehearse,
    "dead.replay": dead_letters.replay,
    "dead.edit": editing.edit,
    "dead.discard": dead_letters.discard,
    "resolve": resolving.resolve,
    "pause": switching.pause,
    "resume": switching.resume,
    "resume.all": switching.resume_all,
    "drain": switching.drain,
    "doctor": doctor.doctor,
    "doctor.connections": doctor_connections,
    "audit.list": auditing.find,
    "audit.verify": auditing.verify,
    "audit.key": auditing.key,
    "backup": backing_up.backup,
    "bundle": bundling.bundle,
    "erase": erasing.erase,
    "keys.issue": credentials.issue_key,
    "keys.revoke": credentials.revoke_key,
    "secrets.list": credentials.list_secrets,
    "secrets.set": credentials.set_secret,
    "secrets.remove": credentials.remove_secret,
}


async def perform(host: Host, name: str, arguments: Mapping[str, Any]) -> Any:
    """Runs an operation. Raises BadRequest for an unknown one or arguments of a wrong type, else what it raises."""
    operation = OPERATIONS.get(name) or (host.world.operations().get(name) if host.world is not None else None)
    if operation is None:
        raise BadRequest(f"there is no operation `{name}`")
    try:
        # The host is bound first: only what came from outside is checked.
        work = validate_call(partial(_beginning(operation), host))(**arguments)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadRequest(f"`{name}`: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
    return await work


def _beginning(operation: Operation) -> Callable[..., Awaitable[Any]]:
    """The operation as a plain function that only begins it, so that bad arguments are told from its own failures."""

    @wraps(operation)
    def begin(*args: Any, **kwargs: Any) -> Awaitable[Any]:
        return operation(*args, **kwargs)

    return begin
