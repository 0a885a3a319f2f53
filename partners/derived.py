"""Stand-ins made of a configuration: one for each connection that leads to a partner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from yarl import URL

from partners.http_partner import HttpPartner
from partners.mqtt_partner import MqttPartner
from partners.partner import Partner
from partners.telegram import TelegramPartner
from pipe.config.models import Configuration, ConnectionSpec
from pipe.config.walk import found_in
from pipe.contract import Secret

Made = Callable[[ConnectionSpec, Configuration, Path, int, bool], Partner]


def _http(spec: ConnectionSpec, configuration: Configuration, folder: Path, port: int, fsync: bool) -> Partner:
    return HttpPartner(spec, configuration, folder, port=port, fsync=fsync)


def _mqtt(spec: ConnectionSpec, _: Configuration, folder: Path, port: int, fsync: bool) -> Partner:
    return MqttPartner(spec.name, spec.config, folder, port=port, fsync=fsync)


def _soap(spec: ConnectionSpec, configuration: Configuration, folder: Path, port: int, fsync: bool) -> Partner:
    from partners.soap_partner import SoapPartner  # zeep is slow to import

    return SoapPartner(spec, configuration, folder, port=port, fsync=fsync)


def _ftp(spec: ConnectionSpec, configuration: Configuration, folder: Path, port: int, fsync: bool) -> Partner:
    from partners.ftp_partner import FtpPartner  # its server is here where tests are

    return FtpPartner(spec, configuration, folder, port=port, fsync=fsync)


def _sftp(spec: ConnectionSpec, configuration: Configuration, folder: Path, port: int, fsync: bool) -> Partner:
    from partners.sftp_partner import SftpPartner

    return SftpPartner(spec, configuration, folder, port=port, fsync=fsync)


def _mail(spec: ConnectionSpec, configuration: Configuration, folder: Path, port: int, fsync: bool) -> Partner:
    from partners.mail_partner import MailPartner  # as for FTP

    return MailPartner(spec, configuration, folder, port=port, fsync=fsync)


def _telegram(spec: ConnectionSpec, _: Configuration, folder: Path, port: int, fsync: bool) -> Partner:
    return TelegramPartner(spec.name, spec.config, folder, port=port, fsync=fsync)


KINDS: dict[str, Made] = {
    "ftp": _ftp, "http_client": _http, "mqtt": _mqtt, "sftp": _sftp, "smtp": _mail, "soap_client": _soap,
    "telegram": _telegram,
}  # fmt: skip
"""a written catalogue: how the stand-in of each type of connection is made"""
LOCAL = {"http_server", "soap_server", "file_folder"}
"""types that lead to no partner: others come to us, or it is a folder of this machine"""


def needed(configuration: Configuration) -> Iterator[ConnectionSpec]:
    """The connections that a stand-in can be made for."""
    return (spec for spec in configuration.connections.values() if spec.type in KINDS)


def without(configuration: Configuration, covered: Iterable[str]) -> list[str]:
    """Connections that lead to the real partner all the same."""
    known = set(covered)
    return [name for name, spec in configuration.connections.items() if spec.type not in LOCAL and name not in known]


def leads_to(spec: ConnectionSpec) -> tuple[str, int] | None:
    """Host and port of a connection, where it has an address."""
    config: Any = spec.config
    address = next(filter(None, (getattr(config, key, None) for key in ("address", "url", "api"))), None)
    if not isinstance(address, str):
        return None
    url = URL(address)
    return (url.host or "", url.port or 0)


def demo_secrets(configuration: Configuration, names: Iterable[str]) -> dict[str, str]:
    """Values for the environment's secrets that these connections ask for and that are not set."""
    found: dict[str, str] = {}
    for name in names:
        for secret in found_in(configuration.connections[name].config, Secret):
            if secret.kind == "env":
                demo = f"demo-value-of-{secret.name}"
                is_bot = configuration.connections[name].type == "telegram"
                found[secret.name] = f"7000000001:{demo.ljust(35, '-')}" if is_bot else demo
    return found
