"""`python -m partners --data DIR [--port-base 8091|0]`: the stand-ins as a process of their own."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from partners.house import PORTS, start


async def run(data: Path, port_base: int, *, fsync: bool = False, with_parent: bool = False) -> None:
    """Runs them until SIGTERM or SIGINT; says where they are on standard output, one `name address` a line.

    `with_parent`: also until standard input ends, which is when whoever started them ends, in whatever way.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    ports = {name: port_base and port_base + place for place, name in enumerate(PORTS)}
    async with await start(data, ports, fsync=fsync) as partners:
        for name, address in partners.addresses.items():
            sys.stdout.write(f"{name} {address}\n")
        sys.stdout.flush()
        if with_parent:
            loop.add_reader(sys.stdin.fileno(), lambda: stopped.set() if not os.read(sys.stdin.fileno(), 1) else None)
        await stopped.wait()


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m partners", description="Stand-ins of the partners, on loopback.")
    parser.add_argument("--data", type=Path, required=True, help="folder of their records and of their socket")
    parser.add_argument("--port-base", type=int, default=min(PORTS.values()), help="first port; 0 takes free ones")
    parser.add_argument("--fsync", action="store_true", help="records are on disk before the answer leaves")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.data, arguments.port_base, fsync=arguments.fsync, with_parent=arguments.with_parent))


if __name__ == "__main__":
    main()
