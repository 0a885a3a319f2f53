"""What people and programs may ask of a gateway: one function each, called over the control socket or in this process.

An operation is an async function of a Host and typed arguments; it returns plain values and raises PipeErrors. An
action writes its audit row in the transaction of what it does. Adding one: write the function, add it to OPERATIONS.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, ValidationError, validate_call

from pipe.errors import BadRequest
from pipe.operations.host import Host, Progress, World

__all__ = ["OPERATIONS", "Host", "Operation", "Progress", "World", "perform"]

Function = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One entry of the table."""

    name: str
    function: Function


OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in ()}


async def perform(host: Host, name: str, arguments: Mapping[str, Any]) -> Any:
    """Runs an operation. Raises BadRequest for an unknown one or arguments of a wrong type, else what it raises."""
    operation = OPERATIONS.get(name)
    if operation is None:
        raise BadRequest(f"there is no operation `{name}`")
    checked = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(operation.function)
    try:
        return await checked(host, **arguments)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadRequest(f"`{name}`: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
