"""`pipe access`, second half: the tree of the organisation, roles, grants and rules."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipe.cli import access_words as words
from pipe.cli.access import DryRun, Level, Tags, Until, app
from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json
from pipe.cli.messages import Reason
from pipe.cli.times import moment_after
from pipe.config.units import Duration
from pipe.errors import BadRequest

__all__ = ["app"]

Thing = Annotated[str, typer.Argument(help="`company:ID`, `unit:ID`, `position:ID` or `group:ID`.")]
Uk = Annotated[str | None, typer.Option("--uk", help="Its name in Ukrainian.")]
En = Annotated[str, typer.Option("--en", help="Its name in English.")]
Role = Annotated[str, typer.Argument(help="Its short name.")]
To = Annotated[str, typer.Argument(help="person:LOGIN, position:ID, title:WORD, title:WORD@UNIT, unit:ID, group:ID.")]
ScopeOption = Annotated[
    str, typer.Option("--scope", help="all, own, company:ID, unit:ID; `company` or `unit`: the holder's own.")
]
States = Annotated[list[str] | None, typer.Option("--state", help="Only objects in this state; once for each.")]
Grant = Annotated[str, typer.Argument(help="Its id, as `pipe access grants` shows it.")]


# --- the organisation ---------------------------------------------------------------------------------------------


@app.command("tree")
def tree(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Companies, units, positions, groups, and who is in them."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("access.tree"), words.tree)


@app.command("found")
def found(
    thing: Thing,
    uk: Annotated[str, typer.Option("--uk", help="Its name in Ukrainian.")],
    en: En = "",
    section: Annotated[str, typer.Option("--section", help="Of a company: its number in the contract.")] = "",
    company: Annotated[str | None, typer.Option("--company", help="Of a unit; or of a group that has one.")] = None,
    parent: Annotated[str | None, typer.Option("--parent", help="Of a unit: the unit above it.")] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="Of a position.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="Of a position: one word for the same work.")] = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """A new company, unit, position or group."""
    frame, (what, name) = Frame(config, data, json), _pair(thing)
    more = {"section": section, "company": company, "parent": parent, "unit": unit, "title": title}
    frame.show(frame.ask("access.tree.add", what=what, id=name, uk=uk, en=en, **more), words.done)


@app.command("alter")
def alter(
    thing: Thing,
    uk: Uk = None,
    en: En = "",
    section: Annotated[str | None, typer.Option("--section", help="Of a company.")] = None,
    parent: Annotated[str | None, typer.Option("--parent", help="Of a unit; `-`: directly under its company.")] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="Of a position: it moves there.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="Of a position.")] = None,
    dry_run: DryRun = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Other names, another place in the tree."""
    frame, (what, name) = Frame(config, data, json), _pair(thing)
    more = {"section": section, "parent": parent, "unit": unit, "title": title, "rehearse": dry_run}
    frame.show(frame.ask("access.tree.change", what=what, id=name, uk=uk, en=en, **more), words.done)


@app.command("remove")
def remove(
    thing: Annotated[str, typer.Argument(help="`role:ID`, or a unit, position, group; a company is closed.")],
    reason: Reason = "",
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Takes away what is not in use; closes a company."""
    frame, (what, name) = Frame(config, data, json), _pair(thing)
    if what == "role":
        frame.show(frame.ask("access.role.remove", id=name, reason=reason), words.done)
    else:
        frame.show(frame.ask("access.tree.remove", what=what, id=name, reason=reason), words.done)


# --- roles and grants ---------------------------------------------------------------------------------------------


@app.command("roles")
def roles(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Roles and their permissions."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("access.roles"), words.roles)


@app.command("role")
def role(
    name: Role,
    permissions: Annotated[list[str] | None, typer.Argument(help="All that it allows; none: left as they are.")] = None,
    uk: Uk = None,
    en: En = "",
    include: Annotated[list[str] | None, typer.Option("--include", help="A role that belongs to it.")] = None,
    about: Annotated[str | None, typer.Option("--about", help="What it is for.")] = None,
    emergency: Annotated[
        bool | None, typer.Option("--emergency/--no-emergency", help="May be taken for an hour with a reason.")
    ] = None,
    dry_run: DryRun = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Makes a role, or changes one; tells who gains and who loses by it."""
    frame = Frame(config, data, json)
    more: dict[str, Any] = {"uk": uk, "en": en, "about": about, "emergency": emergency, "rehearse": dry_run}
    more |= {"permissions": permissions or None, "includes": include or None}
    frame.show(frame.ask("access.role.put", id=name, **more), words.done)


@app.command("grants")
def grants(
    to: Annotated[
        str | None, typer.Option("--to", help="person:LOGIN, position:ID, title:WORD, unit:ID, group:ID.")
    ] = None,
    role: Annotated[str | None, typer.Option("--role", help="Of this role.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only what a second person has to approve.")] = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """What is granted to whom."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("access.grants", to=to, role=role, waiting=waiting), words.grants)


@app.command("give")
def give(
    role: Role,
    to: To,
    reason: Reason = "",
    scope: ScopeOption = "all",
    level: Level = 1,
    tag: Tags = None,
    state: States = None,
    until: Until = None,
    dry_run: DryRun = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Gives a role; to a position, title, unit or group: whoever is in it has it, as long as he is in it."""
    frame = Frame(config, data, json)
    terms = {"scope": scope, "level": level, "tags": tag, "states": state, "valid_until": moment_after(until)}
    done = frame.ask("access.grant.give", role=role, to=to, reason=reason, **terms, rehearse=dry_run)
    frame.show(done, words.done)


@app.command("approve")
def approve(
    grant: Grant, dry_run: DryRun = False, config: Config = CONFIG, data: Data = DATA, json: Json = False
) -> None:
    """The second person's word on a grant of level 3."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("access.grant.approve", id=grant, rehearse=dry_run), words.done)


@app.command("revoke")
def revoke(
    grant: Grant,
    reason: Reason = "",
    dry_run: DryRun = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Takes a grant back, at once."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("access.grant.revoke", id=grant, reason=reason, rehearse=dry_run), words.done)


# --- rules --------------------------------------------------------------------------------------------------------


@app.command("rules")
def rules(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Forbids, separations of duties, and which fields are shown to whom."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("access.rules"), words.rules)


@app.command("forbid")
def forbid(
    name: Annotated[str, typer.Argument(help="A short name for it.")],
    permissions: Annotated[list[str], typer.Argument(help="`area.verb`, `area.*` or `*`.")],
    reason: Reason = "",
    to: Annotated[str, typer.Option("--to", help="everyone, role:ID, or whom a grant can be given to.")] = "everyone",
    scope: ScopeOption = "all",
    level: Annotated[int, typer.Option("--level", help="From this level of the object on.")] = 0,
    tag: Tags = None,
    state: States = None,
    factor_within: Annotated[
        str | None, typer.Option("--factor-within", help="Not for who gave a second factor so recently: `15m`.")
    ] = None,
    until: Until = None,
    dry_run: DryRun = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Forbids, whatever was granted; who is held up reads the reason."""
    frame = Frame(config, data, json)
    within = float(Duration.parse(factor_within)) if factor_within is not None else None
    terms = {"to": to, "scope": scope, "level": level, "tags": tag, "states": state, "factor_within": within}
    ends = {"valid_until": moment_after(until), "rehearse": dry_run}
    done = frame.ask("access.rule.forbid", id=name, permissions=permissions, reason=reason, **terms, **ends)
    frame.show(done, words.done)


@app.command("separate")
def separate(
    name: Annotated[str, typer.Argument(help="A short name for it.")],
    first: Annotated[str, typer.Argument(help="A permission.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    reason: Reason = "",
    one_object: Annotated[
        bool, typer.Option("--same-object", help="Nobody uses both on one object; else nobody has both.")
    ] = False,
    dry_run: DryRun = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Two permissions that do not go together."""
    frame, kind = Frame(config, data, json), "same_object" if one_object else "static"
    pair = {"first": first, "second": second}
    done = frame.ask("access.rule.separate", id=name, kind=kind, **pair, reason=reason, rehearse=dry_run)
    frame.show(done, words.done)


@app.command("field")
def field(
    kind: Annotated[str, typer.Argument(help="Of object: message, person …")],
    name: Annotated[str, typer.Argument(help="Of the field.")],
    level: Annotated[int, typer.Option("--level", help="From which on it is shown.")] = 2,
    hide: Annotated[bool, typer.Option("--hide", help="Below it not at all; else masked.")] = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """From which level on a field is shown as it is."""
    frame, below = Frame(config, data, json), "hide" if hide else "mask"
    frame.show(frame.ask("access.rule.field", kind=kind, name=name, level=level, below=below), words.done)


@app.command("lift")
def lift(
    thing: Annotated[str, typer.Argument(help="`forbid:ID`, `separation:ID` or `field:KIND/NAME`.")],
    reason: Reason = "",
    dry_run: DryRun = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Takes a rule back."""
    frame, (what, name) = Frame(config, data, json), _pair(thing)
    frame.show(frame.ask("access.rule.lift", what=what, id=name, reason=reason, rehearse=dry_run), words.done)


def _pair(thing: str) -> tuple[str, str]:
    what, _, name = thing.partition(":")
    if not name:
        raise BadRequest(f"`{thing}` names nothing: write what it is, a colon and its name, such as unit:hall")
    return what, name
