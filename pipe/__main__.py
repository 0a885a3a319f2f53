"""`python -m pipe`: the command line."""

from __future__ import annotations

from pipe.cli import main

if __name__ == "__main__":
    main()
