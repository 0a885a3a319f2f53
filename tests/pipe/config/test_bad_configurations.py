"""Every kind of mistake, as a file whose first line holds the line, code and part of the text of its finding."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipe.config.findings import CODES, ConfigInvalid, Finding
from pipe.config.lint import lint
from tests.pipe.config.fakes import ADAPTERS, load_file

BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))
_PLACE_OF_SECRET = {"secret-missing", "unused-connection"}


def findings_of(path: Path) -> list[Finding]:
    """What loading finds; where it finds nothing, what lint finds."""
    try:
        return lint(load_file(path), adapters=ADAPTERS)
    except ConfigInvalid as error:
        return error.findings


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_mistake_is_found_with_its_line_its_code_and_advice(path: Path) -> None:
    """The finding stands in the expected line with the expected code, and says what was meant."""
    expected = re.match(r"# (\d+): ([a-z-]+)(?:: (.*))?", path.read_text(encoding="utf-8").splitlines()[0])
    assert expected is not None
    line, code, text = int(expected[1]), expected[2], expected[3] or ""
    found = findings_of(path)
    assert [
        finding
        for finding in found
        if (finding.file, finding.line, finding.code) == (path.name, line, code) and text in finding.text
    ], "\n".join(str(finding) for finding in found)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_one_mistake_makes_no_echo(path: Path) -> None:
    """A file with one mistake has findings of one code, apart from the secrets that no test sets."""
    codes = {finding.code for finding in findings_of(path)}
    expected = path.read_text(encoding="utf-8").splitlines()[0].split(": ")[1].split(":")[0]
    assert codes - (_PLACE_OF_SECRET - {expected}) == {expected}


def test_every_code_is_explained_and_every_explained_code_is_shown_by_a_file() -> None:
    """The list of codes neither lacks one nor keeps one that nothing produces."""
    shown = {path.read_text(encoding="utf-8").splitlines()[0].split(": ")[1].split(":")[0] for path in BAD}
    assert set(CODES) == shown


def test_all_mistakes_come_at_once() -> None:
    """Mistakes in the syntax of one file, in another file and in several routes are reported together."""
    with pytest.raises(ConfigInvalid) as caught:
        load_file(Path(__file__).parent / "many" / "connections.yaml")
    assert [(finding.file, finding.line, finding.code) for finding in caught.value.findings] == [
        ("connections.yaml", 5, "duplicate-key"),
        ("connections.yaml", 6, "unknown-type"),
        ("connections.yaml", 9, "unknown-connection"),
        ("connections.yaml", 10, "bad-value"),
        ("flows/routes.yaml", 3, "unknown-step"),
    ]
