"""What people read of the gateway's own words is there in both languages; nothing new comes without its Ukrainian."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pipe import saying
from pipe.errors import PeerError, PipeError, Unreachable, every_error
from pipe.refusing import in_language, refused

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = (
    *(f"pipe/operations/{name}.py" for name in ("dead_letters", "editing", "resolving", "switching")),
    "monitoring/alerts/operations.py", "monitoring/drift/operations.py",
)  # fmt: skip
"""those whose refusals pages show beside the form"""
PLACES = ("adapters", "pipe", "monitoring", "web")


@pytest.mark.parametrize("kind", list(every_error()), ids=lambda kind: kind.code)
def test_every_error_has_its_cause_in_both_languages(kind: type[PipeError]) -> None:
    """A new code without its words is found here; what a partner did wrong has its cure, too."""
    for key in (f"ops.cause.{kind.code}", *([f"ops.cure.{kind.code}"] if issubclass(kind, PeerError) else [])):
        uk, en = (saying.say(key, language) for language in saying.LANGUAGES)
        assert re.search("[а-яіїєґ]", uk), f"{key} says nothing in Ukrainian"
        assert re.search("[a-z]", en)
        assert not re.search("[а-яіїєґ]", en)


def test_every_word_that_stands_for_a_cause_is_in_the_catalogue() -> None:
    """`Health("down", reason, "check_late")`: the third argument is an error's code or a word that is there."""
    found: set[str] = set()
    for place in PLACES:
        for path in (ROOT / place).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or ast.unparse(node.func) not in {"Health", "self._turn"}:
                    continue
                state = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
                if state in ("down", "degraded", "paused"):
                    assert len(node.args) > 2, f"{path.name}:{node.lineno}: no cause is named"
                    if isinstance(cause := node.args[2], ast.Constant):
                        found.add(str(cause.value))
    assert {"paused", "check_late", "certificate", "troubles"} <= found
    assert [word for word in sorted(found) if not saying.has(f"ops.cause.{word}")] == []


@pytest.mark.parametrize("path", OPERATIONS)
def test_what_an_operation_refuses_has_words_in_both_languages(path: str) -> None:
    """By `refused`, with a key that is in the catalogue; never a sentence of its own."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"BadRequest", "Conflict"}:
            raise AssertionError(f"{path}:{node.lineno} refuses in English only: use `refused`")
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "refused":
            assert saying.has(f"refused.{ast.literal_eval(node.args[1])}"), f"{path}:{node.lineno}"


def test_a_cause_is_said_with_what_exactly_happened() -> None:
    """Ukrainian first, the exact words in brackets; in English, and where no cause is known, these say it all."""
    said = "crm refused the connection"
    assert saying.because(Unreachable.code, said, "uk") == f"партнер недосяжний ({said})"
    assert saying.because(Unreachable.code, said, "en") == said
    assert saying.because("PIPE-9999", said, "uk") == said
    error = refused(PipeError, "never_again", route="pay")
    assert in_language(error, "uk") == "маршрут pay має replay: never, пізніше воно нічого не варте"
    assert in_language(error, "en") == error.text
