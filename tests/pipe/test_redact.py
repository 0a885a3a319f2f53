"""What is sensitive is masked wherever and however it is written."""

from __future__ import annotations

import html
import json
import re
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.redact import MASK, Shield, _folded, mask

VALUE = 'Олена "Оля" <О\'Коваль> & +380'


@pytest.mark.parametrize(
    "text",
    [
        VALUE,
        json.dumps({"name": VALUE}),
        json.dumps({"name": VALUE}, ensure_ascii=False),
        f"<Name>{html.escape(VALUE)}</Name>",
        f"/search?q={quote_plus(VALUE)}",
        f"422: {VALUE} is unknown",
    ],
)
def test_a_value_is_masked_however_it_is_written(text: str) -> None:
    """Plain, as JSON, as XML, in an address, within a sentence."""
    masked = mask(text, [VALUE])
    assert MASK in masked
    assert "Олена" not in masked
    assert "041e" not in masked.lower()
    assert "%d0%9e" not in masked.lower()


def test_plain_values_are_gone_through() -> None:
    """Objects with their names, lists, bytes, numbers; what is not sensitive stays as it is."""
    given_ = {"phone": ["380671234567", 380671234567, b"tel 380671234567"], "380671234567": None, "n": 5, "yes": True}
    assert mask(given_, ["380671234567"]) == {"phone": [MASK, MASK, b"tel ***"], MASK: None, "n": 5, "yes": True}


def test_a_short_value_is_masked_only_where_it_stands_alone() -> None:
    """Or every text would be full of holes."""
    assert mask("a cat sat at 12, not 123", ["at", "12"]) == "a cat sat *** ***, not 123"


def test_the_longest_value_wins() -> None:
    """A part of a value does not unmask the rest."""
    assert mask("+380671234567", ["+38067", "+380671234567"]) == MASK


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: basic ***"),
        ("postgresql://pipe:hunter22@db/pipe", "postgresql://***@db/pipe"),
        ('{"password": "hunter22", "n": 1}', '{"password": "***", "n": 1}'),
        ("api_key=abcdef&x=1", "api_key=***&x=1"),
        ("pipe_abcdefghijklmnopqrstuvwxyz012345", "***"),
        ("https://api.example/bot123456789:AAabcdefghijklmnopqrstuvwxyz0123456/send", "https://api.example/***/send"),
        ("the token was refused", "the token was refused"),
        ("http://127.0.0.1:8080/ready", "http://127.0.0.1:8080/ready"),
    ],
)
def test_secrets_are_known_by_their_shape(text: str, expected: str) -> None:
    """Keys and passwords that nobody declared; ordinary words and addresses stay."""
    assert mask(text) == expected


def test_no_sign_that_a_pattern_takes_for_a_letter_hides_a_secret() -> None:
    """A text is only looked at for a kind of secrets where it holds a word of it: in whatever case, of any script."""
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    for letter in "abcdefghijklmnopqrstuvwxyz":
        same = re.findall(letter, every, re.IGNORECASE)
        assert {letter, letter.upper()} <= set(same)
        assert [sign for sign in same if letter not in _folded(sign)] == []
    assert mask("BAſİC abcdefgh, PAſſWORD=abc, paſſwd: x, ſecret=1, apı_key=5, toKen aaaaaaaa") == (
        "BAſİC ***, PAſſWORD=***, paſſwd: ***, ſecret=***, apı_key=***, toKen ***"
    )


@given(
    st.text(min_size=4, max_size=30).filter(lambda text: text.strip() == text),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_no_value_of_four_signs_survives(value: str, before: str, after: str) -> None:
    """Whatever stands around it."""
    assert value not in mask(before + value + after, [value]).replace(MASK, "")


def test_the_shield_masks_as_long_as_a_message_is_in_work() -> None:
    """Two messages with the same value: the first to end does not unmask the second."""
    shield = Shield()
    with shield.over(["380671234567"]):
        with shield.over(["380671234567"]):
            assert shield.mask("380671234567") == MASK
        assert shield.mask("380671234567") == MASK
    assert shield.mask("380671234567") == "380671234567"
