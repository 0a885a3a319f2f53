"""What a security officer wants to see ready-made: each finding says who, what, since when, and what to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import Connection, select

from flows.access.compiling import Compiled
from flows.access.difference import anywhere, holding_both
from flows.access.explaining import holders
from flows.access.guarding import KEEPERS
from flows.access.loading import load
from flows.access.tables import person, use
from flows.signin.factors import any_second
from pipe.store.schema import audit

KYIV = ZoneInfo("Europe/Kyiv")
DAY_S = 86400.0
DORMANT_S = 30 * DAY_S
UNUSED_S = 90 * DAY_S
FAILURES = 5
"""failed sign-ins from one source, or of one login, within a day"""
SOON_S = 3600.0
WAITING_S = 3 * DAY_S
BEGIN, END = 8, 20
"""hours of a working day in Kyiv"""
LOOK_BACK_S = 7 * DAY_S
GIVING = ("grant.given", "grant.approved", "access.emergency")
AREAS = (
    "role.", "grant.", "forbid.", "separation.", "field.", "person.", "service.", "key.", "apikey.", "password.reset",
    "secret.", "company.", "unit.", "position.", "group.",
)  # fmt: skip
"""beginnings of the events that change who may do what"""
QUIET = ("signin.", "session.", "audit.", "access.denied", "password.changed", "totp.")
"""events that are no use of a right"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at."""

    kind: str
    who: str
    at: float | None
    uk: str
    en: str


def findings(connection: Connection, now: float) -> list[Finding]:
    """All of them, the kinds in a fixed order."""
    compiled = Compiled(load(connection))
    rows = _recent(connection, now)
    return [
        *_dormant(connection, compiled, now),
        *_unprotected(connection, compiled, now),
        *_unused(connection, compiled, now),
        *_failed(rows, now),
        *_soon_used(rows),
        *_at_odd_hours(rows),
        *_outlived(compiled),
        *_waiting(compiled, now),
        *_emergencies(rows),
        *_both_halves(compiled, now),
    ]


def _recent(connection: Connection, now: float) -> list[Mapping[str, Any]]:
    query = select(audit).where(audit.c.at >= now - LOOK_BACK_S).order_by(audit.c.seq)
    return [dict(row) for row in connection.execute(query).mappings()]


def _dormant(connection: Connection, compiled: Compiled, now: float) -> Iterator[Finding]:
    """Administrators who have not signed in for a month."""
    seen = {row.id: row for row in connection.execute(select(person.c.id, person.c.signed_in_at, person.c.created_at))}
    able = {each for name in KEEPERS for each in anywhere(compiled.snapshot, name, now, compiled)}
    for each in sorted(able):
        last = seen[each].signed_in_at or seen[each].created_at
        if now - last >= DORMANT_S:
            login, days = compiled.snapshot.person[each].login, int((now - last) // DAY_S)
            yield Finding(
                "dormant_administrator",
                login,
                last,
                f"{login} може надавати права скрізь, а не входить уже {days} дн.: відкличте права або заблокуйте.",
                f"{login} can give rights everywhere and has not signed in for {days} days: take the rights back.",
            )


def _unprotected(connection: Connection, compiled: Compiled, now: float) -> Iterator[Finding]:
    """Administrators whom a password alone lets in."""
    able = {each for name in KEEPERS for each in anywhere(compiled.snapshot, name, now, compiled)}
    bare = select(person.c.login, person.c.created_at).where(
        person.c.id.in_(sorted(able)), person.c.kind == "person", ~any_second()
    )
    for row in connection.execute(bare.order_by(person.c.login)):
        yield Finding(
            "no_second_factor",
            row.login,
            row.created_at,
            f"{row.login} може надавати права скрізь, а входить лише з паролем: потрібен другий чинник.",
            f"{row.login} can give rights everywhere and signs in with a password alone: a second factor is needed.",
        )


def _unused(connection: Connection, compiled: Compiled, now: float) -> Iterator[Finding]:
    """Grants of whose permissions nobody has used one for a quarter."""
    snapshot = compiled.snapshot
    used = {(row.person, row.permission): row.at for row in connection.execute(select(use))}
    for grant in snapshot.grant.values():
        if now - grant.granted_at < UNUSED_S or grant.role not in snapshot.role:
            continue
        people = holders(snapshot, [(grant.to_kind, grant.to_id)])
        names = snapshot.permissions_of[grant.role]
        last = max((used.get((who, name), 0.0) for who in people for name in names), default=0.0)
        if now - last >= UNUSED_S:
            whom = f"{grant.to_kind}:{grant.to_id}"
            if grant.to_kind == "person" and grant.to_id in snapshot.person:
                whom = snapshot.person[grant.to_id].login
            yield Finding(
                "unused_grant",
                whom,
                last or grant.granted_at,
                f"Роль {grant.role} для {whom} не використано жодного разу за 90 днів: чи потрібна вона? ({grant.id})",
                f"The role {grant.role} of {whom} was not used once in 90 days: is it needed? ({grant.id})",
            )


def _failed(rows: list[Mapping[str, Any]], now: float) -> Iterator[Finding]:
    """Many failed sign-ins from one address, or of one login."""
    sources: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        if row["event"] == "signin.failed" and now - row["at"] < DAY_S:
            if row["target"]:  # of an unknown login nothing is kept but the address
                sources["login", row["target"]].append(row["at"])
            sources["address", str(_facts(row).get("address", "?"))].append(row["at"])
    for (kind, name), times in sorted(sources.items()):
        if len(times) >= FAILURES:
            yield Finding(
                f"failed_sign_ins_by_{kind}",
                name,
                times[-1],
                f"{len(times)} невдалих входів за добу: {name}.",
                f"{len(times)} failed sign-ins within a day: {name}.",
            )


def _soon_used(rows: list[Mapping[str, Any]]) -> Iterator[Finding]:
    """Rights that were given and used within the hour."""
    given: dict[str, tuple[float, str, str]] = {}
    told: set[tuple[str, float]] = set()
    for row in rows:
        if row["event"] in GIVING and "/" not in row["target"]:
            given[row["target"]] = (row["at"], row["actor"], str(_facts(row).get("role", "")))
        login = row["actor"].rpartition("/")[2]
        at, by, role = given.get(login, (0.0, "", ""))
        if not at or row["actor"] == login or row["event"].startswith(QUIET) or row["event"] in GIVING:
            continue
        if row["at"] - at < SOON_S and (login, at) not in told:
            told.add((login, at))
            minutes = int((row["at"] - at) // 60)
            yield Finding(
                "given_and_used",
                login,
                row["at"],
                f"{by} надав {login} роль {role}, і вже через {minutes} хв було {row['event']} {row['target']}.",
                f"{by} gave {login} the role {role}, and {minutes} minutes later came {row['event']} {row['target']}.",
            )


def _at_odd_hours(rows: list[Mapping[str, Any]]) -> Iterator[Finding]:
    """Changes of rights at night and on days off."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        local = datetime.fromtimestamp(row["at"], KYIV)
        odd = local.weekday() >= 5 or not BEGIN <= local.hour < END
        if odd and row["event"].startswith(AREAS) and row["actor"] != "gateway":
            found[row["actor"]].append(row)
    for actor, changes in sorted(found.items()):
        events = ", ".join(sorted({row["event"] for row in changes})[:4])
        yield Finding(
            "out_of_hours",
            actor,
            changes[-1]["at"],
            f"{actor}: {len(changes)} змін поза робочим часом ({events}).",
            f"{actor}: {len(changes)} changes out of working hours ({events}).",
        )


def _outlived(compiled: Compiled) -> Iterator[Finding]:
    """Grants by name that are older than the person's last move."""
    snapshot = compiled.snapshot
    for grant in snapshot.grant.values():
        who = snapshot.person.get(grant.to_id) if grant.to_kind == "person" else None
        if who is not None and who.moved_at is not None and grant.granted_at < who.moved_at:
            yield Finding(
                "outlived_a_move",
                who.login,
                who.moved_at,
                f"{who.login} змінив місце, а роль {grant.role} надано до того: чи потрібна вона ще? ({grant.id})",
                f"{who.login} has moved since the role {grant.role} was given: is it still needed? ({grant.id})",
            )


def _waiting(compiled: Compiled, now: float) -> Iterator[Finding]:
    """Grants of level 3 that nobody has approved for days."""
    for grant in compiled.snapshot.grant.values():
        if grant.waits and now - grant.granted_at >= WAITING_S:
            yield Finding(
                "waits_for_approval",
                grant.granted_by,
                grant.granted_at,
                f"Роль {grant.role} ({grant.id}) чекає на другу людину більше трьох днів.",
                f"The role {grant.role} ({grant.id}) has waited for a second person for more than three days.",
            )


def _emergencies(rows: list[Mapping[str, Any]]) -> Iterator[Finding]:
    """Every emergency of the week: somebody should read its reason."""
    for row in rows:
        if row["event"] == "access.emergency":
            facts = _facts(row)
            yield Finding(
                "emergency",
                row["target"],
                row["at"],
                f"{row['target']} взяв аварійну роль {facts.get('role')}: {facts.get('reason')}",
                f"{row['target']} took the emergency role {facts.get('role')}: {facts.get('reason')}",
            )


def _both_halves(compiled: Compiled, now: float) -> Iterator[Finding]:
    """People whom their places gave both halves of a separation: they have neither now."""
    for rule in compiled.snapshot.separation.values():
        if rule.kind != "static":
            continue
        for who in sorted(holding_both(compiled.snapshot, rule.first, rule.second, compiled, now)):
            login = compiled.snapshot.person[who].login
            yield Finding(
                "both_halves",
                login,
                None,
                f"{login} має і {rule.first}, і {rule.second}: за правилом {rule.id} не діє жодне.",
                f"{login} has both {rule.first} and {rule.second}: by the rule {rule.id} neither is in force.",
            )


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    found = orjson.loads(row["after"]) if row["after"] else {}
    return found if isinstance(found, dict) else {}
