"""Operations that every page has: language and colours, live updates, the way from `/`."""

from __future__ import annotations

from typing import Literal

from aiohttp import web
from pydantic import Field

from web.pages import cookies
from web.pages.call import Call
from web.pages.forms import Input
from web.pages.live import Follow
from web.pages.permission import PUBLIC, SIGNED_IN
from web.pages.results import Done
from web.pages.router import Area

AREA = Area("common")


class Look(Input):
    """How pages are to look and speak, for this browser."""

    language: Literal["uk", "en"] | None = Field(default=None, description="Language of the pages.")
    theme: Literal["system", "light", "dark"] | None = Field(default=None, description="Colours.")
    back: str = Field(default="/", max_length=2000, description="The page to come back to.")


@AREA.action("/look", permission=PUBLIC, early=True)
async def look(call: Call, form: Look) -> Done:
    """Keeps language and colours in the browser."""

    def keep(response: web.StreamResponse) -> None:
        if form.language:
            cookies.put(response, cookies.LANGUAGE, form.language, age=cookies.YEAR_S)
        if form.theme:
            cookies.put(response, cookies.THEME, form.theme, age=cookies.YEAR_S)

    call.response = keep
    return Done(local(form.back))


@AREA.raw("/", permission=PUBLIC, early=True)
async def begin(call: Call) -> web.StreamResponse:
    """Leads to the first page that one may see; to the sign-in where nobody has signed in."""
    goal = call.site.start(call) if call.person is not None else "/login"
    return web.Response(status=303, headers={"Location": goal})


@AREA.raw("/feed", permission=SIGNED_IN)
async def feed(call: Call, ask: Follow) -> web.StreamResponse:
    """Events of the store's feeds as Server-Sent Events, from `Last-Event-ID` or `after` on."""
    return await call.site.streams.serve(call, ask)


def local(path: str) -> str:
    """The path where it leads to a page of ours, else the start."""
    good = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if good else "/"
