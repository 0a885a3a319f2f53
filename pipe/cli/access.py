"""`pipe access`: people, what they may do, and who can do what."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipe.cli import access_words as words
from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json, leave
from pipe.cli.messages import Reason
from pipe.cli.times import moment_after
from pipe.errors import BadRequest

app = typer.Typer(no_args_is_help=True, help="Who may do what: people, roles, grants, rules, and questions about them.")

Login = Annotated[str, typer.Argument(help="Of the person.")]
Permission = Annotated[str, typer.Argument(help="`area.verb`, as `pipe access permissions` lists them.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell who would gain and who would lose what.")]
Company = Annotated[str | None, typer.Option("--company", help="Its short name.")]
Unit = Annotated[str | None, typer.Option("--unit", help="Its short name.")]
Owner = Annotated[str | None, typer.Option("--owner", help="Login of whom the object belongs to.")]
Level = Annotated[int, typer.Option("--level", help="0 open, 1 internal, 2 personal data, 3 restricted.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Once for each.")]
State = Annotated[str | None, typer.Option("--state", help="Of the object.")]
Until = Annotated[str | None, typer.Option("--until", help="`30d`, a date, or a date with a time; Kyiv.")]
Place = Annotated[str, typer.Argument(help="`position:ID`, `unit:ID` or `group:ID`.")]


# --- people -------------------------------------------------------------------------------------------------------


@app.command("people")
def people(
    text: Annotated[str, typer.Argument(help="A part of login or name.")] = "",
    company: Company = None,
    state: Annotated[str | None, typer.Option("--state", help="active, blocked or left.")] = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Who there is."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("access.people", text=text, company=company, state=state), words.people)


@app.command("person")
def person(login: Login, config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """One person with places, grants and ways to sign in."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("access.person", login=login), words.person)


@app.command("add")
def add(
    login: Login,
    name: Annotated[str, typer.Argument(help="As people call him.")],
    company: Company = None,
    level: Level = 1,
    mail: Annotated[str | None, typer.Option("--mail", help="Mail address.")] = None,
    phone: Annotated[str | None, typer.Option("--phone", help="+380671234567")] = None,
    language: Annotated[str, typer.Option("--language", help="uk or en.")] = "uk",
    service: Annotated[bool, typer.Option("--service", help="An account of a program, for API keys.")] = False,
    until: Until = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Adds a person or a service account, without any right."""
    frame = Frame(config, data, json)
    kind = "service" if service else "person"
    made = frame.ask(
        "access.person.add",
        login=login,
        name=name,
        kind=kind,
        email=mail,
        phone=phone,
        company=company,
        level=level,
        language=language,
        valid_until=moment_after(until),
    )
    frame.show(made, lambda found: f"{found['login']} is there; `pipe access give` gives rights.")


@app.command("change")
def change(
    login: Login,
    name: Annotated[str | None, typer.Option("--name", help="As people call him.")] = None,
    company: Company = None,
    level: Annotated[int | None, typer.Option("--level", help="Cleared up to: 0, 1, 2 or 3.")] = None,
    mail: Annotated[str | None, typer.Option("--mail", help="Mail address.")] = None,
    phone: Annotated[str | None, typer.Option("--phone", help="+380671234567")] = None,
    language: Annotated[str | None, typer.Option("--language", help="uk or en.")] = None,
    until: Until = None,
    dry_run: DryRun = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Changes what is given of a person."""
    frame = Frame(config, data, json)
    fields = {"name": name, "company": company, "level": level, "email": mail, "phone": phone, "language": language}
    ends = moment_after(until)
    done = frame.ask("access.person.change", login=login, **fields, valid_until=ends, rehearse=dry_run)
    frame.show(done, words.done)


def _move(to: str, login: str, reason: str, dry_run: bool, frame: Frame) -> None:
    done = frame.ask("access.person.move", login=login, to=to, reason=reason, rehearse=dry_run)
    frame.show(done, words.done)


@app.command("block")
def block(
    login: Login,
    reason: Reason = "",
    dry_run: DryRun = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Shuts a person out: sessions end at once."""
    _move("block", login, reason, dry_run, Frame(config, data, json))


@app.command("admit")
def admit(
    login: Login,
    reason: Reason = "",
    dry_run: DryRun = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Lets somebody in again who was blocked or had left."""
    _move("admit", login, reason, dry_run, Frame(config, data, json))


@app.command("dismiss")
def dismiss(
    login: Login,
    reason: Reason = "",
    dry_run: DryRun = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Notes that somebody has left: sessions, keys, places and grants end now."""
    _move("dismiss", login, reason, dry_run, Frame(config, data, json))


@app.command("forget")
def forget(login: Login, reason: Reason = "", config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Wipes name, mail and telephone of somebody who has left."""
    _move("forget", login, reason, dry_run=False, frame=Frame(config, data, json))


@app.command("appoint")
def appoint(
    login: Login,
    place: Place,
    until: Until = None,
    dry_run: DryRun = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Puts a person into a position, unit or group; what it gives he has from now on."""
    frame, (kind, of) = Frame(config, data, json), _pair(place)
    ends = moment_after(until)
    done = frame.ask("access.person.appoint", login=login, kind=kind, of=of, valid_until=ends, rehearse=dry_run)
    frame.show(done, words.done)


@app.command("withdraw")
def withdraw(
    login: Login,
    place: Place,
    dry_run: DryRun = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Takes a person out of a position, unit or group; what it gave he has no longer."""
    frame, (kind, of) = Frame(config, data, json), _pair(place)
    frame.show(frame.ask("access.person.withdraw", login=login, kind=kind, of=of, rehearse=dry_run), words.done)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV with a first line of names: login, name, company, positions …")],
    apply: Annotated[bool, typer.Option("--apply", help="Write it; without this it is a preview.")] = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """People from a table: says of every line what it does. Exit code 1 where a line is wrong."""
    frame = Frame(config, data, json)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{file} cannot be read: {error}", hint="save it as CSV in UTF-8") from None
    found: dict[str, Any] = frame.ask("access.people.import", text=text, apply=apply)
    frame.show(found, words.imported)
    leave(wrong=bool(found["wrong"]))


@app.command("export")
def export(company: Company = None, config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """People as the table that `import` reads; the audit notes it."""
    frame = Frame(config, data, json)
    found = frame.ask("access.people.export", company=company)
    if json:
        frame.show(found, str)
    else:
        sys.stdout.write(found["csv"])


# --- questions ----------------------------------------------------------------------------------------------------


@app.command("permissions")
def permissions(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Everything that can be allowed."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("access.permissions"), words.permissions)


@app.command("who-can")
def who_can(
    permission: Permission,
    company: Company = None,
    unit: Unit = None,
    owner: Owner = None,
    level: Level = 0,
    tag: Tags = None,
    state: State = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Everybody who may, and through which grants; on a described object, or on any."""
    frame = Frame(config, data, json)
    thing = {"company": company, "unit": unit, "owner": owner, "level": level, "tags": tag, "state": state}
    frame.show(frame.ask("access.who_can", name=permission, **thing), words.who_can)


@app.command("what-can")
def what_can(login: Login, config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Every permission of a person, where, through what, and what stands against it."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("access.what_can", login=login), words.what_can)


@app.command("why-not")
def why_not(
    login: Login,
    permission: Permission,
    company: Company = None,
    unit: Unit = None,
    owner: Owner = None,
    level: Level = 0,
    tag: Tags = None,
    state: State = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Why somebody may or may not, what would help, whom to ask. Exit code 1 where he may not."""
    frame = Frame(config, data, json)
    thing = {"company": company, "unit": unit, "owner": owner, "level": level, "tags": tag, "state": state}
    found = frame.ask("access.why_not", login=login, name=permission, **thing)
    frame.show(found, words.why_not)
    leave(wrong=not found["allowed"])


def _pair(place: str) -> tuple[str, str]:
    kind, _, of = place.partition(":")
    if kind not in {"position", "unit", "group"} or not of:
        raise BadRequest(f"`{place}` is no place: write position:ID, unit:ID or group:ID")
    return kind, of
