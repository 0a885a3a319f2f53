"""One request as a handler sees it: who asks, in which language, and the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web
from sqlalchemy import ColumnElement, Connection, false

from flows.access.changes import Actor, Unit
from flows.access.engine import Need
from flows.access.filtering import Protected
from flows.access.model import Object
from flows.access.people import Person
from flows.signin.api_keys import Key
from flows.signin.sessions import Session
from pipe.errors import Denied, SignedOut
from pipe.operations.host import Host, Progress
from pipe.store.transaction import Tx
from web.pages.cookies import THEME
from web.pages.forms import EMPTY, Form
from web.pages.permission import Open, Permission
from web.pages.words import Words
from web.server import Request

if TYPE_CHECKING:
    from web.pages.router import Operation
    from web.pages.site import Site

T = TypeVar("T")


@dataclass(slots=True)
class Call:
    """Made for each request; handlers read it and leave it as it is."""

    site: Site
    request: Request
    operation: Operation
    params: Mapping[str, str]
    by_api: bool
    words: Words
    token: str = ""
    """of the session, or of a visitor who has none yet"""
    fresh: bool = False
    """whether the token was made for this request, so that the answer must bring it"""
    person: Person | None = None
    session: Session | None = None
    key: Key | None = None
    must: str = ""
    """what has to be done before anything else: `password`"""
    form: Form = EMPTY
    """the form of this page as it was sent back"""
    response: Callable[[web.StreamResponse], None] | None = field(default=None)
    """what a handler wants done to the answer, such as a cookie"""

    @property
    def who(self) -> Person:
        """The person. For operations that are not public."""
        assert self.person is not None
        return self.person

    @property
    def actor(self) -> str:
        """How the audit names who asks."""
        if self.person is None:
            return "visitor"
        return self.person.actor

    @property
    def address(self) -> str:
        """Where the request came from."""
        return self.request.remote or ""

    @property
    def agent(self) -> str:
        """What the browser says it is."""
        return self.request.headers.get("User-Agent", "")

    @property
    def back(self) -> str:
        """This page, for what leads away from it and back."""
        return self.request.path_qs if self.request.method == "GET" else self.request.path

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self.site.clock.now()

    @property
    def csrf(self) -> str:
        """What a form of this page must bring back."""
        return self.site.csrf(self.token)

    @property
    def factor_age(self) -> float | None:
        """Seconds since the last second factor of this session; None: there was none."""
        at = self.session.factor_at if self.session is not None else None
        return None if at is None else max(0.0, self.now - at)

    @property
    def menu_mark(self) -> str:
        """Another word whenever other menus and buttons are to be shown."""
        names = sorted(self.site.access.menu(self.who.id, factor_age=self.factor_age))
        return hashlib.sha256("|".join(names).encode()).hexdigest()[:12]

    @property
    def by(self) -> Actor:
        """Who asks, as changes of rights want to know it."""
        return Actor(self.actor, self.who.id, self.address)

    def may(self, permission: Permission, thing: Object | None = None) -> bool:
        """Whether the one who asks may do this to a thing, or to anything; with an API key no more than it is for."""
        if isinstance(permission, Open):
            return permission is Open.PUBLIC or self.person is not None
        if self.person is None or (self.key is not None and not self.key.covers(permission)):
            return False
        return self.site.access.may(self.person.id, permission, thing, factor_age=self.factor_age)

    def require(self, permission: Permission, thing: Object | None = None) -> None:
        """Raises Denied, with the reason in the reader's language and whom to ask, unless that may be."""
        if self.may(permission, thing):
            return
        if isinstance(permission, Open) or self.person is None:
            raise SignedOut
        if self.key is not None and not self.key.covers(permission):
            raise Denied(f"this key is not for {permission}", permission=permission, reason="key")
        why = self.site.access.why_not(self.who.id, permission, thing, factor_age=self.factor_age)
        said = why.uk if self.words.language == "uk" and not self.by_api else why.en
        raise Denied(said, hint=_hint(why.ask), permission=permission, reason=why.reason, ask=", ".join(why.ask))

    def rows(self, permission: str, table: Protected) -> ColumnElement[bool]:
        """The WHERE of the rows on which the one who asks may do this."""
        if self.key is not None and not self.key.covers(permission):
            return false()
        return self.site.access.filter(self.who.id, permission, table, factor_age=self.factor_age)

    def host(self, progress: Progress = lambda done, total, text: None) -> Host:
        """What operations of the gateway work on; they are done in the name of who asks."""
        return self.site.host(self.actor, progress)

    async def change(self, unit: Callable[[Unit], T], *needs: Need) -> T:
        """Runs a unit of work that changes who may do what: demanded, guarded, and in force when it returns."""
        for need in needs:
            self.require(need.permission, need.thing)
        return await self.site.access.change(self.by, unit, *needs)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Runs a query on a read-only connection."""
        return await self.site.store.read(query)

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Runs a unit of work; what it audits is in the name of who asks. Returns after its commit."""
        actor = self.actor

        def named(tx: Tx) -> T:
            tx.actor = actor
            return unit(tx)

        return await self.site.store.write(named)

    def context(self) -> dict[str, Any]:
        """What every template gets."""
        return {"call": self, "me": self.person, "form": self.form_of}

    def form_of(self, name: str) -> Form:
        """The form of an action of this page: as it was sent back, else empty."""
        return self.form if self.form.name == name else Form(name)

    @property
    def theme(self) -> str:
        """`light`, `dark`, or nothing: as the system has it."""
        chosen = self.request.cookies.get(THEME, "")
        return chosen if chosen in {"light", "dark"} else ""


def _hint(ask: Sequence[str]) -> str:
    return f"ask {', '.join(ask)}" if ask else "ask whoever administers rights"
