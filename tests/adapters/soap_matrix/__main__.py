"""`python -m tests.adapters.soap_matrix [--check]`: see the package."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.adapters.soap_matrix import table, wires


def main() -> int:
    """The exit code."""
    if sys.argv[1:] == ["--check"]:
        told = table.wrong()
        for line in told:
            sys.stdout.write(f"{line}\n")
        if told:
            sys.stdout.write("Try: python -m tests.adapters.soap_matrix, then ./dev docs\n")
        return 1 if told else 0
    environment = {**os.environ, wires.WRITE: "write"}
    table.FILE.write_bytes(table.written())
    for name in table.left_over():
        (wires.FOLDER / name).unlink()
    code = subprocess.call([sys.executable, "-m", "pytest", "-q", table.TEST], env=environment)
    if code == 0:
        sys.stdout.write("matrix.json and the wire bytes are written; now ./dev docs\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
