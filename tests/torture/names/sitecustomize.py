"""Answers for names of tests in place of the system's resolver, changed while it runs.

The file `PIPE_TEST_RESOLVER` holds `{name: {"addresses": […]} | {"error": "EAI_NONAME"} | {"hang": seconds}}`; it is
read at each lookup. Python loads this by itself where the folder stands in PYTHONPATH.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

_file = Path(os.environ.get("PIPE_TEST_RESOLVER", "/nowhere"))
_ask_system = socket.getaddrinfo


def _getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> list[Any]:
    answer = json.loads(_file.read_bytes()).get(host) if _file.exists() else None
    if answer is None:
        return _ask_system(host, port, *arguments, **options)
    time.sleep(answer.get("hang", 0))
    if "error" in answer:
        raise socket.gaierror(getattr(socket, answer["error"]), "the test says so")
    return [row for address in answer["addresses"] for row in _ask_system(address, port, *arguments, **options)]


socket.getaddrinfo = _getaddrinfo
