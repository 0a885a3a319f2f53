"""The stand-ins as a process of their own."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from pathlib import Path

from partners.house import PORTS, Read, start


async def run(
    data: Path, port_base: int, *, fsync: bool = False, with_parent: bool = False, read: Read | None = None
) -> None:
    """Runs them until SIGTERM or SIGINT; says where they are on standard output, one `name address` a line.

    `with_parent`: also until standard input ends, which is when whoever started them ends, in whatever way.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)

    def stay() -> bool:
        gone = with_parent and select.select([sys.stdin], [], [], 0)[0]
        return not (gone or stopped.is_set())

    ports = {name: port_base and port_base + place for place, name in enumerate(PORTS)}
    base = port_base and port_base + len(PORTS)
    async with await start(data, ports, fsync=fsync, read=read, base=base, stay=stay) as partners:
        for name, address in partners.addresses.items():
            sys.stdout.write(f"{name} {address}\n")
        sys.stdout.flush()
        if with_parent:
            loop.add_reader(sys.stdin.fileno(), lambda: stopped.set() if not os.read(sys.stdin.fileno(), 1) else None)
        await stopped.wait()
