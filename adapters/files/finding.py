"""Files that fit a pattern, found folder by folder; a folder that cannot hold one is not looked into."""

from __future__ import annotations

import fnmatch
from collections.abc import Container
from dataclasses import dataclass, field

from adapters.files.remote import Entry, Missing, Remote, Segments
from pipe.errors import PeerFailed

DEEPEST, MOST = 32, 200_000
"""folders within one another, and names in all, that one look goes through"""
_ANY = "**"
Pattern = tuple[str, ...]


@dataclass(slots=True)
class Look:
    """What one look saw."""

    files: list[Entry] = field(default_factory=list)
    """those that fit"""
    present: set[Segments] = field(default_factory=set)
    """every file in the folders that were looked into"""
    absent: list[Segments] = field(default_factory=list)
    """folders that the pattern names and that are not there"""

    def sorted(self) -> list[Entry]:
        """Those that fit, oldest first."""
        return sorted(self.files, key=lambda file: (file.modified, file.at))


def checked(pattern: Pattern) -> Pattern:
    """Raises ValueError for a pattern that would not mean what it says."""
    for segment in pattern:
        if _ANY in segment and segment != _ANY:
            raise ValueError(f"`{segment}`: `**` stands alone between slashes, for any number of folders")
    return pattern


async def find(remote: Remote, pattern: Pattern, without: Container[Segments] = ()) -> Look:
    """The files that fit. Hidden names fit only what starts with a dot; `without` are folders to leave out."""
    look = Look()
    await _below(remote, (), _unfolded({pattern}), without, look)
    return look


async def every_file(remote: Remote, at: Segments) -> list[Entry]:
    """All files below a folder, whatever they are called, oldest first; none where it is not there."""
    found: list[Entry] = []
    folders = [at]
    while folders:
        try:
            entries = await remote.entries(folders.pop())
        except Missing:
            continue
        folders += [entry.at for entry in entries if entry.kind == "folder"]
        found += [entry for entry in entries if entry.kind == "file"]
    return sorted(found, key=lambda file: (file.modified, file.at))


async def _below(
    remote: Remote, at: Segments, patterns: set[Pattern], without: Container[Segments], look: Look
) -> None:
    """`patterns` are what may still follow, `**` unfolded."""
    named = [pattern for pattern in patterns if len(pattern) > 1 and _literal(pattern[0])]
    if len(named) == len(patterns) == 1:
        # The way to the first pattern is known: no folder on it needs to be listed.
        ((first, *rest),) = named
        await _below(remote, (*at, first), _unfolded({tuple(rest)}), without, look)
        return
    try:
        entries = await remote.entries(at)
    except Missing:
        look.absent.append(at)
        return
    if len(look.present) + len(entries) > MOST or len(at) > DEEPEST:
        raise PeerFailed(f"{'/'.join(at)} and what was looked into before hold more than {MOST} names, or are too deep")
    for entry in entries:
        name = entry.at[-1]
        if entry.kind == "file":
            look.present.add(entry.at)
            if any(pattern == (_ANY,) and not name.startswith(".") for pattern in patterns) or any(
                len(pattern) == 1 and pattern[0] != _ANY and fits(name, pattern[0]) for pattern in patterns
            ):
                look.files.append(entry)
        elif entry.at not in without and (further := _entered(name, patterns)):
            await _below(remote, entry.at, further, without, look)


def _entered(name: str, patterns: set[Pattern]) -> set[Pattern]:
    """What may follow within a folder of this name."""
    further: set[Pattern] = set()
    for pattern in patterns:
        if pattern[0] == _ANY:
            if not name.startswith("."):
                further.add(pattern)
        elif len(pattern) > 1 and fits(name, pattern[0]):
            further.add(pattern[1:])
    return _unfolded(further)


def _unfolded(patterns: set[Pattern]) -> set[Pattern]:
    """With what is meant where a leading `**` stands for no folder."""
    found = set(patterns)
    for pattern in patterns:
        while len(pattern) > 1 and pattern[0] == _ANY:
            pattern = pattern[1:]  # noqa: PLW2901  the rest of it
            found.add(pattern)
    return found


def fits(name: str, pattern: str) -> bool:
    """Whether a name fits one segment of a pattern."""
    return fnmatch.fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith("."))


def _literal(segment: str) -> bool:
    return not any(sign in segment for sign in "*?[")


def fixed(pattern: Pattern) -> Segments:
    """The folder that a pattern names before anything in it is open."""
    at: list[str] = []
    for segment in pattern[:-1]:
        if not _literal(segment):
            break
        at.append(segment)
    return tuple(at)


def overlap(one: Pattern, other: Pattern) -> bool:
    """Whether a file could fit both. Sure where it says no."""
    if not one or not other:
        return not one and not other
    if _ANY in (one[0], other[0]):
        left, right = (one, other) if one[0] == _ANY else (other, one)
        if left == (_ANY,):
            return True
        return overlap(left[1:], right) or (bool(right) and overlap(left, right[1:]))
    return _share(one[0], other[0]) and overlap(one[1:], other[1:])


def _share(one: str, other: str) -> bool:
    """Whether a name could fit both; a set of signs counts as any sign."""
    return _shared(_signs(one), _signs(other))


def _signs(segment: str) -> list[str]:
    signs, at = [], 0
    while at < len(segment):
        sign, end = segment[at], segment.find("]", at + 2)
        if sign == "[" and end > 0:
            sign, at = "?", end
        signs.append(sign)
        at += 1
    return signs


def _shared(one: list[str], other: list[str]) -> bool:
    reached = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        i, j = todo.pop()
        if i == len(one) and j == len(other):
            return True
        left, right = one[i] if i < len(one) else "", other[j] if j < len(other) else ""
        steps: list[tuple[int, int]] = []
        if left == "*":
            steps += [(i + 1, j), (i, j + 1)] if right and right != "*" else [(i + 1, j)]
        if right == "*":
            steps += [(i, j + 1), (i + 1, j)] if left and left != "*" else [(i, j + 1)]
        if left and right and "*" not in (left, right) and (left == right or "?" in (left, right)):
            steps.append((i + 1, j + 1))
        for step in steps:
            if step not in reached:
                reached.add(step)
                todo.append(step)
    return False
