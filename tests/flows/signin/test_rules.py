"""Promises of sign-in's rules, without HTTP: pauses, codes of apps, keys, passwords."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from hypothesis import given
from hypothesis import strategies as st

from flows import access, signin
from flows.signin import api_keys, challenges, first, passwords, sessions, throttle, totp
from pipe.errors import BadRequest
from pipe.store.store import Store
from pipe.store.transaction import Tx
from pipe.testing import FakeClock

RFC = b"12345678901234567890"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store whose time stands still."""
    made = Store(tmp_path / "data", url=None, clock=FakeClock())
    await made.open([(flow.name, flow.migrations) for flow in (access.FLOW, signin.FLOW)])
    made.start()
    yield made
    await made.close()


# --- codes of an app ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_codes_are_those_of_the_rfc(at: int, code: str) -> None:
    """The vectors of RFC 6238, appendix B, their last six digits."""
    assert totp.step_of(RFC, code, at) == at // 30


def test_a_code_is_good_a_step_before_and_after_and_no_longer() -> None:
    """Clocks of telephones differ; two steps are too much."""
    found = [totp.step_of(RFC, "005924", 1234567890 + 30 * steps) is not None for steps in (-2, -1, 0, 1, 2)]
    assert found == [False, True, True, True, False]


def test_the_qr_code_says_what_apps_expect() -> None:
    """Secret, issuer and name, in the form that they all read."""
    url = urlsplit(totp.address(RFC, "леся@ukc.gov.ua"))
    assert (url.scheme, url.netloc) == ("otpauth", "totp")
    assert parse_qs(url.query)["secret"] == [base64.b32encode(RFC).decode()]
    assert len(totp.new_secret()) * 8 >= 160


async def test_a_code_is_spent_by_its_use(store: Store) -> None:
    """The same digits do not open twice, nor does an older code after a newer one."""
    vault = store.vault
    secret = await store.write(lambda tx: totp.set_up(tx, vault, "p"))
    codes = TOTP(secret, 6, SHA1(), 30, enforce_key_length=False)  # noqa: S303 — apps know no other
    now = store.clock.now()
    before, current = (codes.generate(now - 30).decode(), codes.generate(now).decode())
    assert not await store.write(lambda tx: totp.use(tx, vault, "p", current))
    assert await store.write(lambda tx: totp.use(tx, vault, "p", current, confirmed=False))
    assert not await store.write(lambda tx: totp.use(tx, vault, "p", current))
    assert not await store.write(lambda tx: totp.use(tx, vault, "p", before))
    kept = await store.read(
        lambda connection: connection.exec_driver_sql("SELECT secret FROM access_totp").scalar_one()
    )
    assert secret not in bytes(kept)


# --- pauses -----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000))
def test_pauses_grow_to_their_longest_and_never_lock_for_good(failures: int) -> None:
    """Each is at least as long as the one before, and none longer than its limit says."""
    for limit in (throttle.PAIR, throttle.LOGIN, throttle.ADDRESS, throttle.CODE):
        pause = limit.pause(failures)
        assert 0 <= limit.pause(max(0, failures - 1)) <= pause <= limit.longest
        assert (pause == 0) == (failures < limit.free)


async def test_tries_are_counted_before_they_are_looked_at(store: Store) -> None:
    """Of a hundred at once only the free ones are looked at; a right one wipes the slate; a day does, too."""
    keys = throttle.keys_of(store.vault.hash, "anna", "10.0.0.1")
    waits = [await store.write(lambda tx: throttle.begin(tx, keys)) for _ in range(100)]
    assert [wait == 0 for wait in waits] == [True] * 3 + [False] * 97
    elsewhere = throttle.keys_of(store.vault.hash, "ANNA ", "10.0.0.2")
    assert await store.write(lambda tx: throttle.begin(tx, elsewhere)) == 0
    await store.write(lambda tx: throttle.succeed(tx, keys))
    assert await store.write(lambda tx: throttle.begin(tx, keys)) == 0


async def test_who_waits_gets_in_after_the_pause(store: Store) -> None:
    """The pause that is told is the one that is kept."""
    clock = store.clock
    assert isinstance(clock, FakeClock)
    keys = throttle.keys_of(store.vault.hash, "anna", "10.0.0.1")
    for _ in range(3):
        await store.write(lambda tx: throttle.begin(tx, keys))
    wait = await store.write(lambda tx: throttle.begin(tx, keys))
    await clock.advance(wait - 0.01)
    assert await store.write(lambda tx: throttle.begin(tx, keys)) > 0
    await clock.advance(0.02)
    assert await store.write(lambda tx: throttle.begin(tx, keys)) == 0


# --- keys, sessions, challenges, the first password ------------------------------------------------------------------


async def test_a_key_opens_until_it_ends_and_only_its_hash_is_kept(store: Store) -> None:
    """Mistyped ones fail by their checksum; two live at a time, a third is refused."""

    def issue(tx: Tx) -> tuple[str, str]:
        return api_keys.issue(tx, "p", name="x", permissions=["a.b"], lasts=60, by="me")

    (id_of, key), (_, second) = await store.write(issue), await store.write(issue)
    now = store.clock.now()
    assert re.fullmatch(r"pipeapi_[0-9a-z]{8}_[0-9a-z]{52}_[0-9a-z]{6}", key)
    with pytest.raises(BadRequest, match="two keys"):
        await store.write(issue)
    found = await store.read(lambda connection: api_keys.find(connection, key, now))
    assert found is not None
    assert (found.covers("a.b"), found.covers("a.c")) == (True, False)
    typo = f"{key[:20]}{'0' if key[20] != '0' else '1'}{key[21:]}"
    for wrong in (typo, key[:-1], "", "pipeapi___", second.replace(second[8:16], id_of)):
        assert await store.read(partial(api_keys.find, whole=wrong, now=now)) is None
    assert await store.read(lambda connection: api_keys.find(connection, key, now + 61)) is None
    assert await store.write(lambda tx: api_keys.end(tx, id_of, "me"))
    assert await store.read(lambda connection: api_keys.find(connection, key, now)) is None
    assert key.encode() not in (store.data / "pipe.db-wal").read_bytes()


async def test_a_session_ends_when_idle_when_old_and_when_it_is_ended(store: Store) -> None:
    """Each of the three, and one that began in the future of a clock that was set back."""
    now = store.clock.now()

    async def good(token: str, at: float) -> bool:
        return await store.read(lambda connection: sessions.find(connection, token, at)) is not None

    def begin(tx: Tx) -> str:
        return sessions.begin(tx, "p", address="a", agent="b", factors=["password"], longest=1000)

    token = await store.write(begin)
    assert [await good(token, now + at) for at in (0, 899, 901, -901)] == [True, True, False, False]
    await store.write(lambda tx: sessions.seen(tx, sessions.hashed(token)))
    assert [await good(token, now + at) for at in (899, 1001)] == [True, False]
    assert await store.write(lambda tx: sessions.end_all_of(tx, "p", "me")) == 1
    assert not await good(token, now)
    assert token.encode() not in (store.data / "pipe.db-wal").read_bytes()


async def test_a_challenge_has_five_tries_and_ends_once(store: Store) -> None:
    """The sixth try is not counted, and of two that close it one does."""
    token, made = await store.write(lambda tx: challenges.begin(tx, "p", "totp", means="password", goal="/"))
    counted = [await store.write(lambda tx: challenges.count(tx, made.id)) for _ in range(7)]
    assert counted == [True] * 5 + [False] * 2
    assert await store.read(lambda connection: challenges.find(connection, token, made.created_at)) is None
    assert [await store.write(lambda tx: challenges.close(tx, made.id)) for _ in range(2)] == [True, False]


async def test_the_first_password_lasts_a_day_and_the_next_one_takes_its_place(store: Store) -> None:
    """However it is typed; never both."""
    old, now = await store.write(first.make), store.clock.now()
    new = await store.write(first.make)
    checks = [(old, 0), (new, 0), (f" {new.upper()} ", 86399), (new, 86401), ("", 0)]
    found = [await store.read(partial(first.right, text=text, now=now + at)) for text, at in checks]
    assert found == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("short", "short"), ("x" * 257, "long"), ("aaaaaaaaaaaaaa", "plain"), ("Administrator", "plain"),
     ("kravets-and-more", "login"), ("зелений чайник", None)],
)  # fmt: skip
def test_passwords_that_will_not_do_are_told_why(text: str, wrong: str | None) -> None:
    """Too short, too long, too plain, or with the person's own name in it."""
    assert passwords.mistake(text, "kravets@ukc.gov.ua", "Леся") == wrong


@pytest.mark.parametrize(
    "spelling", ["Olena@ukc.gov.ua", " olena@ukc.gov.ua", "ｏlena@ukc.gov.ua", "olena@ukc.gov.u\uff41"]
)
def test_every_spelling_of_a_login_has_the_same_tries(spelling: str) -> None:
    """A login is found however it is written; if each spelling were counted apart there would be no end of tries."""

    def together(*parts: str) -> str:
        return "|".join(parts)

    assert throttle.keys_of(together, spelling, "::1") == throttle.keys_of(together, "olena@ukc.gov.ua", "::1")


def test_the_addresses_of_one_ipv6_network_have_the_same_tries() -> None:
    """Whoever has one address of a network has 2⁶⁴; IPv4 is counted by address, however it is written."""

    def source(address: str) -> str:
        return throttle.keys_of(lambda *parts: parts[-1], "x", address)[-1][1]

    assert source("2001:db8:1:2::1") == source("2001:db8:1:2:ffff::9") != source("2001:db8:1:3::1")
    assert source("::ffff:192.0.2.7") == source("192.0.2.7") != source("192.0.2.8")
    assert source("fe80::1%eth0") == source("fe80::2")
    assert source("") == ""
