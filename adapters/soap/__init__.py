"""SOAP 1.1 and 1.2 from a partner's own WSDL: calls its operations, and serves it to callers."""

from adapters.soap.client import SoapClient
from adapters.soap.server import SoapServer

__all__ = ["SoapClient", "SoapServer"]
