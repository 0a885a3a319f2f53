"""The shortest text that a pattern of XML Schema takes: enough for examples, not for every pattern."""

from __future__ import annotations

_ESCAPES = {"d": "1", "w": "a", "s": " ", "i": "a", "c": "a", "n": "\n", "t": "\t", "r": "\r", "S": "a", "D": "a"}


def sample(pattern: str) -> str:
    """A text that fits, where the pattern is made of classes, groups, counts and choices."""
    text, _ = _choice(pattern, 0)
    return text


def _choice(pattern: str, at: int) -> tuple[str, int]:
    """The first of the alternatives that begin here; where they end."""
    first, at = _sequence(pattern, at)
    while at < len(pattern) and pattern[at] == "|":
        _, at = _sequence(pattern, at + 1)
    return first, at


def _sequence(pattern: str, at: int) -> tuple[str, int]:
    made = []
    while at < len(pattern) and pattern[at] not in "|)":
        atom, at = _atom(pattern, at)
        count, at = _count(pattern, at)
        made.append(atom * count)
    return "".join(made), at


def _atom(pattern: str, at: int) -> tuple[str, int]:
    sign = pattern[at]
    if sign == "(":
        inner, at = _choice(pattern, at + 1)
        return inner, at + 1
    if sign == "[":
        return _class(pattern, at + 1)
    if sign == "\\":
        return _escape(pattern, at + 1)
    return ("a" if sign == "." else sign), at + 1


def _escape(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] in {"p", "P"}:
        return ("1" if pattern[at + 2 : at + 3] == "N" else "A"), pattern.index("}", at) + 1
    return _ESCAPES.get(pattern[at], pattern[at]), at + 1


def _class(pattern: str, at: int) -> tuple[str, int]:
    """One sign of a class; a negated one gets the first of a few that it does not hold."""
    end = at + 1
    while pattern[end] != "]" or pattern[end - 1] == "\\":
        end += 1
    inside = pattern[at:end]
    if inside.startswith("^"):
        return next(sign for sign in "aA1-_~" if sign not in inside), end + 1
    return (_escape(inside, 1)[0] if inside[0] == "\\" else inside[0]), end + 1


def _count(pattern: str, at: int) -> tuple[int, int]:
    """How often the atom before must come at least, and one of what may come at all."""
    sign = pattern[at : at + 1]
    if sign in {"*", "?"}:
        return 0, at + 1
    if sign == "+":
        return 1, at + 1
    if sign == "{":
        end = pattern.index("}", at)
        return int(pattern[at + 1 : end].partition(",")[0] or 0), end + 1
    return 1, at
