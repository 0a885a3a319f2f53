"""Operations: what can be asked over HTTP by people (pages, forms) and programs (`/api/v1`), from the same functions.

An area collects its operations; the router finds them. An operation that declares no permission cannot be written.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from pipe.errors import MethodNotAllowed, NotFound
from web.pages.permission import Permission

API = "/api/v1"
Handler = Callable[..., Awaitable[Any]]
Kind = Literal["page", "action", "raw"]
_PART = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class Nav:
    """Where a page stands in the menu; shown to those who may open it."""

    section: str
    """key of its heading"""
    key: str
    """key of its name"""
    icon: str
    order: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked."""

    name: str
    kind: Kind
    method: str
    path: str
    permission: Permission
    handler: Handler
    takes: type[BaseModel] | None
    gives: Any
    summary: str
    template: str | None = None
    on: Operation | None = None
    """the page whose form an action is: shown again where something is wrong with it"""
    api: str | None = None
    """method and path below `/api/v1`, such as `GET /people`"""
    nav: Nav | None = None
    early: bool = False
    """allowed before the person has done what must be done first, such as choosing a password"""
    result: type[BaseModel] | None = None
    """what an action's Done or Show holds for the API"""
    status: int = 200
    """of the API's answer where that is not nothing"""
    media: str = ""
    """of what a raw operation answers with"""
    alike: bool = False
    """a page that shows the same to all who have the same rights"""
    whole: bool = False
    """it concerns the gateway as a whole: a right that is given for one company is not enough"""

    @property
    def form(self) -> str:
        """By what name templates find its form."""
        return self.name.partition(".")[2]


class Area:
    """The operations of one part of the site, such as `admin`."""

    def __init__(self, name: str, *, whole: bool = False) -> None:
        """`whole`: its operations concern the gateway as a whole, see `Operation.whole`."""
        self.name, self.whole = name, whole
        self.operations: list[Operation] = []

    def page(
        self,
        path: str,
        template: str,
        *,
        permission: Permission,
        api: str | None = None,
        nav: Nav | None = None,
        early: bool = False,
        alike: bool = False,
    ) -> Callable[[Handler], Operation]:
        """A page for GET: what the function gives is `it` of the template, and the JSON of the API.

        `alike`: it shows the same to all who have the same rights.
        """
        return lambda handler: self._add(
            handler, "page", "GET", path, permission, template=template, api=api, nav=nav, early=early, alike=alike
        )

    def action(
        self,
        path: str,
        *,
        permission: Permission,
        on: Operation | None = None,
        api: str | None = None,
        early: bool = False,
        result: type[BaseModel] | None = None,
        status: int = 200,
    ) -> Callable[[Handler], Operation]:
        """A form for POST; the function takes the form's model and gives Done or Show, with `result` for the API."""
        return lambda handler: self._add(
            handler, "action", "POST", path, permission, on=on, api=api, early=early, result=result, status=status
        )

    def raw(
        self,
        path: str,
        *,
        permission: Permission,
        method: str = "GET",
        early: bool = False,
        api: str | None = None,
        media: str = "",
    ) -> Callable[[Handler], Operation]:
        """An operation that makes its own response: a file, a stream, a redirect; for the API, of which media type."""
        return lambda handler: self._add(handler, "raw", method, path, permission, early=early, api=api, media=media)

    def _add(
        self, handler: Handler, kind: Kind, method: str, path: str, permission: Permission, **more: Any
    ) -> Operation:
        hints = typing.get_type_hints(handler)
        gives = hints.pop("return", None)
        inputs = list(inspect.signature(handler).parameters)[1:]
        takes = hints[inputs[0]] if inputs else None
        summary = (inspect.getdoc(handler) or "").splitlines()[0]
        operation = Operation(
            f"{self.name}.{handler.__name__}", kind, method, path, permission, handler, takes, gives, summary,
            whole=self.whole, **more,
        )  # fmt: skip
        self.operations.append(operation)
        return operation


@dataclass(frozen=True, slots=True)
class Match:
    """The operation that a request means."""

    operation: Operation
    params: dict[str, str]
    by_api: bool


@dataclass(frozen=True, slots=True)
class _Place:
    shape: re.Pattern[str]
    method: str
    operation: Operation
    by_api: bool


class Router:
    """Finds the operation of a request."""

    def __init__(self, areas: Iterable[Area]) -> None:
        self.operations = [operation for area in areas for operation in area.operations]
        self._places = [place for operation in self.operations for place in _places(operation)]
        # What is written out comes before what a `{name}` would take, too.
        self._places.sort(key=lambda place: place.shape.pattern.count("(?P<"))
        seen: set[tuple[str, str]] = set()
        for place in self._places:
            key = place.method, place.shape.pattern
            if key in seen:
                raise ValueError(f"{place.operation.name}: another operation has {key[0]} of its path")
            seen.add(key)

    def find(self, method: str, path: str) -> Match:
        """Raises NotFound, or MethodNotAllowed where the path is served for other methods."""
        if "\0" in path:
            raise NotFound("nothing is served at an address with a NUL character")
        method = "GET" if method == "HEAD" else method
        allowed: set[str] = set()
        meant: re.Pattern[str] | None = None
        for place in self._places:
            if meant is not None and place.shape != meant:
                continue  # the address of something that is written out is not also that of a thing of this name
            if (found := place.shape.fullmatch(path)) is not None:
                if place.method == method:
                    return Match(place.operation, found.groupdict(), place.by_api)
                meant = place.shape
                allowed.add(place.method)
        if allowed:
            allow = ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
            raise MethodNotAllowed(allow=allow)
        raise NotFound("nothing is served at this address")

    def menu(self) -> list[Operation]:
        """The pages of the menu, in order."""
        return sorted(
            (each for each in self.operations if each.nav), key=lambda each: each.nav.order if each.nav else 0
        )

    def prefixes(self) -> set[str]:
        """The first parts of all paths: where the listeners hand requests over."""
        return {f"/{operation.path.split('/')[1]}" for operation in self.operations} | {API}


def _places(operation: Operation) -> Iterator[_Place]:
    yield _Place(_shape(operation.path), operation.method, operation, by_api=False)
    if operation.api is not None:
        method, _, path = operation.api.partition(" ")
        yield _Place(_shape(API + path), method, operation, by_api=True)


def _shape(path: str) -> re.Pattern[str]:
    return re.compile(_PART.sub(r"(?P<\1>[^/]+)", path))
