"""Every part of `./dev bench` runs, with a few hundred messages: what is measured once a month must not rot."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import access as access_part
from benchmarks import access_world, node_red, subjects
from benchmarks import ops as ops_part
from benchmarks.__main__ import main
from benchmarks.adapters_mqtt import adapters_mqtt
from benchmarks.adapters_soap import ALONE, ROUTE, ZEEP, adapters_soap
from benchmarks.backlog import finished, pending
from benchmarks.bodies import body, csv
from benchmarks.catalogue import PARTS, chosen
from benchmarks.costs import cost
from benchmarks.dead_partner import dead_partner
from benchmarks.optional import Missing
from benchmarks.options import Options
from benchmarks.profiling import profile
from benchmarks.shapes import routes
from benchmarks.storm import storm
from benchmarks.throughput import throughput

pytestmark = pytest.mark.timeout(300)  # a part starts up to five gateways
SMALL = Options(rounds=1, seconds=0.2, waiting=200, pending=300, finished=300, rows=700, shown=5000, starts=1, pairs=1)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrk takes whole seconds only, our own load less."""
    monkeypatch.setattr(subjects, "WRK", "")


def rows_of(text: str) -> dict[str, list[str]]:
    """The rows of all tables of a part, by their first cell."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {cells[0]: cells[1:] for cells in rows}


def number(cell: str) -> float:
    """The first number of a cell."""
    found = re.search(r"[-+]?[0-9][0-9,]*(\.[0-9]+)?", cell)
    assert found is not None, f"no number in {cell!r}"
    return float(found[0].replace(",", ""))


def test_the_table_holds_the_gateway_beside_bare_aiohttp() -> None:
    """All subjects with their ratio; only what was asked for, and the base."""
    rows = rows_of(throughput(Options(rounds=1, seconds=0.2, only=("accept", "full"))))
    names = ["bare aiohttp proxy, not durable", "PIPE, accepted and fsynced", "PIPE, durable, JSON to XML, delivered"]
    assert [*rows][2:] == names
    assert [number(rows[name][3]) > 0 for name in names] == [True] * 3


def test_soap_out_stands_beside_bare_zeep() -> None:
    """The adapter alone and a durable route, each with its ratio and its processor."""
    rows = rows_of(adapters_soap(SMALL))
    assert list(rows)[2:] == [ZEEP, ALONE, ROUTE]
    assert [number(cell) > 0 for name in (ZEEP, ALONE, ROUTE) for cell in rows[name]] == [True] * 12


def test_decisions_stand_beside_cedars_and_lists_beside_lists_without_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both engines decide every question alike, or it raises; a small organisation and a short list will do."""
    monkeypatch.setattr(access_world, "PEOPLE", 200)
    monkeypatch.setattr(access_part, "ASKED", 300)
    monkeypatch.setattr(access_part, "LISTED", 3000)
    rows = rows_of(access_part.access(SMALL))
    assert number(rows["PIPE ÷ cedarpy"][0]) > 1
    assert number(rows["all 3,000 rows"][2]) > 0


def test_each_shape_of_a_route_stands_beside_the_plain_one() -> None:
    """Order, targets and sync deliver what they accept."""
    rows = rows_of(routes(Options(rounds=1, seconds=0.2, only=("ordered-100", "targets", "sync"))))
    assert len(rows) == 2 + 4
    assert number(rows["three targets"][3]) > 0


def test_a_storm_delivers_all_that_waited() -> None:
    """The partner goes and comes back in each round."""
    rows = rows_of(storm(SMALL))
    assert number(rows["200 waiting, partner back"][3]) > 0


def test_a_gateway_with_much_pending_stands_beside_an_empty_one() -> None:
    """It restarts, works on another route, and drains what waits."""
    rows = rows_of(pending(SMALL))
    assert number(rows["restart to ready, s"][1]) > 0
    assert number(rows["the waiting ones, deliveries a second"][2]) > 0


def test_a_gateway_with_much_finished_stands_beside_an_empty_one() -> None:
    """The cost of a message on both."""
    rows = rows_of(finished(SMALL))
    assert number(rows["processor a message, µs"][0]) > 0
    assert number(rows["300 finished"][3]) > 0


def test_every_page_of_operations_is_asked_and_twenty_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its time and size; what was found is more than an empty page."""
    monkeypatch.setattr(ops_part, "STALE_S", 0)
    rows = rows_of(ops_part.ops(SMALL))
    asked = {name: cells for name, cells in rows.items() if name.startswith(("page: ", "search: "))}
    assert len(asked) == 51
    assert all(number(cells[0]) > 0 < number(cells[2]) for cells in asked.values())
    size = {name: number(cells[3]) for name, cells in asked.items()}
    for much, little in (
        ("by code", "by a code that nothing has"),
        ("by order key", "by an order key that nothing has"),
    ):
        assert size[f"search: {much}"] > size[f"search: {little}"]
    assert number(rows["processor a message, µs"][0]) > 0


def test_a_body_of_ten_megabytes_passes() -> None:
    """Both ways within 40 MiB; as it came it is never held as a whole."""
    as_it_came, as_xml, small_objects = list(rows_of(body(SMALL)).values())[2:]
    assert max(map(number, as_it_came)) < 15
    assert max(map(number, as_xml)) < 40
    assert len(small_objects) == 3


def test_a_table_is_split_and_each_row_delivered() -> None:
    """More than one commit's worth of rows."""
    (cells,) = [cells for name, cells in rows_of(csv(SMALL)).items() if name == "0.0"]
    assert number(cells[1]) > 0


def test_a_dead_partner_is_held_against_a_living_one() -> None:
    """Hanging and refusing, each with an interval."""
    rows = rows_of(dead_partner(SMALL))
    assert [number(cells[1]) > 0 for name, cells in rows.items() if name.startswith(("hangs", "refuses"))] == [True] * 2


def test_the_cost_of_a_message_is_told_by_its_parts() -> None:
    """A message takes two units of work; its row is larger than its body."""
    rows = rows_of(cost(SMALL))
    assert number(rows["processor, µs"][0]) >= number(rows["of it the event loop"][0]) > 0
    assert number(rows["units of work a commit"][0]) >= number(rows["messages a commit"][0]) >= 0.5
    assert number(rows["bytes on disk"][0]) > number(rows["of it the body as it came"][0])


@pytest.mark.debian
def test_mqtt_in_is_held_against_paho_alone() -> None:
    """All that waited at the broker is taken by both; `adapters` names every such part."""
    rows = rows_of(adapters_mqtt(SMALL))
    assert number(rows["PIPE, each message on disk before its PUBACK"][3]) > 0
    assert number(rows["paho alone, nothing stored"][1]) > 0
    assert ("adapters-mqtt", ()) in [(part.name, only) for part, only in chosen(["adapters"])]


SAMPLER = """#!{python}
import sys
given = {{word: sys.argv[at + 1] for at, word in enumerate(sys.argv) if word in ("--pid", "--output")}}
with open(given["--output"], "w") as raw:
    raw.write(f"thread ({{given['--pid']}}): MainThread;RouteDoor.accept ({root}/pipe/door.py:5) 3\\n")
"""
"""what py-spy does, as far as we use it; py-spy itself stays out of the lock"""


def test_the_profile_is_drawn_of_what_the_sampler_saw(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The picture lies beside the page, and the page's words name the shares."""
    sampler = tmp_path / "py-spy"
    sampler.write_text(SAMPLER.format(python=sys.executable, root=subjects.ROOT))
    sampler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    picture = tmp_path / "profile.svg"
    text = profile(replace(SMALL, picture=picture))
    assert "door" in picture.read_text(encoding="utf-8")
    assert text.endswith("µs of processor: door 100%](profile.svg)")


def test_without_a_sampler_the_command_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And measures nothing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["profile", "--no-write"]) == 2
    assert "pip install py-spy" in capsys.readouterr().err


@pytest.mark.parametrize(("tool", "why"), [("node", "Node.js is not installed"), ("npm", "npm is not installed")])
def test_node_red_is_missing_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tool: str, why: str
) -> None:
    """Its row says it."""
    monkeypatch.setattr("benchmarks.node_red.shutil.which", lambda name: None if name == tool else f"/bin/{name}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Missing, match=why):
        node_red.installed()


def test_names_are_parts_or_subjects_of_a_race() -> None:
    """No name means the table; subjects are measured alone."""
    assert [(part.name, only) for part, only in chosen([])] == [("throughput", ())]
    assert [(part.name, only) for part, only in chosen(["sync", "full"])] == [
        ("throughput", ("full",)),
        ("routes", ("sync",)),
    ]
    assert len(chosen(["all"])) == len(PARTS)


def test_a_name_that_nothing_has_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is measured."""
    assert main(["thoughput"]) == 2
    assert "did you mean `throughput`?" in capsys.readouterr().err


def test_the_list_names_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    """With what it measures."""
    assert main(["--list"]) == 0
    told = capsys.readouterr().out
    assert [part.name for part in PARTS if f"{part.name} " not in told] == []
