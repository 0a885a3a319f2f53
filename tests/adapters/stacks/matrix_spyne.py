"""Letters as spyne serves them, wrapped and bare, 1.1 and 1.2, by path; prints its port, serves until it is killed."""

from __future__ import annotations

import sys
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from spyne import Application, ByteArray, ComplexModel, Fault, Integer, ServiceBase, Unicode, rpc
from spyne.protocol.soap import Soap11, Soap12
from spyne.server.wsgi import WsgiApplication
from spyne.util.wsgi_wrapper import WsgiMounter


class RefusedFault(Fault):
    """The typed fault of the WSDL; spyne writes the detail that it is given."""


def refused(space: str) -> Fault:
    """A refusal."""
    from lxml import etree

    detail = etree.Element(f"{{{space}}}Refused")
    etree.SubElement(detail, f"{{{space}}}reason").text = "no stamp"
    fault = RefusedFault("Client", "the letter is refused")
    fault.detail = detail
    return fault


def application(space: str, body: str, protocol: type) -> Any:
    """One style in one version."""
    binary = ByteArray(encoding="base64", min_occurs=0)
    letter = type(
        "Letter",
        (ComplexModel,),
        {"__namespace__": space, "_type_info": [("subject", Unicode(min_occurs=1)), ("scan", binary)]},
    )
    receipt = type(
        "Receipt",
        (ComplexModel,),
        {"__namespace__": space, "_type_info": [("number", Integer(min_occurs=1)), ("copy", binary)]},
    )
    names = (
        {"_body_style": "bare", "_in_message_name": "letter", "_out_message_name": "receipt"}
        if body == "bare"
        else {"_out_variable_name": "receipt"}
    )

    @rpc(letter, _returns=receipt, **names)
    def deliver(ctx: Any, letter: Any) -> Any:
        if letter.subject == "refuse me":
            raise refused(space)
        return receipt(number=7, copy=letter.scan)

    one_way = {"_body_style": "bare", "_in_message_name": "note"} if body == "bare" else {}

    @rpc(Unicode(min_occurs=1), **one_way)
    def note(ctx: Any, subject: str) -> None:
        """Takes it, and says nothing."""

    deliver.__name__, note.__name__ = "Deliver", "Note"
    service = type("Letters", (ServiceBase,), {"Deliver": deliver, "Note": note})
    return WsgiApplication(
        Application([service], space, in_protocol=protocol(validator="lxml"), out_protocol=protocol())
    )


class Quiet(WSGIRequestHandler):
    """Says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


mounted = WsgiMounter({})
for style in ("wrapped", "bare"):
    for name, protocol in (("1.1", Soap11), ("1.2", Soap12)):
        mounted.mounts[f"{style}-{name}"] = application(f"urn:example:letters:{style}", style, protocol)
server = make_server("127.0.0.1", 0, mounted, handler_class=Quiet)
sys.stdout.write(f"{server.server_port}\n")
sys.stdout.flush()
server.serve_forever()
