"""How fast somebody may guess. Never a lock for good: each failure makes the pause before the next try longer.

A try is counted and committed before its password is looked at, so that a hundred at once are a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from sqlalchemy import delete, select, update

from flows.access.tables import failure
from flows.access.words import login_of
from pipe.errors import BadRequest
from pipe.store.transaction import Tx


@dataclass(frozen=True, slots=True)
class Limit:
    """How one kind of counter slows tries down."""

    kind: str
    free: int
    """failures before the first pause"""
    longest: float
    """seconds of the longest pause"""
    forgotten: float
    """seconds without a failure after which all is forgotten"""

    def pause(self, failures: int) -> float:
        """Seconds after so many failures: 1, 2, 4 … once the free ones are spent."""
        return 0.0 if failures < self.free else min(self.longest, 2.0 ** min(failures - self.free, 30))


PAIR = Limit("pair", free=3, longest=900, forgotten=86400)
"""one login from one address: whoever guesses there soon waits"""
LOGIN = Limit("login", free=10, longest=60, forgotten=86400)
"""one login from everywhere: its owner, elsewhere, waits a minute at most"""
ADDRESS = Limit("address", free=50, longest=30, forgotten=600)
"""one address with many logins: an office behind one address must still get in"""
CODE = Limit("code", free=3, longest=900, forgotten=86400)
"""the second factor of one person, over all sign-ins"""

Keyed = tuple[Limit, str]


def keys_of(hashed: Callable[..., str], login: str, address: str) -> list[Keyed]:
    """The counters of one try; keyed hashes, so that the table tells nobody who was tried."""
    login, address = _one_spelling(login), _one_source(address)
    return [
        (PAIR, hashed("signin", "pair", login, address)),
        (LOGIN, hashed("signin", "login", login)),
        (ADDRESS, hashed("signin", "address", address)),
    ]


def _one_spelling(login: str) -> str:
    """As a login is looked for: each other way to write it would have tries of its own."""
    try:
        return login_of(login)
    except BadRequest:  # what cannot be a login finds nobody
        return login.strip().casefold()


def _one_source(address: str) -> str:
    """An IPv6 network of 64 bits belongs to one household or host: its 2⁶⁴ addresses have the tries of one."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))


def code_key(hashed: Callable[..., str], person: str) -> list[Keyed]:
    """The counter of a person's second factor."""
    return [(CODE, hashed("signin", "code", person))]


def begin(tx: Tx, keys: Iterable[Keyed]) -> float:
    """Counts a try as failed, for now. Returns 0, or the seconds until one is allowed: then nothing was counted."""
    found = {key: _row(tx, limit, key) for limit, key in keys}
    wait = max((until - tx.now for _, until in found.values()), default=0.0)
    if wait > 0:
        return wait
    for limit, key in keys:
        n = found[key][0] + 1
        tx.execute(delete(failure).where(failure.c.source == key))
        tx.insert(failure, source=key, failures=n, at=tx.now, next_at=tx.now + limit.pause(n))
    return 0.0


def succeed(tx: Tx, keys: Iterable[Keyed]) -> None:
    """The try was right: the login's failures are forgotten, the address only loses this one."""
    for limit, key in keys:
        if limit is ADDRESS:
            one_less = {"failures": failure.c.failures - 1, "next_at": tx.now}
            tx.execute(update(failure).where(failure.c.source == key).values(one_less))
        else:
            tx.execute(delete(failure).where(failure.c.source == key))


def _row(tx: Tx, limit: Limit, key: str) -> tuple[int, float]:
    row = tx.execute(select(failure).where(failure.c.source == key)).first()
    if row is None or row.at < tx.now - limit.forgotten:
        return 0, 0.0
    # A clock that was set back must not lock anybody out for longer than the pause itself.
    return max(0, row.failures), min(row.next_at, tx.now + limit.longest)
