"""What has changed between two shapes of one thing, and whether something may break of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from pipe.outline import Fields, Leaf, Outline, operation_of

How = Literal["gone", "kind", "list", "new", "optional", "required"]


class Change(NamedTuple):
    """One field, or one part as a whole (its path is empty)."""

    what: Literal["wsdl", "openapi", "sample"]
    part: str
    """`GET /persons answer`; of samples see `pipe.sampling`"""
    path: str
    how: How
    before: str
    after: str
    breaks: bool = True
    """whether it is told as an alert"""


def between(what: Literal["wsdl", "openapi"], known: Outline, now: Outline, *, strict: bool) -> list[Change]:
    """All changes of a description, in their order. `strict`: answers with fields that are not known are refused."""
    found: list[Change] = []
    for part in sorted({*known, *now}):
        if part not in now:
            found.append(Change(what, part, "", "gone", "", ""))
        elif part not in known:
            found.append(Change(what, part, "", "new", "", "", breaks=False))
        else:
            found += _fields(what, part, known[part], now[part], strict=strict)
    return found


def _fields(
    what: Literal["wsdl", "openapi"], part: str, known: Fields, now: Fields, *, strict: bool
) -> Iterator[Change]:
    sent = operation_of(part)[1]
    for path in sorted({*known, *now}):
        before, after = known.get(path), now.get(path)
        if _told_above(path, known, now):
            continue
        if after is None and before is not None:
            yield Change(what, part, path, "gone", before.kind, "")
        elif before is None and after is not None:
            breaks = after.required if sent else strict
            yield Change(what, part, path, "required" if sent and after.required else "new", "", after.kind, breaks)
        elif before is not None and after is not None:
            yield from _leaf(Change(what, part, path, "kind", before.kind, after.kind), before, after, sent=sent)


def _leaf(change: Change, before: Leaf, after: Leaf, *, sent: bool) -> Iterator[Change]:
    if before.kind != after.kind:
        yield change
    if before.many != after.many:
        yield change._replace(how="list", before=_many(before), after=_many(after))
    if before.required != after.required:
        # What we must send now, and what need not come any more, break; the other way round nothing does.
        yield change._replace(how="required" if after.required else "optional", breaks=sent == after.required)


def _told_above(path: str, known: Mapping[str, Leaf], now: Mapping[str, Leaf]) -> bool:
    """Whether the object that holds it is gone or new as a whole."""
    above = path.rpartition(".")[0]
    return bool(above) and (above in known) != (above in now)


def _many(leaf: Leaf) -> str:
    return "list" if leaf.many else "one"
