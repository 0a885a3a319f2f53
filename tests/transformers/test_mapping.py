"""`map:`, `set:` and `filter:`: what they make, what they leave alone, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipe.contract import Expression
from pipe.errors import BadHeader, MappingFailed
from tests.transformers.messages import message, run, step

BODY = {
    "applicant": {"phone": "+380671234567", "name": "Іван"},
    "text": "Добрий день",
    "lines": [{"sum": 5}, {"sum": 7}],
}


@pytest.mark.key("steps.map")
def test_map_makes_a_new_body_of_expressions_and_literals() -> None:
    """Strings are expressions, other scalars literals, objects and lists nest; a missing path is null."""
    tree = {
        "Appeal": {"id": "message.id", "phone": "body.applicant.phone", "none": "body.no.such"},
        "sums": "body.lines[*].sum",
        "list": ["body.text", 1, None],
        "state": "'new'",
        "urgent": False,
    }
    assert run("map", tree, BODY) == {
        "Appeal": {"id": "01hx", "phone": "+380671234567", "none": None},
        "sums": [5, 7],
        "list": ["Добрий день", 1, None],
        "state": "new",
        "urgent": False,
    }
    assert run("map", "body.applicant", BODY) == BODY["applicant"]


def test_a_failed_expression_names_the_path_read_and_the_field_made() -> None:
    """Whoever mends it knows where to look on both sides."""
    with pytest.raises(MappingFailed) as failed:
        run("map", {"Appeal": {"phones": ["to_int(body.text)"]}}, BODY)
    assert failed.value.facts == {"path": "body.text", "field": "Appeal.phones[0]"}


FAILING = "to_int(body.text)"


@pytest.mark.parametrize(
    ("tree", "field"),
    [
        (FAILING, "body"), ({"a": FAILING}, "a"), ([1, FAILING], "[1]"), ({"": FAILING}, "body"),
        ({"a": "body.text", "b": {"c": FAILING}}, "b.c"), ({"a": [{"b": FAILING}]}, "a[0].b"),
    ],
)  # fmt: skip
def test_the_field_is_named_wherever_it_stands(tree: Any, field: str) -> None:
    """Of an object, of a list, or the whole body; the same below a path of `set`."""
    with pytest.raises(MappingFailed) as failed:
        run("map", tree, BODY)
    assert failed.value.facts["field"] == field
    with pytest.raises(MappingFailed) as failed:
        run("set", {"headers.x": tree}, BODY)
    assert failed.value.facts["field"].startswith("headers.x")


@given(st.recursive(
    st.sampled_from(["body.text", "message.id", "body.lines[1].sum", "body.no.such", "'x'", 1, None, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
))  # fmt: skip
def test_map_makes_each_value_as_its_expression_alone(tree: Any) -> None:
    """However objects and lists nest."""

    def made(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: made(inner) for key, inner in part.items()}
        if isinstance(part, list):
            return [made(inner) for inner in part]
        return Expression(part)(message(BODY)) if isinstance(part, str) else part

    assert run("map", tree, BODY) == made(tree)


def test_a_body_that_is_still_bytes_says_decode_it_first() -> None:
    """The commonest mistake of a route has its own words."""
    with pytest.raises(MappingFailed, match="decode it first"):
        run("map", {"id": "body.id"}, b'{"id": 1}')


@pytest.mark.parametrize(
    ("name", "config", "place"),
    [
        ("map", {"a": {"b": "body."}}, "a.b"),
        ("map", {"a": ["nope(body)"]}, "a\\[0\\]"),
        ("map", {1: "body"}, "quotes"),
        ("set", {"body.a": "body."}, "sign 6"),
        ("set", {}, "at least one"),
        ("set", {"headers.X-Priority": "'1'"}, "lower_snake"),
        ("set", {"company.id": "'1'"}, "starts with"),
        ("set", {"body.items[0]": "'1'"}, "body.a.b"),
        ("filter", "body ==", "sign 8"),
        ("filter", 5, "string"),
    ],
)
def test_mistakes_are_found_when_the_configuration_is_read(name: str, config: Any, place: str) -> None:
    """Lint tells the place within the step."""
    with pytest.raises(ValidationError, match=place):
        step(name, config)


@pytest.mark.key("steps.set")
def test_set_changes_parts_and_leaves_the_rest() -> None:
    """Intermediate objects are made; the message before the step is untouched."""
    before = message(BODY, headers={"a": "1", "b": "2"})
    after = step("set", {
        "headers.priority": "'high'", "headers.b": "null_of.nothing", "headers.n": 5,
        "body.meta.source.id": "message.id", "body.applicant.name": "upper(body.applicant.name)",
        "query.page": "`2`", "params.id": "'7'",
    }).apply(before)  # fmt: skip
    assert after.headers == {"a": "1", "priority": "high", "n": "5"}
    assert after.body == {
        **BODY,
        "meta": {"source": {"id": "01hx"}},
        "applicant": {"phone": "+380671234567", "name": "ІВАН"},
    }
    assert (after.query, after.params) == ({"page": "2"}, {"id": "7"})
    assert (before.body, before.headers) == (BODY, {"a": "1", "b": "2"})


def test_set_reads_the_message_as_it_was_before() -> None:
    """Two values change places in one step; order has no meaning."""
    assert run("set", {"body.a": "body.b", "body.b": "body.a"}, {"a": 1, "b": 2}) == {"a": 2, "b": 1}


def test_set_replaces_the_whole_body() -> None:
    """Also with null."""
    assert run("set", {"body": {"x": "body.text"}}, BODY) == {"x": "Добрий день"}
    assert run("set", {"body": None}, BODY) is None
    assert run("set", {"body.a": 1}, None) == {"a": 1}


@pytest.mark.parametrize("body", [b"{}", [1], "text", {"a": [1]}])
def test_set_does_not_lead_through_what_is_no_object(body: Any) -> None:
    """Nothing is overwritten on the way to a path."""
    with pytest.raises(MappingFailed, match="cannot set") as failed:
        run("set", {"body.a.b": 1}, body)
    assert failed.value.facts["path"] in ("body", "body.a")


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\nb", "a\x00b", "a\x7f", "\x1b[31m", "\ud800", ["a"], {"a": 1}])
def test_a_header_is_one_line_of_plain_text(value: Any) -> None:
    """No header can be smuggled in by data."""
    with pytest.raises(BadHeader) as refused:
        run("set", {"headers.note": "body.v"}, {"v": value})
    assert refused.value.facts["path"] == "headers.note"


def test_a_header_may_hold_ukrainian_text_and_tabs() -> None:
    """What HTTP cannot say as it is, the adapter encodes."""
    after = step("set", {"headers.note": "body.v"}).apply(message({"v": "Ґ\tї"}))
    assert after.headers["note"] == "Ґ\tї"


@pytest.mark.key("steps.filter")
@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("body.text == 'Добрий день'", True), ("body.text", True), ("body.lines[?sum > `6`]", True), ("`0`", True),
        ("body.none", False), ("body.lines[?sum > `9`]", False), ("`false`", False), ("''", False),
        ("!(body.text)", False), ("!(body.none)", True),
    ],
)  # fmt: skip
def test_filter_keeps_what_is_true(expression: str, kept: bool) -> None:
    """True in JMESPath's sense; what is dropped is None, so that the engine counts it."""
    before = message(BODY)
    assert step("filter", expression).apply(before) is (before if kept else None)
