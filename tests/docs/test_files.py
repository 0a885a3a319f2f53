"""The configuration of docs/howto/files.md in a real gateway, with a stand-in for each of its partners."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipe.testing.partners import Bench, partners
from tests.docs import pages

__all__ = ["partners"]  # the fixture

pytestmark = [pytest.mark.journey, pytest.mark.timeout(240)]
PAGE = pages.ROOT / "docs" / "howto" / "files.md"
Starts = Callable[..., Bench]


def test_statements_and_receipts(partners: Starts, tmp_path: Path) -> None:
    """Each is taken once, put under the name that the page says, and moved away; the doctor finds all rungs."""
    (block,) = pages.blocks(PAGE, "yaml")
    config = tmp_path / "connections.yaml"
    config.write_text(block.text.replace("every: 30s", "every: 200ms").replace(".ready}", ".ready}, every: 200ms"))
    bench = partners(config)
    bench["ministry"].set("reset-after-send", "done=yes", "for=1")
    bench["bank"].offer("in/2026/січень.csv", b"1;2")
    bench["bank"].offer("receipts/7.xml", b"<Receipt/>")
    ((path, body),) = bench["ministry"].files(1).items()
    assert (path.startswith("виписки/20"), path.endswith("/січень.csv"), body) == (True, True, b"1;2")
    there = bench.wait(lambda: found if len(found := bench["bank"].files()) == 2 and _over(found) else None)
    assert there is not None
    (answer,) = [path for path in there if path.startswith("exchange/answers/")]
    assert there == {answer: b"<Receipt/>", "exchange/done/січень.csv": b"1;2"}
    for name in ("bank", "ministry"):
        told = bench.pipe("doctor", name, "--config", str(config))
        assert (told["well"], told["fails_at"]) == (True, None), told


def _over(found: dict[str, bytes]) -> bool:
    return not any(part in path for path in found for part in ("/in/", "/receipts/"))
