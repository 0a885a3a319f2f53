"""What an adapter may tell the configuration about itself, apart from the contract; each hook may be absent.

`guarantee(options)` of a source: "at-least-once" or "at-most-once", or a pair of that and why. `synchronous(config,
options)` of a source: whether `reply:` is sync where nothing is written. `collides(one, other)` of a source: whether
two routes would take the same messages; `own_paths` is True where other connections of its listener cannot.
`hands` of a source is "values" where its bodies are values, written as JSON: its routes read them before their steps.
`review(config, options)`: texts about what is wrong with a `from:` or `to:`.

They are asked before any connection is made, so they look at their arguments alone; so does `natural` of a sink.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """Whether repeating this target is harmless by the protocol itself."""
    natural = _hook(adapter, "natural")
    return natural is not None and bool(natural(options))


def guarantee(adapter: type[Adapter], options: Any) -> tuple[str, str]:
    """What the source can keep, "at-least-once" or "at-most-once", and why."""
    hook = _hook(adapter, "guarantee")
    answer: str | tuple[str, str] | None = hook(options) if hook is not None else None
    if isinstance(answer, tuple):
        return answer
    if answer == "at-most-once":
        return answer, "its source cannot send again what was not accepted"
    return "at-least-once", "its source sends again what was not accepted"


def is_synchronous(adapter: type[Adapter], config: Any, options: Any) -> bool:
    """Whether callers of this entrance await a reply although `reply:` does not say so."""
    hook = _hook(adapter, "synchronous")
    return bool(hook(config, options)) if hook is not None else False


def review(adapter: type[Adapter], config: Any, options: Any) -> list[str]:
    """What the adapter itself finds wrong, an operation that its WSDL does not have for example."""
    hook = _hook(adapter, "review")
    return list(hook(config, options)) if hook is not None else []


def hands_values(adapter: type[Adapter]) -> bool:
    """Whether what the source receives has been decoded by its protocol."""
    return getattr(adapter, "hands", "bytes") == "values"


def collides(adapter: type[Adapter], one: Any, other: Any) -> bool:
    """Whether two routes would take the same messages; without the hook, where their keys are equal."""
    hook = _hook(adapter, "collides")
    return bool(hook(one, other)) if hook is not None else one == other


def _hook(adapter: type[Adapter], name: str) -> Callable[..., Any] | None:
    # On an object that was never set up, methods and classmethods can be called alike.
    return getattr(object.__new__(adapter), name, None)
