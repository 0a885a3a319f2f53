"""Which bots of a configuration the routes of one-time passwords know: another one would be asked in vain."""

from __future__ import annotations

from flows.otp.codes import SEND
from pipe.config.models import Configuration

RECEIVE = "otp.receive"


def serves(configuration: Configuration, bot: str) -> bool:
    """Whether codes are sent through this bot, and what people write to it is taken."""
    routes = configuration.routes
    sends = SEND in routes and any(target.connection == bot for target in routes[SEND].to)
    return sends and any(
        route.source.connection == bot
        and any(step.name == "flow" and step.config.name == RECEIVE for step in route.steps)
        for route in routes.values()
    )
