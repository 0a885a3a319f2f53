"""`./dev bench [NAME…]`: measures the named parts, prints what came of it and writes it into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.catalogue import PARTS, Part, chosen
from benchmarks.optional import Missing
from benchmarks.options import Options
from benchmarks.report import PAGE, written


def arguments_of(command: Sequence[str]) -> argparse.Namespace:
    """The command line, taken apart."""
    of = Options()
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description="Measures the gateway on this machine and writes docs/benchmarks.md.",
        epilog="Without a name: throughput. Figures count on a machine that does nothing else.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="parts, or single subjects of a race; `all`")
    parser.add_argument("--list", action="store_true", help="what there is to measure")
    parser.add_argument("--rounds", type=int, default=of.rounds, help="of a race (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=of.seconds, help="of load each (default %(default)s)")
    parser.add_argument("--waiting", type=int, default=of.waiting, help="messages of `storm` (default %(default)s)")
    parser.add_argument("--pending", type=int, default=of.pending, help="messages of `pending` (default %(default)s)")
    parser.add_argument("--finished", type=int, default=of.finished, help="of `finished` (default %(default)s)")
    parser.add_argument("--shown", type=int, default=of.shown, help="of `ops` (default %(default)s)")
    parser.add_argument("--rows", type=int, default=of.rows, help="rows of `csv` (default %(default)s)")
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md as it is")
    return parser.parse_args(command)


def main(command: Sequence[str] | None = None) -> int:
    """Reads the command line, measures, prints and writes; returns the exit code."""
    arguments = arguments_of(sys.argv[1:] if command is None else command)
    if arguments.list:
        for part in PARTS:
            print(f"{part.name:12} {part.what}")
            if part.subjects:
                print(f"{'':12} subjects: {', '.join(part.subjects)}")
        return 0
    try:
        parts = chosen(arguments.names)
    except LookupError as error:
        print(f"bench: {error.args[0]}", file=sys.stderr)
        return 2
    sizes = {name: getattr(arguments, name) for name in ("waiting", "pending", "finished", "shown", "rows")}
    options = Options(arguments.rounds, arguments.seconds, **sizes)
    if arguments.no_write:
        options = replace(options, picture=Path(tempfile.gettempdir()) / options.picture.name)
    code = 0
    for part, only in parts:
        try:
            measure(part, replace(options, only=only), write=not arguments.no_write and not only)
        except Missing as why:
            print(f"{part.name} is not measured: {why}", file=sys.stderr)
            code = 2
    return code


def measure(part: Part, options: Options, *, write: bool) -> None:
    """One part: measured, printed, and written where it is whole."""
    print(f"== {part.name}: {part.what}", flush=True)
    text = part.run(options)
    print(f"\n{text}\n", flush=True)
    if write:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), part.name, text), encoding="utf-8")


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)  # through every block that ends a child


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
