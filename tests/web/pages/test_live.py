"""Promises of live updates: in order, without a gap, resumed where they stopped, cut when the right to them goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import delete, select

from flows.access import grants, people, roles
from flows.access.changes import Unit
from flows.access.tables import grant
from pipe.store.schema import feed
from pipe.store.transaction import Tx
from tests.web.pages.site import CONSOLE, Pages, Visitor, pages
from web.pages import live

LOGIN = "anna@ukc.gov.ua"


class Stream:
    """An open stream, read event by event."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> tuple[str, str, str]:
        """Id, name and data of the next event; empty texts at the end of the stream."""
        got = {"id": "", "event": "", "data": ""}
        async with asyncio.timeout(20):
            while line := (await self.response.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name in got:
                    got[name] = value
                elif line == "\n" and got["event"]:
                    break
        return got["id"], got["event"], got["data"]


@asynccontextmanager
async def following(visitor: Visitor, query: str, **headers: str) -> AsyncIterator[Stream]:
    """Follows feeds; the stream stands when this is entered."""
    async with visitor.client.get(f"/feed?{query}", headers=headers) as response:
        assert response.status == 200, await response.text()
        yield Stream(response)


async def say(site: Pages, *texts: str) -> list[int]:
    """Publishes events of the sessions' feed, each in a commit of its own."""
    store = site.gateway.store
    return [await store.write(partial(Tx.publish, topic="signin", event={"n": text})) for text in texts]


@pytest.fixture
async def visitor(site: Pages) -> AsyncIterator[Visitor]:
    """Somebody who may see sessions, signed in."""
    await site.person(LOGIN, "session.read")
    async with site.visitor() as made:
        await made.sign_in(LOGIN)
        yield made


async def test_events_come_in_order_from_where_the_page_knows_them(site: Pages, visitor: Visitor) -> None:
    """`after` is what the page was made from; what was committed since then comes first, then what is new."""
    numbers = await say(site, "a", "b")
    async with following(visitor, f"topics=signin&after={numbers[0]}") as stream:
        assert (await stream.next())[0::2] == (str(numbers[1]), "{}")
        fresh = await say(site, "c", "d")
        assert [(await stream.next())[0] for _ in fresh] == [str(each) for each in fresh]


async def test_a_stream_does_not_say_whom_an_event_is_about(site: Pages, visitor: Visitor) -> None:
    """Whoever may see one company's sessions hears that there is news; the list, which is filtered, says what."""
    other = await site.person("other@ukc.gov.ua")
    async with following(visitor, "topics=signin") as stream, site.visitor() as them:
        await them.sign_in("other@ukc.gov.ua")
        said = await stream.next()
        assert (said[1:], other in str(said)) == (("signin", "{}"), False)
    kept = await site.gateway.store.read(lambda connection: connection.execute(select(feed.c.event)).scalars().all())
    assert any(other in str(each) for each in kept)


async def test_a_lost_connection_goes_on_without_a_gap(site: Pages, visitor: Visitor) -> None:
    """`Last-Event-ID` outweighs the address, which is that of the first connection."""
    first, *missed = await say(site, "a", "b", "c")
    headers = {"Last-Event-ID": str(first)}
    async with following(visitor, "topics=signin&after=0", **headers) as stream:
        assert [(await stream.next())[0] for _ in missed] == [str(each) for each in missed]


async def test_where_events_are_gone_the_page_is_told_to_look_afresh(site: Pages, visitor: Visitor) -> None:
    """After pruning, and where a restored store has not reached that number yet."""
    numbers = await say(site, "a", "b", "c", "d")
    await site.gateway.store.write(lambda tx: tx.execute(delete(feed).where(feed.c.seq < numbers[3])))
    for known in (numbers[0], numbers[3] + 1000):
        async with following(visitor, "topics=signin&after=0", **{"Last-Event-ID": str(known)}) as stream:
            assert (await stream.next())[:2] == (str(numbers[3]), "reset")
            (fresh,) = await say(site, "e")
            assert (await stream.next())[0] == str(fresh)
            numbers[3] = fresh


async def test_a_stream_ends_with_its_session(site: Pages, visitor: Visitor) -> None:
    """At once when it is ended from elsewhere; what comes in the same moment after it is not told."""
    await site.person("boss@ukc.gov.ua", "session.read", "session.end", "person.read")
    async with following(visitor, "topics=signin") as stream, site.visitor() as boss:
        await boss.sign_in("boss@ukc.gov.ua")
        assert (await stream.next())[1] == "signin"
        page = await boss.get(f"/admin/sessions?q={LOGIN}")
        id_of = page.text.partition("/admin/sessions/")[2].partition("/end")[0]
        assert (await boss.post(f"/admin/sessions/{id_of}/end")).status == 200
        assert (await stream.next())[1:] == ("end", '{"why": "signed_out"}')
        assert await stream.next() == ("", "", "")
    assert (await visitor.get("/me")).url.path == "/login"


async def test_a_stream_ends_with_the_right_to_it(site: Pages, visitor: Visitor) -> None:
    """Within a second of the grant being revoked, whoever revokes it."""
    access = site.gateway.staff.access
    async with following(visitor, "topics=signin") as stream:
        (only,) = access.snapshot.grant
        began = asyncio.get_running_loop().time()
        await access.change(CONSOLE, lambda tx: grants.revoke(tx, CONSOLE, only, "test"))
        assert (await stream.next())[1:] == ("end", '{"why": "denied"}')
        assert asyncio.get_running_loop().time() - began < 1
    assert (await visitor.get("/feed?topics=signin")).status == 403
    assert grant.name == "access_grant"


async def test_an_open_page_hears_within_a_second_that_its_menu_is_another(site: Pages, visitor: Visitor) -> None:
    """Whoever gives or revokes the right; the quickest of three, for others may load the machine."""
    access, times = site.gateway.staff.access, []
    (me,) = access.snapshot.person
    await access.change(CONSOLE, lambda tx: roles.create(tx, CONSOLE, "keys", {"uk": "ключі"}, ["key.read"]))
    async with following(visitor, "topics=signin") as stream:
        for _ in range(3):
            began = asyncio.get_running_loop().time()
            given = await access.change(
                CONSOLE, lambda tx: grants.give(tx, CONSOLE, "keys", "person", me, scope="all", level=1, reason="test")
            )
            assert (await stream.next())[1] == "rights"
            times.append(asyncio.get_running_loop().time() - began)
            await access.change(CONSOLE, partial(grants.revoke, by=CONSOLE, id=given, reason="test"))
            assert (await stream.next())[1] == "rights"
    assert min(times) < 1


async def test_a_blocked_person_sees_no_more(site: Pages, visitor: Visitor) -> None:
    """Blocking is as good as ending the session."""
    access = site.gateway.staff.access
    async with following(visitor, "topics=signin") as stream:
        (one,) = [each.id for each in access.snapshot.person.values() if each.login == LOGIN]
        await access.change(CONSOLE, lambda tx: people.block(tx, CONSOLE, one, "test"))
        assert (await stream.next())[1:] == ("end", '{"why": "signed_out"}')


async def test_a_quiet_stream_says_that_it_lives(
    site: Pages, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that proxies and browsers know a quiet feed from a lost connection."""
    monkeypatch.setattr(live, "BEAT_S", 0.05)
    async with following(visitor, "topics=signin") as stream, asyncio.timeout(30):
        while b": beat" not in await stream.response.content.readline():
            pass


async def test_unknown_feeds_and_foreign_ones_are_refused(site: Pages, visitor: Visitor) -> None:
    """400 for a feed that is none, 403 for one that is for others, 401 for strangers, 429 past the limit."""
    answers = [(await visitor.get(f"/feed?topics={each}")).status for each in ("nothing", "access", "signin,access")]
    async with site.visitor() as stranger:
        answers.append((await stranger.get("/feed?topics=signin")).status)
    assert answers == [400, 403, 403, 401]


async def test_so_many_pages_follow_at_once_and_those_that_were_left_do_not_count(
    site: Pages, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever goes from page to page leaves streams behind that nobody has written to yet."""
    monkeypatch.setattr(live, "STREAMS", 2)
    for _ in range(5):
        async with following(visitor, "topics=signin") as stream:
            stream.response.close()
    async with following(visitor, "topics=signin"), following(visitor, "topics="):
        assert (await visitor.get("/feed?topics=signin")).status == 429


async def test_a_page_that_is_open_for_long_takes_no_more_room(
    site: Pages, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After hundreds of events a stream waits by as many marks as after the first; closed, by none."""
    monkeypatch.setattr(live, "BEAT_S", 0.1)
    store, streams = site.gateway.store, site.gateway.staff.site.streams

    def room() -> list[int]:
        kept = len(streams.kept._known), len(streams.kept._lasting)
        return [sum(map(len, store._listeners.values())), *kept, sum(map(len, streams._open.values()))]

    async with following(visitor, "topics=signin") as one, following(visitor, "topics=signin") as other:
        for _ in range(10):
            numbers = await say(site, *map(str, range(30)))
            for stream in (one, other):
                assert [(await stream.next())[0] for _ in numbers] == [str(each) for each in numbers]
        assert room()[1:] == [1, 0, 2]
        assert len(store._followed) <= 2
    async with asyncio.timeout(60):
        while room()[1:] != [0, 0, 0]:  # noqa: ASYNC110 — nobody tells that a closed page was noticed
            await asyncio.sleep(0.02)


async def test_stopping_ends_streams_at_once(site: Pages, visitor: Visitor) -> None:
    """A gateway that stops does not wait for pages that are open."""
    async with following(visitor, "topics=signin") as stream:
        await site.gateway.staff.stop()
        assert await stream.next() == ("", "", "")


async def test_a_busy_stream_ends_by_the_clock_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where events never stop coming, a session that is over and a grant that is over end the stream all the same."""
    monkeypatch.setattr(live, "LOOK_S", 0.05)
    monkeypatch.setattr(live, "GUARDS", ("access",))
    async with pages(tmp_path, "sign_in: {longest: 2s}\n") as site, site.visitor() as visitor:
        await site.person(LOGIN, "session.read")
        await visitor.sign_in(LOGIN)
        async with following(visitor, "topics=signin") as stream:
            talking = asyncio.create_task(_talk(site))
            got = await stream.next()
            while got[1] == "signin":
                got = await stream.next()
            talking.cancel()
    assert got[1:] == ("end", '{"why": "signed_out"}')


async def _talk(site: Pages) -> None:
    while True:
        await say(site, "on and on")
        await asyncio.sleep(0.01)


async def test_a_stream_ends_when_a_grant_is_over(site: Pages, visitor: Visitor) -> None:
    """By time alone, long before the next beat: nobody changes anything then."""
    access = site.gateway.staff.access

    def shorten(tx: Unit) -> None:
        (only,) = access.snapshot.grant.values()
        grants.revoke(tx, CONSOLE, only.id, "test")
        grants.give(
            tx, CONSOLE, only.role, "person", only.to_id, scope="all", valid_until=tx.now + 1.5, reason="for a moment"
        )

    await access.change(CONSOLE, shorten)
    async with following(visitor, "topics=signin") as stream:
        began = asyncio.get_running_loop().time()
        assert (await stream.next())[1:] == ("end", '{"why": "denied"}')
        assert asyncio.get_running_loop().time() - began < live.BEAT_S / 2
