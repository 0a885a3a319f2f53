"""Tables, intervals and pictures say what was measured, and no more."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from benchmarks.bars import Bar, picture
from benchmarks.catalogue import PARTS
from benchmarks.measures import Measured
from benchmarks.profiling import Stack, bars_of, part_of, stacks_of
from benchmarks.report import BEGIN, END, PAGE, race_table, written
from benchmarks.resampled import ratio


def test_ratios_are_taken_within_a_round() -> None:
    """A slow moment of the machine slows both sides of a ratio."""
    rounds = {"base": [Measured(100, 1, 2), Measured(50, 1, 2)], "x": [Measured(200, 3, 4), Measured(100, 3, 4)]}
    row = race_table(rounds, "base").splitlines()[-1]
    assert row == "| x | 100–200 | 3.0 | 4.0 | 2.00 | 2.00 | 2.00 (2.00–2.00) |"


def test_what_could_not_be_measured_has_a_row_that_says_why() -> None:
    """A subject does not vanish without a word."""
    text = race_table({"base": [Measured(100, 1, 2)]}, "base", {"Node-RED": "npm is not installed"})
    assert text.splitlines()[-1].startswith("| Node-RED | npm is not installed |")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 1000), st.floats(1, 1000)), min_size=1, max_size=8))
def test_an_interval_holds_its_mean_and_lies_within_the_ratios(pairs: list[tuple[float, float]]) -> None:
    """Whatever was measured; the same figures give the same interval."""
    found = ratio(pairs, resamples=200)
    ratios = [one / other for one, other in pairs]
    assert min(ratios) * 0.999 <= found.low <= found.mean * 1.001
    assert found.mean * 0.999 <= found.high <= max(ratios) * 1.001
    assert ratio(pairs, resamples=200) == found


def test_an_interval_of_no_difference_holds_one() -> None:
    """Noise around 1 is not sold as a gain, nor 20 % as noise."""
    noise = [(100, 103), (103, 100), (99, 101), (102, 100), (100, 99)]
    assert ratio(noise).low < 1 < ratio(noise).high
    assert ratio([(one * 1.2, other) for one, other in noise]).low > 1.1


def test_an_interval_leaves_out_the_rarest_repetitions() -> None:
    """One odd pair of twenty is drawn more than three times in fewer than 25 of 1,000 repetitions."""
    odd = [(1.0, 1.0)] * 19
    assert ratio([*odd, (2.0, 1.0)]).high == pytest.approx(2 ** (3 / 20))
    assert ratio([*odd, (1.0, 2.0)]).low == pytest.approx(2 ** (-3 / 20))


def test_the_page_is_rewritten_between_the_marks_of_a_part_only() -> None:
    """Twice gives the same."""
    mark, other = BEGIN.format("one"), BEGIN.format("two")
    page = f"before\n{other}\nkept\n{END}\n{mark}\nold\n{END}\nafter\n"
    once = written(page, "one", "new")
    expected = f"before\n{other}\nkept\n{END}\n{mark}\n\nnew\n\n{END}\nafter\n"
    assert (once, written(once, "one", "new")) == (expected, once)


def test_a_page_without_marks_is_left_alone() -> None:
    """Better no result than a spoilt page."""
    with pytest.raises(ValueError, match="has no"):
        written("text", "one", "new")


def test_every_part_has_its_place_on_the_page() -> None:
    """What takes minutes to measure must not fail at the end."""
    page = PAGE.read_text(encoding="utf-8")
    assert [page.count(BEGIN.format(part.name)) for part in PARTS] == [1] * len(PARTS)


RAW = """\
thread (7): MainThread;run (/x/lib/python3.11/asyncio/runners.py:1);Door.accept (pipe/door.py:5) 6
thread (7): MainThread;run (asyncio/runners.py:1);Station.handle (pipe/stations/x.py:1);dumps (json/encoder.py:9) 2
thread (7): MainThread;run (asyncio/runners.py:1) 2
thread (8): pipe-writer;Writer._run (pipe/store/writer.py:1);Writer._commit (pipe/store/writer.py:2) 50
thread (8): pipe-writer;Writer._run (pipe/store/writer.py:1) 900
"""


def test_a_sample_belongs_to_the_innermost_part_and_idle_ones_to_none() -> None:
    """What a library does is its caller's."""
    stacks = list(stacks_of(RAW))
    assert [(part_of(stack), stack.times) for stack in stacks] == [
        ("door", 6),
        ("station", 2),
        ("event loop", 2),
        ("store", 50),
    ]


def test_shares_follow_the_processor_not_the_number_of_samples() -> None:
    """A thread that waits for the disk is seen often and costs little."""
    bars = bars_of(list(stacks_of(RAW)), {7: 3.0, 8: 1.0})
    assert {bar.name: round(bar.share, 2) for bar in bars} == {
        "door": 0.45,
        "station": 0.15,
        "event loop": 0.15,
        "store": 0.25,
    }


def test_a_sample_of_unknown_code_is_other() -> None:
    """Nothing is left out of the whole."""
    assert part_of(Stack(1, (("run", "asyncio/runners.py"), ("odd", "somewhere/else.py")), 1)) == "other"


def test_the_picture_is_xml_with_a_bar_for_each_part() -> None:
    """Names of functions hold signs that XML does not take as they are."""
    root = etree.fromstring(picture("A <title>", 400, [Bar("a", 0.75, ["f.<locals>.g"]), Bar("b", 0.25)]).encode())
    widths = [int(rect.attrib["width"]) for rect in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert widths[0] == pytest.approx(3 * widths[1], abs=2)
    assert "300 µs · 75%" in "".join(root.itertext())
