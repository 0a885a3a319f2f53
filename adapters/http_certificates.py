"""What a certificate says of itself: whose it is, who vouches for it, how many days it has left."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from pipe.contract import Certificate

SOON = 21
"""days before its end from which a certificate is worth a warning; authorities that renew by themselves do so sooner"""


def of_peer(told: Any) -> Certificate | None:
    """The partner's, from what `getpeercert()` of a checked connection told; None where it told nothing."""
    if not told or "notAfter" not in told:
        return None
    names = tuple(value for kind, value in told.get("subjectAltName", ()) if kind in {"DNS", "IP Address"})
    ends = float(ssl.cert_time_to_seconds(told["notAfter"]))
    return Certificate("partner", _named(told.get("subject", ())), names, _named(told.get("issuer", ())), ends)


def _named(relative: Iterable[Any]) -> str:
    """The name that people know it by: its common name, else its organisation."""
    known = {key: value for part in relative for key, value in part}
    found = known.get("commonName") or known.get("organizationName") or known.get("organizationalUnitName")
    return str(found or "an unnamed authority")


def of_file(path: Path) -> Certificate:
    """The first one of a PEM file, which is ours. Raises OSError, ValueError. Blocks, where the file has changed."""
    state = path.stat()
    version = (state.st_mtime_ns, state.st_size, state.st_ino)
    known = _files.get(path)
    if known is None or known[0] != version:
        read = _read(x509.load_pem_x509_certificates(path.read_bytes())[0], "ours")
        known = _files[path] = (version, read)
    return known[1]


_files: dict[Path, tuple[tuple[int, int, int], Certificate]] = {}
"""what was read, with what the file was then; there are as many as the configuration names"""


def shown(sock: socket.socket, server_name: str) -> Certificate | None:
    """What the partner shows to anybody, unchecked; for words to people only. Uses the socket up. Blocks.

    A check that failed does not tell what it looked at. Nothing is sent over this connection.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with context.wrap_socket(sock, server_hostname=server_name) as secured:
            der = secured.getpeercert(binary_form=True)
        return _read(x509.load_der_x509_certificate(der), "partner") if der else None
    except (OSError, ValueError):
        return None
    finally:
        sock.close()


def _read(found: x509.Certificate, whose: Literal["partner", "ours"]) -> Certificate:
    try:
        alternatives = found.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        assert isinstance(alternatives, x509.SubjectAlternativeName)
        names = tuple(str(name.value) for name in alternatives if isinstance(name, (x509.DNSName, x509.IPAddress)))
    except x509.ExtensionNotFound:
        names = ()
    return Certificate(
        whose, _common(found.subject), names, _common(found.issuer), found.not_valid_after_utc.timestamp()
    )


def _common(name: x509.Name) -> str:
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME):
        if found := name.get_attributes_for_oid(oid):
            return str(found[0].value)
    return "an unnamed authority"
