"""A page that is open asks for its parts again: those who see the same get the same, made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from web.pages.permission import GATEWAY
from web.pages.turns import Turns

if TYPE_CHECKING:
    from web.pages.call import Call
    from web.pages.site import Site

HEADER = "X-Refresh"
"""what a page's script sends when it asks again"""
_ANYBODY = "anybody"
"""stands for the token of a session in what is made for several"""


class Refreshing:
    """Answers pages that ask again."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._turns = Turns(site.clock, lambda: site.store.writer.units)

    def stop(self) -> None:
        """Makes nothing more."""
        self._turns.stop()

    async def answer(self, call: Call, arguments: Sequence[Any]) -> web.StreamResponse:
        """The page's content without what stands around it. Raises what its handler raises."""
        page = f"{call.words.language} {call.request.path_qs}"
        if call.operation.alike:
            rights = _rights(call)
            text, seen_with = await self._turns.get(f"{page} {rights}", lambda: self._made(call, arguments))
            if rights == seen_with:
                return _response(text.replace(self._site.csrf(_ANYBODY), call.csrf))
        # Whoever's rights turned meanwhile saw something else than these; so does whoever sees what is theirs alone.
        text, _ = await self._turns.get(f"{page} of {call.token}", lambda: self._made(call, arguments))
        return _response(text.replace(self._site.csrf(_ANYBODY), call.csrf))

    async def _made(self, call: Call, arguments: Sequence[Any]) -> tuple[str, str]:
        before = _rights(call)
        shown = replace(call, token=_ANYBODY)
        text = self._site.parts(shown, await call.operation.handler(call, *arguments))
        return text, before if before == _rights(call) else ""


def _rights(call: Call) -> str:
    """What decides which parts of a page somebody sees."""
    names = sorted(call.site.access.menu(call.who.id, factor_age=call.factor_age))
    return " ".join(f"{name}!" if call.may(name, GATEWAY) else name for name in names)


def _response(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", charset="utf-8")
