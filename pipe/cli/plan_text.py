"""A plan in words for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def plan_text(plan: Mapping[str, Any]) -> str:
    """What would change, a line each; empty blocks are left out."""
    return "\n".join(_lines(plan))


def _lines(plan: Mapping[str, Any]) -> Iterator[str]:
    for finding in plan.get("findings", ()):
        yield f"{finding['file']}:{finding['line']}: {finding['code']} {finding['text']}"
    if "old_revision" not in plan:
        return
    if plan["old_revision"] == plan["new_revision"]:
        yield f"nothing changes: revision {plan['new_revision']} is in use"
        return
    yield f"revision {plan['old_revision'] or 'none'} → {plan['new_revision']}"
    for block in ("connections", "routes", "listeners", "files"):
        yield from _changes(block, plan[block])
    yield from (f"  ~ {key}" for key in plan["settings"])
    yield from (f"  connection {name} is established anew" for name in plan["reconnects"])
    yield from (f"  {name} cannot be taken up while it runs: restart the gateway" for name in plan["restart"])
    for route, promise in plan["promises"].items():
        yield f"  route {route} promises {promise['new']} instead of {promise['old']}"
    for each in plan["pending"]:
        fate = "would be left without a station" if each["orphaned"] else "go on"
        yield f"  {each['deliveries']} deliveries at {each['station']} of {each['route']} {fate}"
    for route, tests in plan["tests"].items():
        named = ", ".join(f"`{name}`" for name in tests)
        yield f"  route {route} is tested by {named}" if tests else f"  route {route} has no test"


def _changes(block: str, changes: Mapping[str, Any]) -> Iterator[str]:
    for word, sign in _SIGNS.items():
        for name in changes[word]:
            keys = changes[word][name] if word == "changed" else []
            yield f"  {sign} {block.removesuffix('s')} {name}{': ' + ', '.join(keys) if keys else ''}"
