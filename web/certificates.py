"""TLS of a listener: at least 1.2, renewed from its files while it runs."""

from __future__ import annotations

import ssl
from pathlib import Path

from pipe.config.models import Tls
from pipe.errors import ConfigError


def context_of(tls: Tls) -> ssl.SSLContext:
    """The server's side of TLS 1.2 or later; with `client_ca` only callers with a certificate of it come in.

    Raises ConfigError where a file cannot be read, or key and certificate do not belong together. For threads.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(tls.cert, tls.key)
        if tls.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(tls.client_ca)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(f"the certificate files {tls.cert} and {tls.key} cannot be used: {error}") from error
    return context


def stamp_of(tls: Tls) -> tuple[tuple[int, int, int], ...]:
    """Changes when one of the files does. A file that is away for a moment counts as unchanged zeros."""
    return tuple(_stamp(Path(path)) for path in (tls.cert, tls.key, tls.client_ca) if path is not None)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        facts = path.stat()
    except OSError:
        return (0, 0, 0)
    return (facts.st_mtime_ns, facts.st_size, facts.st_ino)
