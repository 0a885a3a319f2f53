"""What of a description's changes may break something, and what breaks nothing."""

from __future__ import annotations

import pytest

from monitoring.drift.changes import between
from pipe.outline import Fields, Leaf, answer_of, request_of

KNOWN: Fields = {
    "body": Leaf("object"),
    "body.a": Leaf("string"),
    "body.o": Leaf("object", False),
    "body.o.x": Leaf("int"),
}


def changed(**fields: Leaf | None) -> Fields:
    """The known fields with some changed; None takes one out. `o_x` is `body.o.x`."""
    named = {f"body.{name.replace('_', '.')}": leaf for name, leaf in fields.items()}
    return {path: leaf for path, leaf in {**KNOWN, **named}.items() if leaf is not None}


@pytest.mark.parametrize(
    ("now", "sent", "answered"),
    [
        (changed(a=None), ("a", "gone", True), ("a", "gone", True)),
        (changed(a=Leaf("int")), ("a", "kind", True), ("a", "kind", True)),
        (changed(a=Leaf("string", many=True)), ("a", "list", True), ("a", "list", True)),
        (changed(b=Leaf("string")), ("b", "required", True), ("b", "new", False)),
        (changed(b=Leaf("string", False)), ("b", "new", False), ("b", "new", False)),
        (changed(a=Leaf("string", False)), ("a", "optional", False), ("a", "optional", True)),
        (changed(o=Leaf("object")), ("o", "required", True), ("o", "required", False)),
        (changed(o=None, o_x=None), ("o", "gone", True), ("o", "gone", True)),
    ],
)
def test_a_change_of_a_field_breaks_whoever_relies_on_it(
    now: Fields, sent: tuple[str, str, bool], answered: tuple[str, str, bool]
) -> None:
    """What must be sent now, and what need not come any more; an object that is gone is told once."""
    for part, (path, how, breaks) in ((request_of("Pay"), sent), (answer_of("Pay"), answered)):
        [change] = between("openapi", {part: KNOWN}, {part: now}, strict=False)
        assert (change.path, change.how, change.breaks) == (f"body.{path}", how, breaks)


def test_where_answers_are_held_against_the_copy_a_new_field_breaks() -> None:
    """A SOAP answer with an element that the pinned WSDL does not have is refused."""
    now = {answer_of("Pay"): changed(b=Leaf("string", False))}
    assert [each.breaks for each in between("wsdl", {answer_of("Pay"): KNOWN}, now, strict=True)] == [True]


def test_an_operation_that_is_gone_is_told_once_and_a_new_one_breaks_nothing() -> None:
    """Each message of it is one change."""
    known, now = {answer_of("Pay"): KNOWN}, {answer_of("Find"): KNOWN}
    found = between("wsdl", known, now, strict=True)
    assert [(each.part, each.path, each.how, each.breaks) for each in found] == [
        ("Find answer", "", "new", False), ("Pay answer", "", "gone", True),
    ]  # fmt: skip
    assert between("wsdl", known, known, strict=True) == []
