"""The stand-in of an HTTP partner, derived from the connection and from the targets that use it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web
from yarl import URL

from partners.examples import reply_to, sent_by, shape_of, uses
from partners.guards import TOKEN_PATH, Guard, led_here
from partners.records import Rows
from partners.stand_in import StandIn, problem
from pipe.config.models import Configuration, ConnectionSpec
from pipe.errors import BadRequest
from pipe.trials.model import Reply

PLAIN = "text/plain; charset=utf-8"


@dataclass(slots=True)
class Endpoint:
    """One method and path that the configuration calls, and what it is answered."""

    method: str
    written: str
    """the path as the configuration writes it"""
    path: re.Pattern[str]
    reply: Reply


class HttpPartner(StandIn):
    """Takes the calls that the configuration makes, and no others; answers as its `tests:` say."""

    def __init__(
        self,
        spec: ConnectionSpec,
        configuration: Configuration,
        folder: Path,
        *,
        port: int = 0,
        fsync: bool = False,
    ) -> None:
        """`folder` takes the records."""
        self._config: Any = spec.config
        self._guard_ = Guard(self._config.auth)
        super().__init__(spec.name, self._serves, folder, port=port, fsync=fsync, guard=self._guard_)
        self._prefix = URL(self._config.url).path.rstrip("/")
        self.endpoints = [*self._called(spec.name, configuration), *self._probed()]
        self.offers: dict[str, bytes] = dict(self._offered(spec.name, configuration))
        """what a question for a path is answered with, where the gateway polls it"""

    def settings(self) -> Mapping[str, Any]:
        """See Partner."""
        plain = {"url": f"{self.address}{self._prefix}", "tls": None, "proxy": None, "allow": None}
        return {**plain, **led_here(self._config.auth, f"{self.address}{TOKEN_PATH}")}

    def _called(self, name: str, configuration: Configuration) -> Iterable[Endpoint]:
        for use in uses(configuration, name):
            options: Any = use.options
            template, method = options.path, options.method
            reply = reply_to(configuration, name, use, method.lower(), template.text)
            pattern = re.compile(shape_of(template).pattern.partition(re.escape("?"))[0])
            yield Endpoint(method, template.text, pattern, reply)

    def _probed(self) -> Iterable[Endpoint]:
        if self._config.probe is not None:
            path = self._config.probe.get
            yield Endpoint("GET", path, re.compile(re.escape(path.partition("?")[0])), Reply(body={"state": "ok"}))

    def _offered(self, name: str, configuration: Configuration) -> Iterable[tuple[str, bytes]]:
        for route in configuration.routes.values():
            if route.source.connection == name and route.source.options is not None:
                options: Any = route.source.options
                bodies = [written(send.body)[0] for send in sent_by(configuration, route.name) if send.body is not None]
                yield options.get.partition("?")[0], next(iter(bodies), b"")

    def answer(self, method: str, path: str, **reply: Any) -> None:
        """From now on this call is answered so: `status`, `headers`, `body`. Raises BadRequest for an unknown call."""
        found = self._meant(method.upper(), path)
        if found is None:
            raise BadRequest(f"the configuration makes no call {method.upper()} {path}: {self._known()}")
        found.reply = Reply.model_validate(reply)

    async def offer(self, place: str, body: bytes) -> None:
        """Answers the gateway's questions for the path `place` with this body. Raises BadRequest."""
        if place not in self.offers:
            known = ", ".join(self.offers) or "nothing"
            raise BadRequest(f"the gateway asks {self.name} for {known}, not for {place}")
        self.offers[place] = body

    def _serves(self, rows: Rows) -> Iterable[web.AbstractRouteDef]:
        return [web.post(TOKEN_PATH, self._guard_.give_token), web.route("*", "/{path:.*}", self._take)]

    async def _take(self, request: web.Request) -> web.Response:
        path = unquote(request.rel_url.raw_path)
        if not path.startswith(self._prefix):
            return problem(404, "no_such_path", f"{path} is not below {self._prefix}")
        path = path[len(self._prefix) :]
        if request.method == "GET" and (offered := self.offers.get(path)):
            return web.Response(body=offered, content_type=_kind_of(offered))
        if (found := self._meant(request.method, path)) is None:
            return problem(404, "no_such_call", f"the configuration makes no such call; it makes {self._known()}")
        key = request.headers.get("Idempotency-Key")
        if request.method != "GET" and (key is None or self.rows.of_key(key) is None):
            self.rows.add(key, await request.read(), method=request.method, path=path)
        return answered(found.reply)

    def _meant(self, method: str, path: str) -> Endpoint | None:
        fitting = (each for each in self.endpoints if each.method == method and each.path.fullmatch(path))
        return next(fitting, None)

    def _known(self) -> str:
        return ", ".join(dict.fromkeys(f"{each.method} {each.written}" for each in self.endpoints)) or "none"


def answered(reply: Reply) -> web.Response:
    """A reply of `tests:` as it goes over HTTP."""
    status = reply.status if isinstance(reply.status, int) else 200
    body, kind = written(reply.body if reply.fault is None else reply.fault)
    headers = {name.replace("_", "-"): value for name, value in reply.headers.items()}
    return web.Response(status=status, body=body, headers={"Content-Type": reply.content_type or kind, **headers})


def written(value: Any) -> tuple[bytes, str]:
    """A value as bytes, and what they are."""
    if isinstance(value, bytes):
        return value, "application/octet-stream"
    if isinstance(value, str):
        return value.encode(), PLAIN
    return (b"", PLAIN) if value is None else (orjson.dumps(value, default=str), "application/json")


def _kind_of(body: bytes) -> str:
    return "application/json" if body[:1] in b"[{" else "text/plain"
