"""Adapters: one module for each side of a protocol. The catalogue is written by hand; outsiders join by entry point."""

from __future__ import annotations

from adapters.file_folder import FileFolder
from adapters.http_client import HttpClient
from adapters.http_server import HttpServer
from adapters.mqtt import Mqtt
from adapters.soap_client import SoapClient
from adapters.soap_server import SoapServer

ADAPTERS = (HttpServer, HttpClient, FileFolder, SoapServer, SoapClient, Mqtt)

__all__ = ["ADAPTERS"]
