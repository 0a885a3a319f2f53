"""Files on FTP servers, plain or over TLS: picks them up and puts them down."""

from adapters.ftp.adapter import Ftp

__all__ = ["Ftp"]
