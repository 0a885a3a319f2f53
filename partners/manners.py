"""How a stand-in behaves: the words of command, and what each of them makes of a request."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pipe.errors import BadRequest

Verb = Literal["well", "slow", "hang", "refuse", "fail", "error200", "reset", "truncate", "garbage", "duplicate"]

PLACES: dict[Verb, tuple[str, ...]] = {
    "well": (),
    "slow": ("seconds",),
    "hang": (),
    "refuse": ("status",),
    "fail": ("status", "retry_after"),
    "error200": (),
    "reset": (),
    "truncate": (),
    "garbage": (),
    "duplicate": (),
}
"""what each verb takes by place; `for=N` and `done=yes` go with all of them"""
ALIASES: dict[str, Verb] = {"half-open": "hang", "200-with-error": "error200", "reset-after-send": "reset"}
"""other words for the same"""


@dataclass(frozen=True, slots=True)
class Manner:
    """What becomes of the next requests.

    well: answered as they deserve. slow: answered after `seconds`. hang (half-open): read, never answered. refuse: no,
    for good. fail: no, for now. error200 (200-with-error): a yes with an error inside. reset (reset-after-send): the
    connection is torn down after the request was read. truncate: half an answer. garbage: an answer in another
    protocol. duplicate: the answer is sent twice.
    """

    verb: Verb = "well"
    seconds: float = 1.0
    status: int = 0
    """of refuse (default 422) and fail (default 503)"""
    retry_after: str | None = None
    done: bool = False
    """the work is done all the same; only the answer is bad"""
    times: int | None = None
    """so many requests, then well again; None: until told otherwise"""

    @property
    def works(self) -> bool:
        """Whether the partner's own work is done under this manner."""
        return self.done or self.verb in {"well", "slow", "truncate", "garbage", "duplicate"}

    def after_one(self) -> Manner:
        """The manner once a request has met it."""
        if self.times is None:
            return self
        return dataclasses.replace(self, times=self.times - 1) if self.times > 1 else Manner()

    def __str__(self) -> str:
        given = [f"{name}={getattr(self, name)}" for name in PLACES[self.verb] if getattr(self, name)]
        done = ["done=yes"] if self.done else []
        return " ".join([self.verb, *given, *done, *([f"for={self.times}"] if self.times else [])])


def manner(verb: str, arguments: Sequence[str] = ()) -> Manner:
    """The manner that words of command name: `manner("fail", ["503", "retry_after=2", "for=3"])`.

    Raises BadRequest where a word is unknown or a value cannot be read.
    """
    verb = ALIASES.get(verb, verb)
    if verb not in get_args(Verb):
        raise BadRequest(f"a stand-in knows no `{verb}`; it knows {', '.join(get_args(Verb))}")
    known: Verb = verb  # type: ignore[assignment]  # checked just above
    places = iter(PLACES[known])
    given: dict[str, object] = {}
    for argument in arguments:
        name, sign, value = argument.partition("=")
        if not sign:
            name, value = next(places, ""), argument
        given.update([_value(known, name, value)])
    if "status" in PLACES[known]:
        given.setdefault("status", 422 if known == "refuse" else 503)
    return dataclasses.replace(Manner(known), **given)  # type: ignore[arg-type]  # each is read by its own reader


_READERS: dict[str, tuple[str, Callable[[str], object]]] = {
    "seconds": ("seconds", float),
    "status": ("status", int),
    "retry_after": ("retry_after", str),
    "done": ("done", {"yes": True, "no": False}.__getitem__),
    "for": ("times", int),
}


def _value(verb: Verb, name: str, value: str) -> tuple[str, object]:
    if name not in {*PLACES[verb], "done", "for"}:
        raise BadRequest(f"`{verb}` takes no `{name or value}`; it takes {', '.join([*PLACES[verb], 'done', 'for'])}")
    field, reader = _READERS[name]
    try:
        return field, reader(value)
    except (ValueError, KeyError) as error:
        raise BadRequest(f"`{verb}` cannot read {name}={value}") from error
