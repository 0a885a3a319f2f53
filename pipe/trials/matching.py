"""Holds what happened against what a test expects: partial, in any order, nothing left over."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import yaml

from pipe.trials.model import Problem

TEXT = "\x00text"
"""the body as text, beside the decoded one; never shown"""
MUST_BE_COVERED = ("connection", "refused", "outcome")
"""what happens of these kinds and is not expected fails the test; a reply does not"""


def differences(expected: Sequence[Any], got: Sequence[dict[str, Any]]) -> list[Problem]:
    """What is missing and what is too much."""
    chosen = _assigned(expected, got)
    left = [happening for number, happening in enumerate(got) if number not in chosen.values()]
    missing = [each for number, each in enumerate(expected) if number not in chosen]
    # What a missing expectation is compared with is shown there, so it is not told again as too much.
    problems = [_missing(each, left) for each in missing]
    extra = [happening for happening in left if any(key in happening for key in MUST_BE_COVERED)]
    return problems + [Problem("unexpected", f"not expected: {_short(happening)}") for happening in extra]


def fits(expected: Any, got: Any) -> bool:
    """Whether everything that is expected is there: maps may have more keys, lists must have the same length."""
    if isinstance(expected, Mapping):
        return isinstance(got, Mapping) and all(_has(got, key, value) for key, value in expected.items())
    if isinstance(expected, list):
        same = isinstance(got, list) and len(expected) == len(got)
        return same and all(fits(one, other) for one, other in zip(expected, got, strict=True))
    if _is_number(expected) and _is_number(got):
        return Decimal(str(expected)) == Decimal(str(got))
    return type(expected) is type(got) and bool(expected == got)


def _has(got: Mapping[str, Any], key: str, expected: Any) -> bool:
    if key == "body" and isinstance(expected, str) and TEXT in got:
        return expected in (got[TEXT], got.get(key))
    # What is expected to be null may as well be absent.
    return fits(expected, got.get(key)) if key in got or expected is None else False


def _assigned(expected: Sequence[Any], got: Sequence[Any]) -> dict[int, int]:
    """The largest assignment of expectations to happenings that fit, each to one."""
    taken: dict[int, int] = {}

    def place(number: int, tried: set[int]) -> bool:
        for other, happening in enumerate(got):
            if other in tried or not fits(expected[number], happening):
                continue
            tried.add(other)
            if other not in taken or place(taken[other], tried):
                taken[other] = number
                return True
        return False

    for number in range(len(expected)):
        place(number, set())
    return {number: other for other, number in taken.items()}


def _missing(expected: Any, left: list[dict[str, Any]]) -> Problem:
    kinds = [key for key in (*MUST_BE_COVERED, "reply") if isinstance(expected, Mapping) and key in expected]
    alike = [
        each
        for each in left
        if kinds and kinds[0] in each and (kinds[0] != "connection" or each["connection"] == expected["connection"])
    ]
    if not alike:
        return Problem("missing", f"expected, and did not happen: {_short(expected)}")
    nearest = max(alike, key=lambda each: _likeness(expected, each))
    left.remove(nearest)
    wanted, had = _yaml(expected).splitlines(), _yaml(_shaped(nearest, expected)).splitlines()
    lines = difflib.unified_diff(wanted, had, "expected", "got", n=10, lineterm="")
    return Problem("missing", f"expected, and did not happen so: {_short(expected)}", "\n".join(lines))


def _likeness(expected: Any, got: Any) -> int:
    """How many of the expected scalars are there."""
    if isinstance(expected, Mapping):
        return sum(_likeness(value, got.get(key)) for key, value in expected.items()) if isinstance(got, Mapping) else 0
    if isinstance(expected, list):
        return (
            sum(_likeness(one, other) for one, other in zip(expected, got, strict=False))
            if isinstance(got, list)
            else 0
        )
    return int(fits(expected, got))


def _shaped(got: Any, expected: Any) -> Any:
    """Of what was got, the keys that were asked for: the rest is no difference."""
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        shaped = {key: _shaped(got[key], value) for key, value in expected.items() if key in got}
        if isinstance(expected.get("body"), str) and TEXT in got:
            shaped["body"] = got[TEXT]
        return shaped
    if isinstance(expected, list) and isinstance(got, list):
        paired = [_shaped(other, one) for one, other in zip(expected, got, strict=False)]
        return paired + got[len(expected) :]
    return got


def shown(happening: Mapping[str, Any]) -> dict[str, Any]:
    """What may be seen of a happening."""
    return {key: value for key, value in happening.items() if key not in (TEXT, "message_headers")}


def _short(value: Any) -> str:
    visible = shown(value) if isinstance(value, Mapping) else value
    text = yaml.dump(
        visible, Dumper=Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000
    ).strip()
    return text if len(text) <= 400 else f"{text[:400]}…"


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)


class Dumper(yaml.SafeDumper):
    """Writes exact numbers too, and lists in the shape that people write."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Entries of a list stand further in than its key."""
        super().increase_indent(flow, False)


Dumper.add_representer(Decimal, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:float", str(value)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
