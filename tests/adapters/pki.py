"""An authority of the tests' own, with files as a configuration names them."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import trustme


class Pki:
    """Certificates of one authority."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ca = folder, trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.ca_file)

    def server(self, *names: str, **issue: Any) -> ssl.SSLContext:
        """What a server with a certificate for these names needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names, **issue).configure_cert(context)
        return context

    def files(self, name: str, ca: trustme.CA | None = None, **issue: Any) -> dict[str, str]:
        """Our certificate and its key, as the configuration names them."""
        issued = (ca or self.ca).issue_cert(name, **issue)
        cert, key = self.folder / "client.pem", self.folder / "client.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return {"cert": str(cert), "key": str(key)}
