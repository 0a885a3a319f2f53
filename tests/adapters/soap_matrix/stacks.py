"""Other people's stacks as processes, one of each for a whole module."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import orjson
import trustme

from adapters.soap.message import build
from adapters.soap.service import Service, Shape
from adapters.soap.xml import written
from tests.adapters.soap_bench import FOLDER
from tests.adapters.soap_matrix.cases import Call, Wsdl
from tests.adapters.stacks.gsoap.build import build as build_gsoap

SCRIPTS = Path(__file__).parents[1] / "stacks"
PHP = str(shutil.which("php"))

QUIET = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1", "PYTHONHASHSEED": "0"}
"""environment: nothing is fetched from the network, and suds numbers its prefixes in one order"""


class Stacks:
    """Processes that are started when they are first needed, and the folders that they look into."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self._cache = folder, cache
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ports: dict[str, int] = {}
        self.keys = folder / "keys"
        self.plan = folder / "plan"
        self.keys.mkdir()
        self.plan.mkdir()
        authority = trustme.CA(key_type=trustme.KeyType.RSA)
        authority.cert_pem.write_to_path(self.keys / "ca.pem")
        for name in ("ours", "theirs"):
            issued = authority.issue_cert(f"{name}.example", key_type=trustme.KeyType.RSA)
            (self.keys / f"{name}.pem").write_bytes(issued.cert_chain_pems[0].bytes())
            (self.keys / f"{name}.key").write_bytes(issued.private_key_pem.bytes())
        (self.folder / "users").write_text("olena:s3cret\n", encoding="utf-8")

    def close(self) -> None:
        """Ends them all."""
        for process in self._running.values():
            process.kill()
            process.communicate()

    @property
    def gsoap(self) -> Path:
        """The program made with gSOAP."""
        return build_gsoap(FOLDER, self._cache)

    def _process(self, name: str, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        if name not in self._running:
            self._running[name] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**os.environ, **environment},
            )  # fmt: skip
        return self._running[name]

    def ask(self, stack: str, line: bytes) -> Any:
        """What a calling stack answers to one line."""
        commands: dict[str, list[str]] = {
            "suds": [sys.executable, str(SCRIPTS / "matrix_suds.py")],
            "php": [PHP, str(SCRIPTS / "matrix_caller.php")],
            "gsoap": [str(self.gsoap), "call", str(self.keys)] if stack == "gsoap" else [],
        }
        process = self._process(stack, *commands[stack], **QUIET)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, f"{stack} ended"
        return orjson.loads(answer)

    def port(self, stack: str) -> int:
        """Where a serving stack listens."""
        if stack not in self._ports:
            self._ports[stack] = getattr(self, f"_{stack}")()
        return self._ports[stack]

    def _gsoap_server(self) -> int:
        return self._printed(self._process("gsoap_server", str(self.gsoap), "serve", str(self.plan), str(self.keys)))

    def _spyne(self) -> int:
        return self._printed(self._process("spyne", sys.executable, str(SCRIPTS / "matrix_spyne.py")))

    def _php_server(self) -> int:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        script = str(SCRIPTS / "matrix_server.php")
        folders = {"PLAN": str(self.plan), "WSDLS": str(FOLDER)}
        self._process("php_server", PHP, "-d", "allow_url_fopen=0", "-S", f"127.0.0.1:{port}", script, **folders)
        until = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/tree.wsdl/call", timeout=5).close()
            except urllib.error.HTTPError:
                return port
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.05)
            else:
                return port

    @staticmethod
    def _printed(process: subprocess.Popen[bytes]) -> int:
        assert process.stdout is not None
        return int(process.stdout.readline())

    def operation(self, wsdl: Wsdl, call: Call) -> str:
        """As gSOAP calls it."""
        prefix = {"letters_wrapped": "lw", "letters_bare": "lb", "letters_rpc": "lr"}.get(wsdl.name, r"\w+?")
        text = (self.gsoap.parent / "operations.cpp").read_text(encoding="utf-8")
        (found,) = re.findall(rf'^    \{{"((?:__)?{prefix}__{call.operation})"', text, re.MULTILINE)
        return str(found)


def enveloped(service: Service, shape: Shape, values: Any) -> bytes:
    """A message in SOAP 1.1, for a stack that reads one."""
    port = service.ports[0]
    return written(build(service, port.version, shape, values, service.small).envelope)
