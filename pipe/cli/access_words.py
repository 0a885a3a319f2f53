"""What `pipe access` says to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipe.cli.text import counted, moment, rows_of, table


def people(found: list[dict[str, Any]]) -> str:
    """A line each."""
    rows = rows_of(found, "login", "kind", "name", "company", "level", "state")
    return table(("login", "kind", "name", "company", "level", "state"), rows) or "Nobody fits."


def person(found: Mapping[str, Any]) -> str:
    """One person, whole."""
    lines = [f"{found['login']}  {found['name']}  ({found['kind']}, {found['state']}, level {found['level']})"]
    lines += [f"  {label:12} {found[label] or '-'}" for label in ("email", "phone", "company", "language")]
    lines += [
        f"  {'until':12} {moment(found['valid_until'])}",
        f"  {'signed in':12} {moment(found['signed_in_at'])}",
        f"  {'factors':12} {', '.join(found['factors']) or 'none yet'}",
        f"  {'sessions':12} {found['sessions']}   keys {found['keys']}",
        f"  {'places':12} {', '.join(found['places']) or 'none'}",
    ]
    for grant in found["grants"]:
        waits = "  (waits for a second person)" if grant["waits"] else ""
        lines.append(f"  {'grant':12} {grant['role']} ← {grant['through']}{waits}  {grant['grant']}")
    return "\n".join(lines)


def done(found: Mapping[str, Any]) -> str:
    """What a change did, or would do, to people."""
    head = ["Done." if found["done"] else "Nothing was changed. It would do this:"]
    if isinstance(found["result"], str):
        head[0] += f" {found['result']}"
    return "\n".join([*head, *differences(found["changes"])])


def differences(changes: list[dict[str, Any]]) -> Iterator[str]:
    """Who gains and who loses, a line each."""
    if not changes:
        yield "Nobody gains or loses any right."
    for each in changes:
        signs = [("+", "gains"), ("-", "loses")]
        for sign, name in signs:
            for text in each[name]:
                yield f"  {sign} {each['login']}  {each['permission']}  {text}"
        for rule in each["lifted"]:
            yield f"  + {each['login']}  {each['permission']}  no longer against it: {rule}"
        for rule in each["barred"]:
            yield f"  - {each['login']}  {each['permission']}  now against it: {rule}"


def permissions(found: list[dict[str, Any]]) -> str:
    """The catalogue."""
    return table(("permission", "українською", "english"), rows_of(found, "name", "uk", "en"))


def roles(found: list[dict[str, Any]]) -> str:
    """A line each."""
    rows = [
        [
            role["id"],
            role["name_uk"],
            role["grants"],
            "emergency" if role["emergency"] else "",
            " ".join([*(f"+{each}" for each in role["includes"]), *role["permissions"]]),
        ]
        for role in found
    ]
    return table(("role", "name", "grants", "for", "permissions"), rows) or "There are no roles."


def grants(found: list[dict[str, Any]]) -> str:
    """A line each."""
    rows = [
        [
            grant["role"],
            grant["to"],
            " ".join(filter(None, (grant["scope"], grant["scope_id"]))),
            grant["level"],
            " ".join([*(f"#{tag}" for tag in grant["tags"]), *grant["states"]]),
            moment(grant["valid_until"]),
            "waits" if grant["waits"] else grant["source"],
            grant["granted_by"],
            grant["id"],
        ]
        for grant in found
    ]
    return table(("role", "to", "scope", "level", "only", "until", "", "by", "grant"), rows) or "No grant fits."


def rules(found: Mapping[str, Any]) -> str:
    """Forbids, separations and fields."""
    lines = []
    for each in found["forbids"]:
        where = " ".join(filter(None, (each["scope"], each["scope_id"])))
        lines.append(
            f"forbid {each['id']}: {' '.join(each['permissions'])} to {each['to']}, {where}, "
            f"from level {each['level']}: {each['reason']}"
        )
    lines += [
        f"separation {each['id']} ({each['kind']}): {each['first']} | {each['second']}: {each['reason']}"
        for each in found["separations"]
    ]
    lines += [
        f"field {each['kind']}/{each['name']}: from level {each['level']}, below it {each['below']}"
        for each in found["fields"]
    ]
    return "\n".join(lines) or "There are no rules."


def tree(found: Mapping[str, Any]) -> str:
    """Companies, units, positions and who is in them."""
    lines = []
    for company in found["companies"]:
        closed = "" if company["state"] == "active" else f"  ({company['state']})"
        lines.append(f"{company['id']}  {company['name_uk']}{closed}")
        lines += _units(company["units"], "  ")
    for group in found["groups"]:
        lines.append(f"group {group['id']}  {group['name_uk']}: {_people(group)}")
    return "\n".join(lines) or "There are no companies."


def _units(units: list[dict[str, Any]], indent: str) -> Iterator[str]:
    for unit in units:
        here = f": {' '.join(unit['people'])}" if unit["people"] else ""
        yield f"{indent}unit {unit['id']}  {unit['name_uk']}{here}"
        for position in unit["positions"]:
            yield f"{indent}  {position['id']} ({position['title']})  {position['name_uk']}: {_people(position)}"
        yield from _units(unit["units"], indent + "  ")


def _people(of: Mapping[str, Any]) -> str:
    return " ".join(of["people"]) or "nobody"


def who_can(found: list[dict[str, Any]]) -> str:
    """Who, and through what."""
    rows = [[each["login"], each["name"], each["company"], ", ".join(each["through"])] for each in found]
    return table(("login", "name", "company", "through"), rows) or "Nobody."


def what_can(found: Mapping[str, Any]) -> str:
    """Every permission of a person."""
    if found["shut_out"]:
        return f"Nothing: {found['login']} is {found['shut_out']}."
    rows = [
        [each["permission"], "; ".join(each["where"]), ", ".join(each["through"]), " ".join(each["against"])]
        for each in found["permissions"]
    ]
    waiting = f"\n{counted(len(found['waiting']), 'grant')} wait for a second person." if found["waiting"] else ""
    return (table(("permission", "where", "through", "against"), rows) or "Nothing.") + waiting


def why_not(found: Mapping[str, Any]) -> str:
    """The reason, in both languages, and what helps."""
    lines = [found["uk"], found["en"]]
    for label, name in (
        ("through", "grants"),
        ("against", "against"),
        ("roles that have it", "missing"),
        ("ask", "ask"),
    ):
        if found[name]:
            lines.append(f"  {label}: {', '.join(found[name])}")
    return "\n".join(lines)


def imported(found: Mapping[str, Any]) -> str:
    """The preview, or what was done."""
    lines = []
    for line in found["lines"]:
        if line["state"] == "same":
            continue
        more = [*line["fields"], *(f"+{each}" for each in line["appoint"]), *(f"-{each}" for each in line["withdraw"])]
        lines.append(
            f"line {line['line']}: {line['state']} {line['login']}  {line['error'] or ' '.join(more)}".rstrip()
        )
    lines.append(f"{found['new']} new, {found['changed']} changed, {found['same']} the same, {found['wrong']} wrong.")
    if found["applied"]:
        lines.append(f"{counted(found['applied'], 'person', 'people')} written.")
    elif found["wrong"]:
        lines.append("Nothing is written while a line is wrong.")
    elif found["new"] or found["changed"]:
        lines.append("This is a preview: --apply writes it.")
    return "\n".join(lines)
