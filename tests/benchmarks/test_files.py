"""What is measured of files is the copying of whole files, by everybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import adapters_files
from benchmarks.bare_files import BareFolder
from benchmarks.optional import Missing
from benchmarks.options import Options
from benchmarks.our_files import Ours
from benchmarks.race_files import measured
from tests.adapters.files_bench import FolderPlace


@pytest.mark.debian
def test_every_place_and_way_has_a_row() -> None:
    """With files of 2 MiB it is the same table; a file that did not come whole would end it."""
    try:
        text = adapters_files.adapters_files(Options(rounds=1), 2 << 20)
    except Missing as why:
        pytest.skip(str(why))
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")][1:]
    assert rows == [f"{name}, {way}" for name, *_ in adapters_files.KINDS for way in ("put", "take")]


async def test_who_does_half_the_work_is_found_out(tmp_path: Path) -> None:
    """A fast copy that is not whole must not win."""
    place = FolderPlace(tmp_path / "place")
    bare = await BareFolder(place, tmp_path, 1 << 20).start()
    bare.size *= 2
    with pytest.raises(AssertionError):
        await measured(bare, "put")
    ours = await Ours(place, tmp_path, 2 << 20).start()
    (ours.disk / "in" / "take").mkdir()
    with pytest.raises(OSError, match="directory"):
        await measured(ours, "take")
    await ours.stop()
