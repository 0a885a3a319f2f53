"""Path patterns: what they match, in which order, and what no path may hold."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adapters.http_paths import PathTable, Pattern, decoded_segments
from pipe.errors import BadRequest

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=10)


@given(TEXT)
def test_named_segment_gets_the_text_that_was_encoded(text: str) -> None:
    """Decoded once and whole, slashes and percent signs included."""
    assume(text not in {".", ".."})
    table: PathTable[str] = PathTable()
    table.add(Pattern.parse("/p/{id}/x"), "GET", "endpoint")
    match = table.find(f"/p/{quote(text, safe='')}/x")
    assert match is not None
    endpoint, names = match.methods["GET"]
    assert (endpoint, match.params(names)) == ("endpoint", {"id": text})


@given(st.text(max_size=40))
def test_any_path_is_matched_or_refused_and_never_breaks(path: str) -> None:
    """Whatever comes, there is an answer, and what is matched holds no dot segments."""
    table: PathTable[str] = PathTable()
    table.add(Pattern.parse("/{rest:path}"), "GET", "endpoint")
    try:
        match = table.find(f"/{path}")
    except BadRequest:
        return
    assert match is None or not {"", ".", ".."} & set(decoded_segments(f"/{path}"))


def test_double_encoding_is_decoded_once() -> None:
    """`%252e%252e` is the text `%2e%2e`, not a way up."""
    assert decoded_segments("/%252e%252e") == ["%2e%2e"]


def test_encoded_literal_is_the_same_address() -> None:
    """A pattern with letters outside ASCII is met however the client encodes it."""
    table: PathTable[str] = PathTable()
    table.add(Pattern.parse("/заява"), "POST", "endpoint")
    assert table.find("/" + quote("заява")) is not None


def test_second_route_of_one_shape_and_method_is_told() -> None:
    """The first stays."""
    table: PathTable[str] = PathTable()
    assert table.add(Pattern.parse("/p/{id}"), "GET", "first")
    assert table.add(Pattern.parse("/p/{id}"), "PUT", "another method")
    assert not table.add(Pattern.parse("/p/{number}"), "GET", "second")
    match = table.find("/p/1")
    assert match is not None
    assert match.methods["GET"] == ("first", ("id",))


@pytest.mark.parametrize("path", ["/", ""])
def test_root_is_a_path_without_segments(path: str) -> None:
    """`path: /` is served at `/pipe`."""
    table: PathTable[str] = PathTable()
    table.add(Pattern.parse("/"), "POST", "endpoint")
    assert table.find(path) is not None
