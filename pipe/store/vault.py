"""Encryption at rest and keyed hashes, with a master key that lives outside the database."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipe.errors import RowDamaged, SecretMissing

_NONCE = 12


class Vault:
    """Keys from a file of `id:hex` lines; the last one seals, all of them open."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            _create(path)
        self._keys = dict(line.split(":", 1) for line in path.read_text().split())
        if not self._keys:
            raise SecretMissing(f"the key file {path} is empty")
        self._newest = list(self._keys)[-1]
        self._ciphers = {name: AESGCM(bytes.fromhex(key)) for name, key in self._keys.items()}
        # The first key stays the one for hashes: rotation of the sealing key must not lose the way to a subject's rows.
        self._hash_key = hashlib.sha256(b"pipe-hash" + bytes.fromhex(next(iter(self._keys.values())))).digest()

    def seal(self, plain: bytes, about: str) -> bytes:
        """Encrypts; `about` (a message id, a secret's name) must be the same when it is opened."""
        nonce = os.urandom(_NONCE)
        return self._newest.encode() + b":" + nonce + self._ciphers[self._newest].encrypt(nonce, plain, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Decrypts. Raises RowDamaged where it was altered, SecretMissing where its key is gone."""
        name, _, rest = sealed.partition(b":")
        cipher = self._ciphers.get(name.decode(errors="replace"))
        if cipher is None:
            raise SecretMissing(f"the master key {name.decode(errors='replace')!r} is not in the key file")
        try:
            return cipher.decrypt(rest[:_NONCE], rest[_NONCE:], about.encode())
        except InvalidTag as error:
            raise RowDamaged(f"what is sealed for {about} was altered") from error

    def hash(self, *parts: str) -> str:
        """A keyed hash of 32 hex digits: finds equal values, tells nothing about them."""
        return hmac.digest(self._hash_key, "\x1f".join(parts).encode("utf-8", "surrogatepass"), "sha256").hex()[:32]


def _create(path: Path) -> None:
    """A file that is there is whole: a kill half-way must not leave one without which nothing can ever be opened."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(file, f"k1:{secrets.token_hex(32)}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)
    fresh.rename(path)
    for folder in (path.parent, path.parent.parent):
        _sync(folder)


def _sync(folder: Path) -> None:
    """Puts the names in a folder on disk, as the names of new files are not there with their contents."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
