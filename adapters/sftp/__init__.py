"""Files on SFTP servers: picks them up and puts them down."""

from adapters.sftp.adapter import Sftp

__all__ = ["Sftp"]
