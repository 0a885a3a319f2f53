"""Signing in to an SSH server: whose key it shows, and who we are."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import asyncssh

from adapters.sftp.config import SftpConfig
from pipe import blocking
from pipe.contract import Timeout
from pipe.errors import HostKeyUnknown, NotAuthorised, PipeError, Unreachable

FIRST = "^aes256-gcm@openssh.com,aes128-gcm@openssh.com"
"""before the library's others: processors do most of it themselves"""


class Pins(asyncssh.SSHClient):
    """Says whether a host key is one of those that were pinned, and remembers the one that is not."""

    def __init__(self, fingerprints: list[str]) -> None:
        self._fingerprints = fingerprints
        self.shown: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Asked for a key that the file of known hosts does not hold."""
        if key.get_fingerprint() in self._fingerprints:
            return True
        self.shown = key
        return False


async def signed_in(
    config: SftpConfig, sock: socket.socket, where: str, timeout: Timeout, pool: str
) -> asyncssh.SSHClientConnection:
    """A connection over that socket. Raises HostKeyUnknown, NotAuthorised, Unreachable, SecretMissing."""
    host, port = config.place
    pins = Pins(config.host_keys)
    try:
        known = await blocking.run(pool, _known_hosts, config)
        key = await blocking.run(pool, _private_key, config)
        options = asyncssh.SSHClientConnectionOptions(
            client_factory=lambda: pins,
            username=config.user,
            password=config.password.reveal() if config.password else None,
            client_keys=[key] if key is not None else None,
            known_hosts=known,
            encryption_algs=FIRST,
            # Nothing of this machine's user: what counts stands in the YAML.
            config=None,
            agent_path=None,
            gss_host=None,
        )
    except BaseException:
        sock.close()
        raise
    try:
        async with asyncio.timeout(timeout.connect + timeout.read):
            return await asyncssh.connect(host, port, sock=sock, options=options)
    except BaseException as error:
        sock.close()
        raise _meaning(error, config, pins, where) from error


def _known_hosts(config: SftpConfig) -> bytes:
    if config.known_hosts is None:
        return b""
    try:
        return config.known_hosts.read_bytes()
    except OSError as error:
        raise HostKeyUnknown(
            f"the file of known hosts, {config.known_hosts}, cannot be read: {error.strerror}",
            hint="write the file, or pin the server under `host_keys:`",
        ) from error


def _private_key(config: SftpConfig) -> asyncssh.SSHKey | None:
    """Our key. With a passphrase it takes its time: the passphrase is made slow to try on purpose."""
    if config.key is None:
        return None
    text, passphrase = config.key.reveal(), config.passphrase.reveal() if config.passphrase else None
    try:
        return asyncssh.import_private_key(f"{text}\n", passphrase)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise NotAuthorised(
            f"`key:` of this connection cannot be used: {error}", hint="mend the key or its passphrase"
        ) from error


def _meaning(error: BaseException, config: SftpConfig, pins: Pins, where: str) -> BaseException:
    table: list[tuple[Any, Callable[[], PipeError]]] = [
        (asyncssh.HostKeyNotVerifiable, lambda: _unknown(config, pins, where, error)),
        (asyncssh.PermissionDenied, lambda: NotAuthorised(f"{where} does not let {config.user} in: {error}")),
        (asyncssh.KeyExchangeFailed, lambda: _no_terms(config, where, error)),
        (TimeoutError, lambda: Unreachable(f"{where} did not let us in in time")),
        ((asyncssh.DisconnectError, OSError, EOFError), lambda: Unreachable(f"{where} ended the connection: {error}")),
    ]
    return next((ours() for kinds, ours in table if isinstance(error, kinds)), error)


def _unknown(config: SftpConfig, pins: Pins, where: str, error: BaseException) -> PipeError:
    if pins.shown is None:
        return HostKeyUnknown(f"{where}: {error}")
    key = pins.shown
    host, port = config.place
    name = host if port == 22 else f"[{host}]:{port}"
    line = f"{name} {key.export_public_key().decode().strip()}"
    return HostKeyUnknown(
        f"{where} shows the host key {key.get_fingerprint()} ({key.get_algorithm()}), which is not pinned",
        hint="ask the partner, by another way, whether this is its fingerprint; if it is, add it to `host_keys:`, "
        f"or to `known_hosts` the line `{line}`",
    )


def _no_terms(config: SftpConfig, where: str, error: BaseException) -> PipeError:
    if "host key" in str(error).lower():
        return HostKeyUnknown(
            f"{where} has no host key of a kind that is in {config.known_hosts}: {error}",
            hint="the server's keys have changed: ask the partner for the new ones",
        )
    return Unreachable(f"{where} agrees to no way of encryption that is still safe: {error}")
