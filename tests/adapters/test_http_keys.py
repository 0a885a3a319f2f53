"""API keys: made, recognised, taken back."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.http_keys import is_well_formed, issue, parse, revoke, verify
from pipe.errors import ConfigError

NOW = 1_800_000_000.0


def test_issued_key_is_known_by_its_line_alone() -> None:
    """The line holds a hash; the key itself is in nobody's file."""
    key, line = issue("kyiv", date(2030, 1, 1))
    assert verify(line, key, NOW) == "kyiv"
    assert verify(line, key + "x", NOW) is None
    assert key not in line
    assert (key[:5], line[-11:]) == ("pipe_", ":2030-01-01")


def test_no_two_keys_are_alike() -> None:
    """256 bits of chance each."""
    assert len({issue("a")[0] for _ in range(100)}) == 100


@given(st.integers(0, 52), st.sampled_from("abcXYZ019-_"))
def test_checksum_tells_a_mistyped_key(place: int, sign: str) -> None:
    """A scanner knows a whole key of ours from one with a wrong sign."""
    key, _ = issue("a")
    index = 5 + place % (len(key) - 5)
    mistyped = key[:index] + sign + key[index + 1 :]
    assert is_well_formed(key)
    assert is_well_formed(mistyped) == (mistyped == key)


@pytest.mark.parametrize("text", ["", "pipe_", "pipe_!!!", "key", "pipe_AAAA", "Zm9v"])
def test_other_texts_are_no_keys_of_ours(text: str) -> None:
    """Prefix, length and checksum must all fit."""
    assert not is_well_formed(text)


def test_revoking_takes_a_name_or_one_of_its_keys() -> None:
    """Comments and other names stay as they are."""
    (old, old_line), (new, new_line), (_, other) = issue("a"), issue("a"), issue("b")
    text = f"# partners\n{old_line}\n\n{new_line} # since May\n{other}\n"
    left, gone = revoke(text, "a", parse(old_line)[0].digest[:8])
    assert (verify(left, old, NOW), verify(left, new, NOW), gone) == (None, "a", 1)
    assert revoke(text, "a") == (f"# partners\n\n{other}\n", 2)
    assert revoke(text, "c") == (text, 0)


@pytest.mark.parametrize("line", ["secret", "a:b", "a:" + "g" * 64, "a:" + "0" * 64 + ":2030-13-01", "a b:" + "0" * 64])
def test_bad_line_is_named_by_its_number_and_not_shown(line: str) -> None:
    """It may be a key in clear that somebody put there."""
    with pytest.raises(ConfigError, match="line 3") as caught:
        parse(f"# one\n\n{line}\n")
    assert line not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a:b", "a b", "a\n", "-a", "#a", "x" * 129])
def test_bad_name_is_refused(name: str) -> None:
    """A name must not break its line."""
    with pytest.raises(ValueError, match="name of a key"):
        issue(name)
