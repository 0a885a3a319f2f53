"""What `events:` of a configuration may say: which integration events are kept, how long, and where else they go."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field
from yarl import URL

from pipe.config.blocks import Strict
from pipe.config.units import Duration

EventKind = Literal["gateway", "configuration", "connection", "dead", "uncertain", "retry", "refused", "alert"]
KINDS: tuple[EventKind, ...] = get_args(EventKind)


def _syslog(text: str) -> str:
    url = URL(text)
    if url.scheme == "udp" and url.host and url.path in {"", "/"}:
        return text
    if url.scheme == "unix" and not url.host and url.path.startswith("/"):
        return text
    raise ValueError(f"`{text}` is no address of a syslog: write `udp://host:514` or `unix:///dev/log`")


class EventLog(Strict):
    """Integration events: what happened between the gateway and its partners, in a line each."""

    which: list[EventKind] = Field(
        default=["gateway", "configuration", "connection", "dead", "uncertain", "refused", "alert"],
        description="The kinds that are kept.",
        examples=[["connection", "dead"]],
    )
    kept: Duration = Field(default=Duration(90 * 86400), gt=0, description="How long they are kept in the store.")
    file: str | None = Field(
        default=None,
        description="A file that each is appended to, a line of JSON; it may be rotated at any time.",
        examples=["/var/log/pipe/events.jsonl"],
    )
    syslog: Annotated[str, AfterValidator(_syslog)] | None = Field(
        default=None, description="A syslog that each is sent to, by RFC 5424.", examples=["udp://10.1.2.3:514"]
    )
