"""Adapters: one module for each side of a protocol. The catalogue is written by hand; outsiders join by entry point."""

from __future__ import annotations

from adapters.file_folder import FileFolder
from adapters.http_client import HttpClient
from adapters.http_server import HttpServer

ADAPTERS = (HttpServer, HttpClient, FileFolder)

__all__ = ["ADAPTERS"]
