"""Hot SQL, written once with `:name` parameters and turned into each driver's own style at import."""

from __future__ import annotations

import re

_NAME = re.compile(r"(?<!:):([a-z_]+)")


class Statement:
    """One statement. `sql[dialect]` is what the driver takes."""

    def __init__(self, text: str) -> None:
        self.sql = {"sqlite": text, "postgresql": _NAME.sub(r"%(\1)s", text.replace("%", "%%"))}
