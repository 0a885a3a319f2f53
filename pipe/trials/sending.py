"""Makes of a test's `send:` what a source would hand to the door."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from pipe.config.models import RouteConfig
from pipe.contract import Arrival, Message, Transformer
from pipe.engine import Catalogue
from pipe.trials.model import Send


def arrival_of(send: Send, route: RouteConfig, catalogue: Catalogue) -> Arrival:
    """The arrival; values are written in the format that the route reads. Raises PipeError where they do not fit."""
    if send.base64 is not None:
        body, content_type = base64.b64decode(send.base64), send.content_type
    else:
        body, content_type = _bytes(send.body, route, catalogue)
    return Arrival(
        body,
        texts(send.headers, snake=True),
        texts(send.params),
        texts(send.query),
        send.content_type or content_type,
        send.caller,
        company=send.company,
    )


def texts(values: Mapping[str, Any], *, snake: bool = False) -> dict[str, str]:
    """Names and texts, as they come over the wire."""
    names = {name: name.lower().replace("-", "_") if snake else name for name in values}
    return {names[name]: value if isinstance(value, str) else str(value) for name, value in values.items()}


def _bytes(body: Any, route: RouteConfig, catalogue: Catalogue) -> tuple[bytes, str | None]:
    if body is None:
        return b"", None
    word, settings = _format(route)
    if isinstance(body, str) and word != "text":
        return body.encode(settings.get("charset") or "utf-8"), None
    message = Message("", route.name, body)
    if word is not None:
        written: Any = {word: settings} if settings else word
        encode: type[Transformer] = catalogue.transformers["encode"]
        encoded = encode(encode.Config.model_validate(written)).apply(message)
    else:
        encoded = catalogue.as_bytes(message)
    assert encoded is not None
    return encoded.body, encoded.content_type


def _format(route: RouteConfig) -> tuple[str | None, dict[str, Any]]:
    """The format of the route's first `decode`, and the settings that writing it shares with reading it."""
    for step in route.steps[:2]:
        if step.name == "decode":
            word, options = step.config.chosen()
            shared = {} if word == "xml" else options.model_dump(exclude_defaults=True)
            return (None if word == "bytes" else word), shared
    return None, {}
