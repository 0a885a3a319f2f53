"""What there is to measure, by the names that a person types."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks import shapes as shapes_
from benchmarks import throughput as throughput_
from benchmarks.access import access
from benchmarks.adapters_files import adapters_files
from benchmarks.adapters_mqtt import adapters_mqtt
from benchmarks.adapters_soap import adapters_soap
from benchmarks.backlog import finished, pending
from benchmarks.bodies import body, csv
from benchmarks.costs import cost
from benchmarks.dead_partner import dead_partner
from benchmarks.ops import ops
from benchmarks.options import Options
from benchmarks.profiling import profile
from benchmarks.storm import storm


@dataclass(frozen=True, slots=True)
class Part:
    """One block of docs/benchmarks.md."""

    name: str
    what: str
    run: Callable[[Options], str]
    subjects: tuple[str, ...] = ()
    """what can be measured of it alone"""


PARTS = (
    Part(
        "throughput",
        "bare aiohttp, Node-RED and the gateway under the same load",
        throughput_.throughput,
        tuple(throughput_.TITLES),
    ),
    Part(
        "routes",
        "order per key, three targets, sync: each beside the plain route",
        shapes_.routes,
        tuple(shapes_.TITLES),
    ),
    Part("storm", "a partner comes back to 50,000 waiting messages (--waiting)", storm),
    Part("pending", "restart, memory and rate with 1,000,000 pending (--pending)", pending),
    Part("finished", "cost of a message beside 10,000,000 finished ones (--finished)", finished),
    Part("body", "memory while a body of 10 MiB passes", body),
    Part("csv", "memory while 1,000,000 rows are split (--rows)", csv),
    Part("dead-partner", "p99 of a route while the partner of another hangs, or refuses", dead_partner),
    Part("ops", "every page of operations over 1,000,000 finished messages (--shown), and twenty that stay open", ops),
    Part("access", "decisions beside cedarpy on the same data, lists of 100,000 rows with and without rights", access),
    Part("cost", "processor, commits and disk of a message", cost),
    Part("adapters-soap", "SOAP out: the adapter, and a durable route, beside a loop of bare zeep", adapters_soap),
    Part("adapters-mqtt", "MQTT in: the gateway, each message on disk, beside paho alone", adapters_mqtt),
    Part("adapters-files", "100 MiB by FTP, SFTP and in a folder, beside aioftp, asyncssh and shutil", adapters_files),
    Part("profile", "where the processor's time of the full path goes, as a picture (needs py-spy)", profile),
)


ADAPTERS = "adapters"
"""all parts of adapters, by one name"""


def _adapters() -> list[str]:
    return [part.name for part in PARTS if part.name.startswith(f"{ADAPTERS}-")]


def chosen(names: Iterable[str]) -> list[tuple[Part, tuple[str, ...]]]:
    """The parts that were named, each with the subjects that were named of it. Raises LookupError for other names."""
    wanted = list(dict.fromkeys(names)) or [PARTS[0].name]
    if "all" in wanted:
        return [(part, ()) for part in PARTS]
    wanted = [each for name in wanted for each in (_adapters() if name == ADAPTERS else (name,))]
    known = {name for part in PARTS for name in (part.name, *part.subjects)}
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, {*known, ADAPTERS}, 1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise LookupError(f"nothing here is called `{name}`{hint} `./dev bench --list` tells all names")
    picked: list[tuple[Part, tuple[str, ...]]] = []
    for part in PARTS:
        only = tuple(name for name in wanted if name in part.subjects)
        if part.name in wanted:
            picked.append((part, ()))
        elif only:
            picked.append((part, only))
    return picked
