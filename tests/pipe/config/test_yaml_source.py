"""YAML without its surprises."""

from __future__ import annotations

from typing import Any

import pytest

from pipe.config.yaml_source import Node, read_yaml


def plain(node: Node) -> Any:
    """The values of a node."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    return [plain(child) for child in node.value] if isinstance(node.value, list) else node.value


def value_of(text: str) -> Any:
    """What `text` means as a value."""
    root, findings = read_yaml(f"key: {text}\n", "x.yaml")
    assert findings == []
    return plain(root)["key"]


@pytest.mark.parametrize(
    "text",
    [
        *("no", "No", "yes", "on", "off", "y", "n", "True", "FALSE", "Null", "NO"),
        *("0671234567", "0o17", "0x1F", "1_000", "+5", "007", "22:30", "1:2:3", "190:20:30"),
        *("2026-11-23", "2026-11-23T10:00:00Z", ".inf", "-.inf", ".nan", "1e5000", "9" * 19, "=", "5s", "50%"),
    ],
)
def test_what_other_yaml_readers_turn_into_something_else_stays_a_text(text: str) -> None:
    """Country codes, phone numbers, times and dates arrive as they are written."""
    assert value_of(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("true", True), ("false", False), ("null", None), ("~", None), ("", None)),
        *(("0", 0), ("-5", -5), ("380671234567", 380671234567), ("1.5", 1.5), ("-0.25", -0.25), ("1e3", 1000.0)),
        *(("'true'", "true"), ('"5"', "5"), ("''", ""), ("[1, a]", [1, "a"]), ("{a: {b: c}}", {"a": {"b": "c"}})),
    ],
)
def test_plain_values_mean_what_they_say(text: str, value: Any) -> None:
    """Only `true` and `false` are booleans; whole numbers and decimals are numbers; quotes make texts."""
    found = value_of(text)
    assert (found, type(found)) == (value, type(value))


def test_keys_are_texts_as_they_are_written() -> None:
    """`no:` and `1:` are keys of those letters."""
    root, findings = read_yaml("no: 1\n1: 2\n0671234567: 3\n", "x.yaml")
    assert (plain(root), findings) == ({"no": 1, "1": 2, "0671234567": 3}, [])


def test_every_value_and_key_knows_its_place() -> None:
    """Lines and columns count from 1, also inside of lists and of maps in one line."""
    root, _ = read_yaml("a:\n  - {b: 1,\n     c: [2, 3]}\n", "x.yaml")
    inner = root.items["a"].entries[0]
    assert (inner.keys["c"], inner.items["c"].entries[1].line, inner.items["c"].entries[1].column) == ((3, 6), 3, 13)
    assert str(inner.items["b"].place) == "x.yaml:2"


def test_several_mistakes_are_found_in_one_reading() -> None:
    """Duplicates, tags and merge keys do not hide one another."""
    _, findings = read_yaml("a: 1\na: 2\nb: !!str 3\n<<: {c: 1}\nd: {e: 1, e: 2}\n", "x.yaml")
    assert [(finding.line, finding.code) for finding in findings] == [
        (2, "duplicate-key"),
        (3, "not-allowed"),
        (4, "not-allowed"),
        (5, "duplicate-key"),
    ]


def test_a_duplicate_key_names_both_lines() -> None:
    """The reader sees which two stand against each other."""
    _, findings = read_yaml("a:\n  b: 1\n  c: 2\n  b: 3\n", "x.yaml")
    assert [str(finding) for finding in findings] == ["x.yaml:4: duplicate-key `b` stands here again; first on line 2"]


def test_an_alias_repeats_what_it_names() -> None:
    """Anchors are allowed where they stay few."""
    root, findings = read_yaml("a: &x {b: 1}\nc: *x\n", "x.yaml")
    assert (plain(root), findings) == ({"a": {"b": 1}, "c": {"b": 1}}, [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("a: &x 1\nb: [" + ", ".join(["*x"] * 51) + "]", "not-allowed", id="aliases"),
        pytest.param("a: " + "[" * 70 + "]" * 70, "not-allowed", id="depth"),
        pytest.param("a: " + "[" * 20000, "not-allowed", id="abyss"),
        pytest.param("a: '" + "x" * (1 << 20) + "'", "too-large", id="size"),
        pytest.param("a: \x00", "syntax", id="control"),
        pytest.param("a: \ud800", "syntax", id="surrogate"),
        pytest.param("a: *x", "syntax", id="anchor"),
        pytest.param("a: {b: 1", "syntax", id="end"),
        pytest.param("%YAML 9.9\n---\na: 1", "syntax", id="version"),
    ],
)
def test_what_could_harm_is_one_finding(text: str, code: str) -> None:
    """Bombs and broken bytes end the reading with a finding, quickly, and never with another exception."""
    _, findings = read_yaml(text, "x.yaml")
    assert [finding.code for finding in findings] == [code]
