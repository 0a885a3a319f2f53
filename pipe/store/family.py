"""What came of a message: what flows emitted and splits cut from it, and from these in turn."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Select, select

from pipe.store.schema import message


def family(ids: Iterable[str]) -> Select[tuple[int]]:
    """The `seq` of the messages of these ids and of all that came of them, at any depth."""
    elder = select(message.c.seq, message.c.id).where(message.c.id.in_(list(ids))).cte("family", recursive=True)
    young = message.alias("young")
    descends = (young.c.origin == elder.c.id) | (young.c.parent == elder.c.id)
    # UNION, not UNION ALL: what goes round in a circle is met once.
    whole = elder.union(select(young.c.seq, young.c.id).join(elder, descends))
    return select(whole.c.seq)
