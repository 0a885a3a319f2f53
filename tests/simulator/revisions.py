"""The configurations that a simulated gateway takes up, and the flows that they name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pipe.app import as_bytes
from pipe.config.checked import check
from pipe.config.loader import load
from pipe.config.models import Configuration
from pipe.contract import Message, Transaction, step
from pipe.engine import Catalogue
from tests.simulator.partners import ADAPTERS
from transformers import TRANSFORMERS

FILE = Path(__file__).with_name("gateway.yaml")
_CHANGES: dict[str, tuple[tuple[str, str], ...]] = {
    "first": (),
    "reconnected": (
        ("b: {type: simulated, concurrency: 4", "b: {type: simulated, concurrency: 2"),
        ("a: {type: simulated, concurrency: 3", "a: {type: simulated, concurrency: 5"),
    ),
    "patient": (("{attempts: 4, first: 500ms", "{attempts: 6, first: 300ms"), ("hold: 1m", "hold: 50s")),
    "shortened": (("      - {connection: c, put: two/c}\n", ""),),
}
"""what each revision says otherwise than the first"""
NAMES = tuple(_CHANGES)
HOUSES: dict[str, tuple[str, ...]] = {
    "lanes": ("ordered", "wary", "plain", "failures"),
    "keys": ("keyed", "ordered", "ask"),
    "parts": ("parts", "two", "copies", "failures"),
    "times": ("hurried", "remind", "reminders", "plain"),
    "all": (
        *("plain", "keyed", "ordered", "wary", "two", "copies", "hurried", "parts", "ask", "remind", "reminders"),
        "failures",
    ),
}
"""routes that live together: few in most houses, so that much happens to each"""


@step("remind")
def remind(message: Message, tx: Transaction) -> Iterable[Message]:
    """A reminder for later, under a name that a later one may take back."""
    body = message.body
    if body["cancels"] is not None:
        tx.cancel(f"reminder {body['cancels']}")
    reminder = message.but(body={"n": body["n"], "of": message.id})
    tx.emit(reminder, route="reminders", at=tx.now + body["in"], cancel=f"reminder {body['o']}")
    return ()


@step("note")
def note(message: Message, tx: Transaction) -> Iterable[Message]:
    """The end of what comes here."""
    return ()


@cache
def catalogue() -> Catalogue:
    """What the simulated gateway is built of."""
    adapters: dict[str, Any] = {kind.Config.model_fields["type"].default: kind for kind in ADAPTERS}
    flows = {one.name: one for one in (remind, note)}
    return Catalogue(adapters, {one.name: one for one in TRANSFORMERS}, flows, as_bytes)


@cache
def revision(house: str, name: str) -> Configuration:
    """What a house looks like at one revision, checked."""
    text = _of(FILE.read_text(), HOUSES[house])
    for before, after in _CHANGES[name]:
        text = text.replace(before, after)
    known = catalogue()

    def read() -> Configuration:
        return load(
            FILE,
            adapters=known.adapters,
            transformers=known.transformers,
            flows=known.flows,
            files={FILE.name: text},
        )

    return check(read, known.adapters).good()


def _of(text: str, routes: tuple[str, ...]) -> str:
    """The configuration with these routes only."""
    head, _, tail = text.partition("routes:\n")
    blocks = re.split(r"^(?=  \w+:$)", tail, flags=re.MULTILINE)
    kept = "".join(block for block in blocks if block.strip().partition(":")[0] in routes)
    followed = ", ".join(name for name in ("plain", "ordered", "two") if name in routes)
    return head + "routes:\n" + kept.replace("of: [plain, ordered, two]", f"of: [{followed}]")
