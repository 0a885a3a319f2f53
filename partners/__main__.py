"""`python -m partners --data DIR [--port-base 8091|0]`: those written by hand, as a process of their own."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from partners.house import PORTS
from partners.running import run


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
