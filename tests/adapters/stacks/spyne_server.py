"""A partner for our client, written with spyne, strict by lxml: prints its port, serves until it is killed."""

import sys
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from spyne import Application, ComplexModel, Date, Decimal, Fault, Integer, Iterable, ServiceBase, Unicode, rpc
from spyne.protocol.soap import Soap11, Soap12
from spyne.server.wsgi import WsgiApplication

SPACE = "urn:example:orders"


class Line(ComplexModel):
    """One line of an order."""

    __namespace__ = SPACE
    article = Unicode(min_occurs=1, nillable=False)
    count = Integer(ge=1)
    price = Decimal(min_occurs=0)


class Orders(ServiceBase):
    """Orders."""

    @rpc(Unicode(min_occurs=1), Date, Iterable(Line), _returns=Decimal)
    def Sum(ctx: Any, customer: str, day: Any, lines: Any) -> Any:  # noqa: N802, N805  as callers of it know it
        """What an order costs."""
        if customer == "nobody":
            raise Fault("Client.NoCustomer", "there is no such customer")
        if customer == "down":
            raise Fault("Server", "come back later")
        return sum(line.count * line.price for line in lines)


class Quiet(WSGIRequestHandler):
    """Says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


protocol = Soap12 if sys.argv[1] == "1.2" else Soap11
application = Application([Orders], SPACE, in_protocol=protocol(validator="lxml"), out_protocol=protocol())
server = make_server("127.0.0.1", 0, WsgiApplication(application), handler_class=Quiet)
sys.stdout.write(f"{server.server_port}\n")
sys.stdout.flush()
server.serve_forever()
