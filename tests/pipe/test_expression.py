"""Expressions and templates: what they see, that they equal JMESPath, that nothing hangs, that errors name places."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from pipe import jmes
from pipe.contract import Blob, Message
from pipe.errors import MappingFailed
from pipe.expression import ROOTS, Expression, Template
from pipe.functions import FUNCTIONS


def message(body: Any = None, **fields: Any) -> Message:
    """Received at 2026-11-23 23:30:15 UTC, which is the next day in Kyiv."""
    return Message(**{"id": "01hx", "route": "r", "body": body, "received_at": 1795476615.0, **fields})


def value(text: str, body: Any = None, **fields: Any) -> Any:
    """What the expression gives for such a message."""
    return Expression(text)(message(body, **fields))


def failure(text: str, body: Any = None, **fields: Any) -> MappingFailed:
    """How the expression fails for such a message."""
    with pytest.raises(MappingFailed) as failed:
        value(text, body, **fields)
    return failed.value


# --- scope ------------------------------------------------------------------------------------------------------------


def test_every_root_of_the_scope_is_there() -> None:
    """What the design promises to be in scope is."""
    whole = message(
        {"a": 1}, headers={"x_y": "h"}, params={"id": "7"}, query={"q": "2"}, caller="crm", hops=3,
        content_type="text/x", company={"id": "c1"}, item={"sum": 5}, parent={"name": "batch"},
    )  # fmt: skip
    read = {root: Expression(root)(whole) for root in ROOTS}
    assert read == {
        "message": {
            "id": "01hx", "route": "r", "received_at": 1795476615.0, "caller": "crm", "hops": 3,
            "content_type": "text/x",
        },
        "headers": {"x_y": "h"}, "params": {"id": "7"}, "query": {"q": "2"}, "body": {"a": 1}, "company": {"id": "c1"},
        "now": "2026-11-24T01:30:15+02:00", "date": "2026-11-24", "item": {"sum": 5}, "parent": {"name": "batch"},
    }  # fmt: skip


def test_a_place_adds_to_the_scope_or_replaces() -> None:
    """In `success:` the body is the reply's, and `status` and `request` exist."""
    asked = Expression("status == `200` && body.ok && request.a == `1`")
    assert asked(message({"a": 1}), body={"ok": True}, status=200, request={"a": 1}) is True
    assert Expression("status")(message()) is None


def test_a_missing_path_is_null() -> None:
    """Also through null, texts, numbers and lists."""
    for path in ("body.x", "body.a.x", "body.t.x", "body.l.x", "company.id", "item.x", "nothing", "body.a.b.c.d"):
        assert value(path, {"a": {"b": None}, "t": "text", "l": [1]}) is None


@pytest.mark.parametrize("text", ["body.id", "body.items[*].id", "length(body.id)", "body | id", "body.a.b == `1`"])
def test_a_path_into_bytes_says_decode_it_first(text: str, tmp_path: Path) -> None:
    """The quick way and the interpreter say the same, for bytes in memory and on disk."""
    for body in (b'{"id": 1}', Blob(tmp_path / "x", 9, hashlib.sha256().hexdigest())):
        error = failure(text, body)
        assert "decode it first" in error.text
        assert str(error.facts["path"]).startswith("body")


def test_bytes_themselves_may_be_passed_on() -> None:
    """`body` alone is whatever it is."""
    assert value("body", b"x") == b"x"


class Lazy(Sequence[Any]):
    """Rows that count how often they are read."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows, self.reads = rows, 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        self.reads += 1
        return self.rows[index]


def test_lazy_rows_are_read_only_where_an_expression_looks_into_them() -> None:
    """`split: {items: body}` gets them as they are; projections and functions see a list."""
    rows = Lazy([{"a": 1}, {"a": 2}])
    assert value("body", rows) is rows
    assert rows.reads == 0
    assert value("body[*].a", rows) == [1, 2]
    assert value("body[?a > `1`] | [0].a", rows) == 2
    assert value("length(body)", rows) == 2
    assert value("sum(body[].a)", rows) == 3


# --- the quick way equals JMESPath ------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c"])
SIGNS = st.sampled_from(["==", "!=", "<", ">=", "&&", "||", "|"])
CALLS = st.sampled_from(["length", "to_array", "type", "keys", "not_null", "sum", "to_string"])
LITERALS = st.sampled_from(["`1`", "`0`", '`"x"`', "`null`", "`true`", "`false`", "`[]`", "`{}`", "`0.5`", "'x'", "''"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "x", "y"]) | st.sampled_from([0.5, 1.0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: ".".join(["body", *names]))
EXPRESSIONS = st.recursive(
    PATHS | LITERALS | st.just("body") | PATHS.map("{}[0]".format) | PATHS.map("{}[*].a".format),
    lambda inner: (
        st.tuples(inner, SIGNS, inner).map("({0[0]}) {0[1]} ({0[2]})".format)
        | inner.map("!({})".format)
        | st.tuples(CALLS, inner).map("{0[0]}({0[1]})".format)
        | inner.map("[{0}, {0}]".format)
        | inner.map("{{k: {}}}".format)
        | inner.map("[{}][]".format)
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, VALUES)
def test_every_expression_equals_jmespath(text: str, body: Any) -> None:
    """Closures or interpreter: the value is that of the reference, and where it fails, ours is a MappingFailed."""
    try:
        expected = jmespath.search(text, {"body": body})
    except (jmespath.exceptions.JMESPathTypeError, TypeError):
        with pytest.raises(MappingFailed):
            value(text, body)
        return
    made = value(text, body)
    assert (made, type(made)) == (expected, type(expected))


@given(st.lists(NAMES, min_size=1, max_size=3), VALUES)
def test_dotted_paths_need_no_interpreter(names: list[str], body: Any) -> None:
    """The commonest expressions are closures, and equal to JMESPath's."""
    text = ".".join(["body", *names])
    run = jmes.compiled(Expression(text)._tree)
    assert "_interpreted" not in run.__qualname__
    assert value(text, body) == jmespath.search(text, {"body": body})


LOOKED_INTO = VALUES | st.sampled_from([b"x", Lazy([{"a": 1}]), MappingProxyType({"a": Lazy([1]), "b": {"c": "x"}})])
ANY_PATH = st.tuples(
    st.sampled_from([*ROOTS, "nothing"]), st.lists(NAMES | st.sampled_from(["id", "hops", "route"]), max_size=3)
).map(lambda parts: ".".join([parts[0], *parts[1]]))


@given(ANY_PATH, LOOKED_INTO)
def test_a_plain_path_is_read_without_a_scope_as_with_one(text: str, part: Any) -> None:
    """Whatever the root and whatever stands there: the value, or the error and what it says, is the same."""
    whole = message(part, headers={"a": "h"}, item=part, parent={"a": part}, company={"id": "c"})

    def outcome(**extra: Any) -> Any:
        try:
            return Expression(text)(whole, **extra)
        except MappingFailed as error:
            return error.text, error.facts

    assert outcome() == outcome(unused=None)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_exact_numbers_compare_with_literals_and_add_up() -> None:
    """0.10 of a message equals 0.1 of an expression; sums of money are exact."""
    body = {"v": Decimal("0.10"), "l": [Decimal("0.10"), Decimal("0.20")]}
    assert value("body.v == `0.1`", body) is True
    assert value("body.v >= `0.1` && body.v <= `0.1`", body) is True
    assert value("body.l[?@ > `0.1`]", body) == [Decimal("0.20")]
    assert value("sum(body.l)", body) == Decimal("0.30")
    assert value("avg(body.l)", body) == Decimal("0.15")
    assert value("max(body.l)", body) == Decimal("0.20")
    assert value("type(body.v)", body) == "number"
    assert value("to_string(body.v)", body) == "0.10"
    assert value("to_number('0.10')") == Decimal("0.10")
    assert value("sort_by(body.l[*].{v: @}, &v)[1].v", body) == Decimal("0.20")


def test_text_and_number_have_no_order() -> None:
    """JMESPath's library breaks here; ours says what to do."""
    error = failure("body.sum > `100`", {"sum": "99"})
    assert "to_int()" in error.text
    assert error.facts["path"] == "body.sum"


# --- functions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_each_function_gives_its_result(name: str) -> None:
    """The reference page is generated from these."""
    function = FUNCTIONS[name]
    made = value(function.example, {"sum": 100}, headers={"x_source": "crm"})
    assert (made, type(made)) == (function.result, type(function.result))
    assert function.meaning
    assert function.signature.startswith(f"{name}(")


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if not function.nulls])
def test_null_in_null_out(name: str) -> None:
    """An optional field that is missing stays missing, whatever is done with it."""
    arguments = ", ".join(["body.x", *["body.x"] * (max(FUNCTIONS[name].least, 1) - 1)])
    assert value(f"{name}({arguments})", {}) is None


def test_the_few_functions_that_take_nulls_say_so() -> None:
    """Concat refuses them: a key or a name made of nothing would be wrong without a word."""
    assert value("default(body.x, 'n')", {"x": ""}) == "n"
    assert value("if(body.x, 'y', 'n')", {}) == "n"
    assert value("json(body.x)", {}) == "null"
    error = failure("concat('a-', body.x)", {})
    assert "default(" in error.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("to_int(body.t)", "a number"), ("to_int('1.5')", "whole number"), ("to_int(body.o)", "an object"),
        ("to_int(`true`)", "true or false"), ("to_decimal('1,5')", "a number"), ("to_decimal('1e999')", "size"),
        ("lower(`5`)", "not a number"), ("concat(body.o)", "an object"), ("pad('1', `20000`)", "width"),
        ("replace(body.t, '', 'x')", "empty"), ("split_text(body.t, '')", "separator"),
        ("divide(`1`, `0`)", "work out"), ("round('1.5', `99`)", "places"),
        ("date_format('23.11.2026', '%Y')", "date or time"),
        ("date_format('2026-11-23', '%999999d')", "pattern"), ("date_parse('2026-13-01', '%Y-%m-%d')", "form"),
        ("add_days('9999-12-31', `1`)", "count"), ("add_seconds('2026-11-23', `1e18`)", "count"),
        ("unbase64('***')", "Base64"), ("unbase64('/w==')", "Base64"), ("uuid5('x', 'y')", "namespace"),
        ("match(body.t, '(')", "regular expression"), ("match(body.t, '(?=x)')", "regular expression"),
        ("from_json('{')", "JSON"), ("from_json('NaN')", "NaN"), ("sum(body.t)", "array-number"),
        ("keys(body.t)", "object"),
    ],
)  # fmt: skip
def test_a_wrong_value_names_the_function_and_the_expression(text: str, reason: str) -> None:
    """Whoever reads the dead letter knows which call met what."""
    error = failure(text, {"t": "text", "o": {}})
    assert reason in error.text
    assert f"`{text}`" in error.text
    assert error.text.startswith(f"{text.partition('(')[0]}() ")
    assert error.facts["path"]


def test_an_error_shows_no_part_of_a_long_text() -> None:
    """A cut value could not be recognised and masked as sensitive."""
    secret = "Іван Іванович Іваненко, вулиця Хрещатик, 22, квартира 5"
    assert secret[:20] not in failure("to_int(body.t)", {"t": secret}).text


def test_dates_are_kyivs() -> None:
    """Also over the change of the clocks."""
    assert value("add_days('2026-10-24T12:00:00+03:00', `1`)") == "2026-10-25T12:00:00+02:00"
    assert value("add_seconds('2026-10-24T12:00:00+03:00', `86400`)") == "2026-10-25T11:00:00+02:00"
    assert value("date_parse('23.11.2026 10:05', '%d.%m.%Y %H:%M')") == "2026-11-23T10:05:00+02:00"
    assert value("date_format(now, '%H:%M')") == "01:30"


def test_header_takes_any_spelling() -> None:
    """Case, dashes, underscores; inside of projections too."""
    headers = {"idempotency_key": "k"}
    for spelling in ("Idempotency-Key", "IDEMPOTENCY_KEY", "idempotency-key"):
        assert value(f"header('{spelling}')", headers=headers) == "k"
    assert value("body[*].{id: @, key: header('Idempotency-Key')}", [1], headers=headers) == [{"id": 1, "key": "k"}]
    assert value("header('None')") is None


# --- bounds -----------------------------------------------------------------------------------------------------------

DOUBLING = {
    "texts": " | ".join(["concat(@, @)"] * 40).replace("concat(@, @)", "concat('aaaaaaaa', 'b')", 1),
    "joined texts": "['aaaaaaaa', 'aaaaaaaa'] | " + " | ".join(["[join('', @), join('', @)]"] * 60),
    "lists": " | ".join(["[@, @][]"] * 60).replace("[@, @][]", "[`1`, `2`]", 1),
    "trees": " | ".join(["[@, @]"] * 60),
    "objects": " | ".join(["{a: @, b: @}"] * 60),
    "trees as text": " | ".join(["[@, @]"] * 60) + " | to_string(@)",
    "trees as JSON": " | ".join(["[@, @]"] * 60) + " | json(@)",
    "replacements": "'aaaaaaaa' | " + " | ".join(["replace(@, 'a', 'aaaaaaaa')"] * 30),
    "visits": "body[?" + " || ".join(["@ == `-1`"] * 50) + "]",
}


@pytest.mark.parametrize("text", DOUBLING.values(), ids=DOUBLING.keys())
def test_an_expression_cannot_eat_time_or_memory(text: str) -> None:
    """What doubles at each step, or visits without end, is stopped in time."""
    started = time.monotonic()
    error = failure(text, list(range(30_000)))
    assert error.facts["path"]
    assert time.monotonic() - started < 10


def test_no_pattern_can_hang() -> None:
    """Nested quantifiers against their worst text are answered at once."""
    started = time.monotonic()
    for pattern in ("^(a+)+$", "(a|a)*b", "(.*)(.*)(.*)(.*)x", "^(([a-z])+.)+[A-Z]([a-z])+$"):
        assert value(f"match(body, '{pattern}')", "a" * 100_000 + "!") is False
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"), ("  ", "empty"), ("body.", "sign 6"), ("body..a", "sign 6"), ("a ~ b", "sign 3"),
        ("body.'x'", "sign 6"), ("!body.urgent", "!(…)"), ("!body.items[*].a", "!(…)"), ("!body.*", "!(…)"),
        ("`bare`", "'text'"),
        ("(" * 3000, "no expression"), ("!" * 100 + "a", "64 levels"), ("a" * 5000, "4096"), ("`{`", "no expression"),
        ("hedaer('x')", "did you mean `header()`"), ("trim()", "1 argument, not 0"),
        ("trim(a, b)", "1 argument, not 2"),
        ("pad(a)", "2 to 3 arguments, not 1"), ("concat()", "1 or more"), ("length(a, b)", "1 argument"),
        ("env:X", "sign 4"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_when_the_text_is_read(text: str, reason: str) -> None:
    """Syntax with its position, names and numbers of arguments: lint sees all of it."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        Expression(text)


@given(st.text(max_size=40) | EXPRESSIONS)
def test_any_text_is_an_expression_or_a_value_error(text: str) -> None:
    """Reading never breaks in another way."""
    try:
        Expression(text)
    except ValueError:
        return


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("body.a.b", {"body.a.b"}),
        ("header('X-Key')", {"headers.x_key"}),
        ("body.items[*].sum", {"body.items.sum"}),
        ("body.items[?sum > `1`].ref | [0]", {"body.items.ref"}),
        ("sum(body.items[].sum)", {"body.items.sum"}),
        ("sort_by(body.items, &sum)[0].ref", {"body.items"}),
        ("{a: body.a, b: message.id}", {"body.a", "message.id"}),
        ("concat(body.a, '-', now) == params.id || !(query.x)", {"body.a", "now", "params.id", "query.x"}),
        ("body.*.x", {"body.x"}),
        ("'text'", set()),
    ],
)
def test_the_paths_it_reads_are_known(text: str, paths: set[str]) -> None:
    """For lint: against schema, sample, and the keys of a `map` before."""
    assert Expression(text).paths() == paths
    assert Expression(text).roots() == {path.partition(".")[0] for path in paths}


# --- templates --------------------------------------------------------------------------------------------------------


def test_a_template_fills_in_expressions() -> None:
    """Texts, numbers in full digits, braces and quotes within expressions, and `$${` for itself."""
    whole = message({"n": Decimal("1E+2"), "t": True, "s": "a/b"}, params={"id": "7"})
    filled = {
        "plain": "plain", "": "", "appeals/${date}/${message.id}.xml": "appeals/2026-11-24/01hx.xml",
        "${params.id}": "7", "${body.n}-${body.t}": "100-true", "$${date} $5 ${'}'}": "${date} $5 }",
        "${{a: 'x'}.a}": "x", "${concat('`', \"body\".s)}": "`a/b",
    }  # fmt: skip
    assert {text: Template(text).fill(whole) for text in filled} == filled


def test_each_value_is_made_fit_for_its_place() -> None:
    """The written text is trusted, what comes from messages is encoded."""
    assert Template("in/${body}/x").fill(message("../a"), lambda text: text.replace("/", "%2F")) == "in/..%2Fa/x"


@pytest.mark.parametrize("body", [None, [], {}, b"x"])
def test_a_template_takes_texts_and_numbers_only(body: Any) -> None:
    """No path is ever made of `None` or of a list as Python shows it."""
    with pytest.raises(MappingFailed) as failed:
        Template("in/${body}.xml").fill(message(body))
    assert failed.value.facts["path"] == "body"


BROKEN = [("a/${date", "never closed"), ("a/${}", "sign 3"), ("${a.}", "sign 1"), ("${'}", "never closed")]


@pytest.mark.parametrize(("text", "reason"), BROKEN)
def test_a_broken_template_is_found_when_it_is_read(text: str, reason: str) -> None:
    """With the place within the text."""
    with pytest.raises(ValueError, match=reason):
        Template(text)


def test_extras_reach_the_expressions_of_a_template() -> None:
    """The same as for expressions."""
    template = Template("${status}: ${body.text}")
    assert template.fill(message({"text": "x"}), status=500, body={"text": "busy"}) == "500: busy"
    assert template.expressions == (Expression("status"), Expression("body.text"))


# --- as fields --------------------------------------------------------------------------------------------------------


class Model(BaseModel, strict=True, frozen=True):
    """A block of configuration."""

    when: Expression
    put: Template | None = None


def test_both_are_fields_of_configuration() -> None:
    """Made from text, kept as made, written back as text, equal and hashable by their text."""
    model = Model.model_validate({"when": "body.a", "put": "x/${date}"})
    assert model.when(message({"a": 1})) == 1
    assert model == Model(when=Expression("body.a"), put=Template("x/${date}"))
    assert hash(model) == hash(Model(when=Expression("body.a"), put=Template("x/${date}")))
    assert model.model_dump() == {"when": "body.a", "put": "x/${date}"}
    assert Model.model_json_schema()["properties"]["when"]["format"] == "expression"
    assert (repr(model.when), str(model.put)) == ("Expression('body.a')", "x/${date}")
    assert Expression("a") != Template("a")


@pytest.mark.parametrize("wrong", [{"when": "body."}, {"when": 5}, {"when": "a", "put": "${"}])
def test_a_wrong_field_is_a_finding(wrong: Any) -> None:
    """Pydantic reports it with its place in the block."""
    with pytest.raises(ValidationError):
        Model.model_validate(wrong)
