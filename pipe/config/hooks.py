"""What an adapter may tell the configuration about itself, apart from the contract; each hook may be absent.

All are classmethods. `guarantee(options)` of a source: "at-least-once" or "at-most-once", or a pair of that and why.
`synchronous(config, options)` of a source: whether `reply:` is sync where nothing is written. `collides(one, other)`
of a source: whether two routes would take the same messages. `review(config, options)`: texts about what is wrong with
a `from:` or `to:` of this connection.
"""

from __future__ import annotations

from typing import Any

from pipe.contract import Adapter, Options


def subscription(adapter: type[Adapter]) -> type[Options] | None:
    """The adapter's keys of `from:`; None where it is no source."""
    return getattr(adapter, "Subscription", None)


def target(adapter: type[Adapter]) -> type[Options] | None:
    """The adapter's keys of `to:`; None where it is no sink."""
    return getattr(adapter, "Target", None)


def is_caller(adapter: type[Adapter]) -> bool:
    """Whether its receipts carry the partner's reply."""
    return target(adapter) is not None and getattr(adapter, "answers", False) is True


def is_natural(adapter: type[Adapter], options: Any) -> bool:
    """Whether repeating this target is harmless by the protocol itself.

    Asked before any connection is made, so `natural` may look at the target alone.
    """
    natural = getattr(object.__new__(adapter), "natural", None)
    return bool(natural(options)) if natural is not None else False


def guarantee(adapter: type[Adapter], options: Any) -> tuple[str, str]:
    """What the source can keep, "at-least-once" or "at-most-once", and why."""
    hook = getattr(adapter, "guarantee", None)
    answer: str | tuple[str, str] = hook(options) if hook is not None else "at-least-once"
    if not isinstance(answer, str):
        return answer
    if answer == "at-most-once":
        return answer, "its source cannot send again what was not accepted"
    return answer, "its source sends again what was not accepted"


def is_synchronous(adapter: type[Adapter], config: Any, options: Any) -> bool:
    """Whether callers of this entrance await a reply although `reply:` does not say so."""
    hook = getattr(adapter, "synchronous", None)
    return bool(hook(config, options)) if hook is not None else False


def review(adapter: type[Adapter], config: Any, options: Any) -> list[str]:
    """What the adapter itself finds wrong, an operation that its WSDL does not have for example."""
    hook = getattr(adapter, "review", None)
    return list(hook(config, options)) if hook is not None else []


def collides(adapter: type[Adapter], one: Any, other: Any) -> bool:
    """Whether two routes would take the same messages; without the hook, where their keys are equal."""
    hook = getattr(adapter, "collides", None)
    return bool(hook(one, other)) if hook is not None else one == other
