"""Adapters: one module for each side of a protocol. The catalogue is written by hand; outsiders join by entry point."""

from __future__ import annotations

from adapters.file_folder import FileFolder
from adapters.ftp import Ftp
from adapters.http_client import HttpClient
from adapters.http_server import HttpServer
from adapters.mqtt import Mqtt
from adapters.sftp import Sftp
from adapters.smtp import Smtp
from adapters.soap import SoapClient, SoapServer
from adapters.telegram import Telegram
from adapters.webhook import Webhook

ADAPTERS = (HttpServer, HttpClient, FileFolder, Ftp, Sftp, SoapServer, SoapClient, Mqtt, Smtp, Webhook, Telegram)

__all__ = ["ADAPTERS"]
