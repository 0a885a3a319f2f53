"""Companies, units, positions, groups: the tree, and its changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from flows.access import organisation as o
from flows.access.changes import Actor, Unit
from flows.access.operations.frame import act, opened
from pipe.errors import BadRequest
from pipe.operations.host import Host

What = Literal["company", "unit", "position", "group"]


async def tree(host: Host) -> dict[str, Any]:
    """Companies with their units, positions and who is in them; and the groups."""
    snapshot = (await opened(host)).snapshot
    people: dict[tuple[str, str], list[str]] = {}
    for person in snapshot.person.values():
        for place in person.memberships:
            people.setdefault((place.kind, place.of), []).append(person.login)

    def here(kind: str, name: str) -> list[str]:
        return sorted(people.get((kind, name), ()))

    def units(company: str, parent: str | None) -> list[dict[str, Any]]:
        return [
            {
                "id": unit.id,
                "name_uk": unit.name_uk,
                "name_en": unit.name_en,
                "people": here("unit", unit.id),
                "positions": [
                    {"id": each.id, "title": each.title, "name_uk": each.name_uk, "people": here("position", each.id)}
                    for each in snapshot.position.values()
                    if each.unit == unit.id
                ],
                "units": units(company, unit.id),
            }
            for unit in snapshot.unit.values()
            if unit.company == company and unit.parent == parent
        ]

    return {
        "companies": [
            {
                "id": each.id,
                "section": each.section,
                "name_uk": each.name_uk,
                "name_en": each.name_en,
                "state": each.state,
                "units": units(each.id, None),
            }
            for each in sorted(snapshot.company.values(), key=lambda each: _section(each.section))
        ],
        "groups": [
            {
                "id": each.id,
                "company": each.company,
                "name_uk": each.name_uk,
                "name_en": each.name_en,
                "people": here("group", each.id),
            }
            for each in snapshot.group.values()
        ],
    }


async def add(
    host: Host,
    what: What,
    id: str,
    uk: str,
    en: str = "",
    section: str = "",
    company: str | None = None,
    parent: str | None = None,
    unit: str | None = None,
    title: str | None = None,
) -> dict[str, Any]:
    """A new company, unit, position or group."""
    by, names = Actor(host.actor), {"uk": uk, "en": en}
    add: dict[str, Callable[[Unit], None]] = {
        "company": lambda tx: o.add_company(tx, by, id, section, names),
        "unit": lambda tx: o.add_unit(tx, by, id, _given(company, "company"), names, parent),
        "position": lambda tx: o.add_position(tx, by, id, _given(unit, "unit"), _given(title, "title"), names),
        "group": lambda tx: o.add_group(tx, by, id, names, company),
    }
    return await act(host, add[what], rehearse=False)


async def change(
    host: Host,
    what: What,
    id: str,
    uk: str | None = None,
    en: str = "",
    section: str | None = None,
    parent: str | None = None,
    unit: str | None = None,
    title: str | None = None,
    rehearse: bool = False,
) -> dict[str, Any]:
    """Other names; a unit below another one (`-`: directly under its company), a position in another unit."""
    by, names = Actor(host.actor), None if uk is None else {"uk": uk, "en": en}
    above = {} if parent is None else {"parent": None if parent == "-" else parent}
    change: dict[str, Callable[[Unit], None]] = {
        "company": lambda tx: o.change_company(tx, by, id, section=section, names=names),
        "unit": lambda tx: o.change_unit(tx, by, id, names=names, **above),
        "position": lambda tx: o.change_position(tx, by, id, unit=unit, title=title, names=names),
        "group": lambda tx: o.change_group(tx, by, id, names or {}),
    }
    return await act(host, change[what], rehearse=rehearse)


async def remove(host: Host, what: What, id: str, reason: str, rehearse: bool = False) -> dict[str, Any]:
    """Takes an empty unit, position or group away; a company is closed, never removed."""
    by = Actor(host.actor)
    remove: dict[str, Callable[[Unit], None]] = {
        "company": lambda tx: o.close_company(tx, by, id, reason),
        "unit": lambda tx: o.remove_unit(tx, by, id, reason),
        "position": lambda tx: o.remove_position(tx, by, id, reason),
        "group": lambda tx: o.remove_group(tx, by, id, reason),
    }
    return await act(host, remove[what], rehearse=rehearse)


def _given(value: str | None, what: str) -> str:
    if not value:
        raise BadRequest(f"say of which {what}", hint=f"add --{what} …")
    return value


def _section(text: str) -> tuple[tuple[int, str], ...]:
    """2.1.2.10 after 2.1.2.9."""
    return tuple((int(part), "") if part.isdigit() else (0, part) for part in text.split("."))
