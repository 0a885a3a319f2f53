"""What `traces:` of a configuration may say: where the gateway's part of a distributed trace is sent."""

from __future__ import annotations

from pydantic import Field, field_validator
from yarl import URL

from pipe.config.blocks import Strict
from pipe.config.references import Secret
from pipe.config.units import Duration, Percent


class Traces(Strict):
    """A collector of OpenTelemetry. Spans are no promise: what it does not take at once is dropped and counted."""

    otlp: str = Field(
        description="Its address for OTLP over HTTP (protobuf).", examples=["http://127.0.0.1:4318/v1/traces"]
    )
    headers: dict[str, Secret] = Field(
        default={}, description="Headers that let us in there.", examples=[{"Authorization": "${secret:collector}"}]
    )
    sample: Percent = Field(
        default=Percent(1.0),
        description="Share of the messages without a `traceparent` that begin a trace which is kept; what comes with "
        "one is kept where its caller keeps it.",
    )
    service: str = Field(default="pipe", min_length=1, description="`service.name` of the spans.")
    timeout: Duration = Field(default=Duration(5), gt=0, description="Longest wait for the collector.")

    @field_validator("otlp")
    @classmethod
    def _address(cls, value: str) -> str:
        url = URL(value)
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("it is an address such as http://127.0.0.1:4318/v1/traces")
        if url.user or url.password:
            raise ValueError("credentials stand in `headers`, never in the address")
        return value
