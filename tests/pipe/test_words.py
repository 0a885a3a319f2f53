"""Words are cut the same way for what is indexed and for what is asked."""

from __future__ import annotations

import pytest

from pipe.words import LONGEST, Phrase, asked, leaves, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Зламаний ліфт, вул. Їжакевича 7-А!", ["зламаний", "ліфт", "вул", "їжакевича", "7", "а"]),
        ("й складене", ["й", "складене"]),
        ("+380 (67) 123-45-67", ["380", "67", "123", "45", "67"]),
        ("order_id=A1 STRASSE straße", ["order_id", "a1", "strasse", "strasse"]),
        ("зв'язок і зв’язок", ["зв", "язок", "і", "зв", "язок"]),
        ("*** — …", []),
        ("x" * 500, ["x" * LONGEST]),
    ],
)
def test_a_word_is_a_run_of_letters_and_digits(text: str, words: list[str]) -> None:
    """Of any script, without its case; signs composed of two are one."""
    assert words_of(text) == words


def test_what_is_asked() -> None:
    """All words, side by side within quotes, with any ending before a star; a quote that stays open ends with all."""
    assert asked('ліфт "не працює" вул* "кінець') == [
        Phrase(("ліфт",)),
        Phrase(("не", "працює")),
        Phrase(("вул",), open=True),
        Phrase(("кінець",)),
    ]
    assert asked('"" * ***') == []


def test_values_are_read_with_the_names_of_their_fields() -> None:
    """Depth does not matter; yes, no, nothing and bytes say nothing."""
    assert list(leaves({"a": [1, {"b": "x"}], "c": None, "d": True, "e": b"raw"})) == [
        "a",
        "1",
        "b",
        "x",
        "c",
        "d",
        "e",
    ]
