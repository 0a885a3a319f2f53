"""Wire bytes as files: written by one command, compared by every test."""

from __future__ import annotations

import os
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "wire"
WRITE = "PIPE_SOAP_WIRE"
"""environment: `write` writes the files instead of comparing"""

# What is new each time: where it went, when, with which nonce, signed how, cut where, and by which release.
_PASSING = tuple(
    (re.compile(pattern, re.DOTALL), shown)
    for pattern, shown in (
        (rb"127\.0\.0\.1:\d+|localhost:\d+", b"127.0.0.1:PORT"),
        (rb"(?<=\r\nDate: )[^\r]+", b"DATE"),
        (rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", b"TIME"),
        (rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", b"UUID"),
        (rb"(?<=PHP-SOAP/)[\d.]+[^\r]*|(?<=PHP/)[\d.]+[^\r]*|(?<=gSOAP/)[\d.]+|(?<=CPython/)[\d.]+|(?<=WSGIServer/)[\d.]+"
         rb"|(?<=Python-urllib/)[\d.]+|(?<=Server: Python/)[^\r]+|(?<=aiohttp/)[\d.]+", b"RELEASE"),
        (rb"(<([\w.-]+:)?(Nonce|BinarySecurityToken|DigestValue|SignatureValue)( [^>]*)?>)[^<]*", rb"\1ONCE"),
        (rb"(<([\w.-]+:)?Password [^>]*PasswordDigest[^>]*>)[^<]*", rb"\1ONCE"),
        (rb"==[\w+/-]{10,}==", b"==BOUNDARY=="),
        (rb"(?<=\r\nContent-Length: )\d+", b"LENGTH"),
        (rb"(?<=\r\n)[0-9a-f]{1,6}(?=\r\n<)", b"CHUNK"),
    )
)  # fmt: skip


def masked(raw: bytes) -> bytes:
    """What must be the same each time."""
    for pattern, shown in _PASSING:
        raw = pattern.sub(shown, raw)
    return raw


def held_against(file: str, test: str, exchanges: list[tuple[bytes, bytes]]) -> None:
    """Writes the file, or raises AssertionError where the bytes are not those that were written down."""
    raw = f"# {test}\n".encode()
    for request, answer in exchanges:
        raw += b"\n# --- request\n" + request + b"\n# --- answer\n" + answer + b"\n"
    path = FOLDER / file
    if os.environ.get(WRITE) == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or masked(path.read_bytes()) != masked(raw):
            path.write_bytes(raw)
        return
    assert path.exists(), f"{file} is not written: python -m tests.adapters.soap_matrix"
    assert masked(raw) == masked(path.read_bytes()), f"other bytes went over the wire than {file} says"
