"""Charts and the picture of routes, as numbers."""

from __future__ import annotations

from dataclasses import replace

from web.ops.charts import chart, path, round_up
from web.ops.flow import MOST, Out, Way, flow


def test_a_picture_shows_what_is_ill_and_tells_how_much_it_leaves_out() -> None:
    """Three hundred routes make a picture of a few; each line begins at a source and ends at a target."""
    ways = [Way(f"r{n:03}", f"s{n % 7}", "connection", n, (Out("t", "connection", n, 0, ""),)) for n in range(300)]
    ways[0] = Way("r000", "s0", "connection", 0, (Out("broken", "connection", 0, 5, "down"),))
    drawn = flow(ways)
    assert (len(drawn.nodes), drawn.more) == (MOST, 300 - MOST)
    assert "r000" in {node.name for node in drawn.nodes}
    assert [pipe.state for pipe in drawn.outs if pipe.state] == ["down"]
    assert all(node.y >= 0 and node.y + node.height <= drawn.height for node in drawn.nodes)
    assert flow([]).nodes == []
    still = Way("still", "s", "connection", 0, (Out("t", "connection", 0, 0, ""),))
    drawn = flow([*ways[:3], still, replace(still, route="stands")])
    assert ({node.name for node in drawn.nodes}, drawn.more) == ({"r000", "r001", "r002", "stands"}, 1)
    assert [node.name for node in flow([still]).nodes] == ["still"]


def test_a_chart_has_gaps_where_nothing_is_known() -> None:
    """No line is drawn over what nobody measured, and a single point is still seen."""
    assert path([1.0, None, 2.0, 2.0], 2.0) == "M0 50.0M2 0.0h.01L3 0.0"
    assert [round_up(value) for value in (0, 1, 3, 7, 12, 450)] == [1, 1, 5, 10, 20, 500]
    made = chart([[0.0, 4.0], [None, None]])
    assert (made.top, made.width, made.lasts[1]) == (5.0, 1, 1.0)
