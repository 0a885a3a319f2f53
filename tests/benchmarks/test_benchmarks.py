"""The load, the backend and the tables do what the page says of them."""

from __future__ import annotations

import json
import urllib.request

import pytest

from benchmarks import subjects
from benchmarks.load import BODY
from benchmarks.report import BEGIN, END, Measured, table, written


def test_the_body_is_about_one_kibibyte() -> None:
    """So says the page."""
    assert 1000 <= len(BODY) <= 1060


@pytest.mark.parametrize("generator", ["own", "wrk"])
def test_the_backend_counts_what_the_load_sends(monkeypatch: pytest.MonkeyPatch, generator: str) -> None:
    """Our own generator waits for every answer; wrk leaves at most one a connection behind."""
    if generator == "wrk" and not subjects.WRK:
        pytest.skip("wrk is not installed")
    monkeypatch.setattr(subjects, "WRK", subjects.WRK if generator == "wrk" else "")
    with subjects.server("benchmarks.backend") as backend:
        load = subjects.loaded(backend, 1)
        count = subjects.asked(backend)["count"]
    assert load.answered > 100
    assert 0 <= count - load.answered <= (subjects.CONNECTIONS if generator == "wrk" else 0)
    assert 0 < load.p50 <= load.p99


def test_the_bare_proxy_reaches_the_backend() -> None:
    """The base of all ratios does what it is said to do."""
    with (
        subjects.server("benchmarks.backend") as backend,
        subjects.server("benchmarks.bare", "proxy", backend) as proxy,
    ):
        load = subjects.loaded(proxy, 1)
        assert subjects.asked(backend)["count"] >= load.answered > 0


def test_broken_xml_is_noticed_by_the_backend() -> None:
    """A fast gateway that delivers rubbish must not win."""
    with subjects.server("benchmarks.backend") as backend:
        for body in (b"<Appeal></Appeal>", b"<Appeal><Text>", json.dumps({}).encode()):
            urllib.request.urlopen(backend, data=body).close()
        assert subjects.asked(backend)["bad"] == 1


def test_ratios_are_taken_within_a_round() -> None:
    """A slow moment of the machine slows both sides of a ratio."""
    rounds = {"base": [Measured(100, 1, 2), Measured(50, 1, 2)], "x": [Measured(200, 3, 4), Measured(100, 3, 4)]}
    assert table(rounds, "base").splitlines()[-1] == "| x | 100–200 | 3.0 | 4.0 | 2.00 | 2.00 |"


def test_the_page_is_rewritten_between_its_marks_only() -> None:
    """Twice gives the same."""
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = written(page, "new")
    assert (once, written(once, "new")) == (f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n", once)


def test_a_page_without_marks_is_left_alone() -> None:
    """Better no result than a spoilt page."""
    with pytest.raises(ValueError, match="has no"):
        written("text", "new")
