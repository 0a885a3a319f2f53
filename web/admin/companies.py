"""`/admin/companies`: companies, their units and positions, and who is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import BaseModel, Field

from flows.access import organisation
from flows.access.changes import Unit
from flows.access.engine import Need
from flows.access.model import Company, Object, Snapshot
from pipe.errors import NotFound
from web.admin import told
from web.admin.changing import Effects, Rehearsable, carried_out
from web.admin.grants import Reason
from web.pages.call import Call
from web.pages.forms import Said
from web.pages.listing import Listing, Query, paged
from web.pages.results import Done, Show
from web.pages.router import Area, Nav
from web.pages.words import alphabetical

AREA = Area("companies")
SLUG = r"^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$"
FOR_SLUG = "Short name: small Latin letters, digits, `-`."


class CompanyRow(BaseModel):
    """One company."""

    id: str = Field(description="Its short name.")
    section: str = Field(description="Its section of the contract.")
    name_uk: str = Field(description="Name in Ukrainian.")
    name_en: str = Field(description="Name in English.")
    state: str = Field(description="`active` or `closed`.")
    units: int = Field(description="How many units it has.")
    people: int = Field(description="How many people are its members.")


class Companies(BaseModel):
    """The list and how it was asked for."""

    companies: Listing[CompanyRow] = Field(description="This page of the list.")
    ask: Query = Field(description="What was asked.")


@AREA.page(
    "/admin/companies", "admin/companies.html", permission="company.read", api="GET /companies",
    nav=Nav("nav.manage", "companies.title", "company", 11),
)  # fmt: skip
async def everything(call: Call, ask: Query) -> Companies:
    """Companies."""
    snapshot = call.site.access.snapshot
    seen = (each for each in snapshot.company.values() if call.may("company.read", Object(company=each.id)))
    found = paged(
        (_row(snapshot, each) for each in seen),
        ask,
        {"name": call.words.name_of, "section": lambda row: _section(row.section), "people": lambda row: row.people},
        sort="section",
        text=lambda row: f"{row.id} {row.name_uk} {row.name_en} {row.section}",
    )
    return Companies(companies=found, ask=ask)


def _row(snapshot: Snapshot, company: Company) -> CompanyRow:
    return CompanyRow(
        id=company.id,
        section=company.section,
        name_uk=company.name_uk,
        name_en=company.name_en,
        state=company.state,
        units=sum(unit.company == company.id for unit in snapshot.unit.values()),
        people=sum(person.company == company.id for person in snapshot.person.values()),
    )


def _section(text: str) -> tuple[int, ...]:
    """2.1.2.10 after 2.1.2.9."""
    return tuple(int(part) if part.isdigit() else 0 for part in text.split("."))


class NewCompany(Rehearsable):
    """A new company."""

    id: str = Field(pattern=SLUG, description=FOR_SLUG)
    uk: Said = Field(min_length=2, max_length=120, description="Name in Ukrainian.")
    en: str = Field(default="", max_length=120, description="Name in English.")
    section: str = Field(default="", max_length=20, description="Its section of the contract.")


@AREA.action("/admin/companies", permission="company.edit", on=everything, api="POST /companies", result=Effects)
async def create(call: Call, form: NewCompany) -> Done | Show:
    """Adds a company."""
    names = {"uk": form.uk, "en": form.en}
    return await carried_out(
        call, form, lambda tx: organisation.add_company(tx, call.by, form.id, form.section, names),
        Need("company.edit", Object(company=form.id)),
        to=f"/admin/companies/{form.id}", toast="companies.added", values={"name": form.uk},
    )  # fmt: skip


# --- one company --------------------------------------------------------------------------------------------------


class Member(BaseModel):
    """Somebody who is in a place."""

    id: str = Field(description="Names the person.")
    name: str = Field(description="Name.")


class PositionRow(BaseModel):
    """One position."""

    id: str = Field(description="Its short name.")
    title: str = Field(description="The same word for the same work everywhere.")
    name_uk: str = Field(description="Name in Ukrainian.")
    name_en: str = Field(description="Name in English.")
    people: list[Member] = Field(description="Who has it.")


class UnitRow(BaseModel):
    """One unit."""

    id: str = Field(description="Its short name.")
    depth: int = Field(description="How many units it lies below.")
    name_uk: str = Field(description="Name in Ukrainian.")
    name_en: str = Field(description="Name in English.")
    people: list[Member] = Field(description="Who is in it without a position.")
    positions: list[PositionRow] = Field(description="Its positions.")


class CompanyPage(BaseModel):
    """One company with all that is in it."""

    company: CompanyRow = Field(description="The company.")
    units: list[UnitRow] = Field(description="Its units, each followed by those below it.")
    can: list[str] = Field(description="What you may do here: `company.edit`, `company.close`, `unit.edit`.")


@AREA.page("/admin/companies/{id}", "admin/company.html", permission="company.read", api="GET /companies/{id}")
async def one(call: Call) -> CompanyPage:
    """One company with its units, positions and people."""
    snapshot, company = call.site.access.snapshot, _known(call)
    thing = Object(company=company.id)
    units = list(_tree(call, company.id, None, 0)) if call.may("unit.read", thing) else []
    can = [each for each in ("company.edit", "company.close", "unit.edit") if call.may(each, thing)]
    return CompanyPage(company=_row(snapshot, company), units=units, can=can)


def _tree(call: Call, company: str, parent: str | None, depth: int) -> Iterator[UnitRow]:
    snapshot = call.site.access.snapshot
    below = [unit for unit in snapshot.unit.values() if unit.company == company and unit.parent == parent]
    for unit in sorted(below, key=lambda each: alphabetical(each.name_uk)):
        yield UnitRow(
            id=unit.id,
            depth=depth,
            name_uk=unit.name_uk,
            name_en=unit.name_en,
            people=members(call, "unit", unit.id),
            positions=[
                PositionRow(
                    id=each.id,
                    title=each.title,
                    name_uk=each.name_uk,
                    name_en=each.name_en,
                    people=members(call, "position", each.id),
                )
                for each in snapshot.position.values()
                if each.unit == unit.id
            ],
        )
        yield from _tree(call, company, unit.id, depth + 1)


def members(call: Call, kind: str, of: str) -> list[Member]:
    """Who is in a place, as far as one may know."""
    people = [
        person
        for person in call.site.access.snapshot.person.values()
        if any((place.kind, place.of) == (kind, of) for place in person.memberships)
        and call.may("person.read", Object(company=person.company, owner=person.id))
    ]
    return [Member(id=each.id, name=each.name or each.login) for each in sorted(people, key=told.by_name)]


class Named(Rehearsable):
    """Other names."""

    uk: Said = Field(min_length=2, max_length=120, description="Name in Ukrainian.")
    en: str = Field(default="", max_length=120, description="Name in English.")


class ChangedCompany(Named):
    """What of a company can be changed."""

    section: str = Field(default="", max_length=20, description="Its section of the contract.")


@AREA.action("/admin/companies/{id}", permission="company.edit", on=one, api="PUT /companies/{id}", result=Effects)
async def change(call: Call, form: ChangedCompany) -> Done | Show:
    """Changes names and section of a company."""
    company, names = _known(call), {"uk": form.uk, "en": form.en}
    return await _changed(
        call, form, "company.edit", company,
        lambda tx: organisation.change_company(tx, call.by, company.id, section=form.section, names=names),
    )  # fmt: skip


@AREA.action(
    "/admin/companies/{id}/close", permission="company.close", on=one, api="POST /companies/{id}/close", result=Effects
)
async def close(call: Call, form: Reason) -> Done | Show:
    """Closes a company: what it has stays, nobody is added to it any more."""
    company = _known(call)
    return await _changed(
        call, form, "company.close", company,
        lambda tx: organisation.close_company(tx, call.by, company.id, form.reason),
    )  # fmt: skip


@AREA.action(
    "/admin/companies/{id}/open", permission="company.close", on=one, api="POST /companies/{id}/open", result=Effects
)
async def reopen(call: Call, form: Reason) -> Done | Show:
    """Opens a closed company again."""
    company = _known(call)
    return await _changed(
        call, form, "company.close", company,
        lambda tx: organisation.open_company(tx, call.by, company.id, form.reason),
    )  # fmt: skip


# --- units and positions ------------------------------------------------------------------------------------------


class NewUnit(Named):
    """A new unit."""

    id: str = Field(pattern=SLUG, description=FOR_SLUG)
    parent: str | None = Field(
        default=None, max_length=64, description="The unit above it; nothing: the company itself."
    )


class NewPosition(Named):
    """A new position."""

    id: str = Field(pattern=SLUG, description=FOR_SLUG)
    unit: str = Field(max_length=64, description="The unit that it is in.")
    title: str = Field(pattern=SLUG, description="The same word for the same work everywhere, such as `operator`.")


@AREA.action(
    "/admin/companies/{id}/units", permission="unit.edit", on=one, api="POST /companies/{id}/units", result=Effects
)
async def add_unit(call: Call, form: NewUnit) -> Done | Show:
    """Adds a unit."""
    company, names = _known(call), {"uk": form.uk, "en": form.en}
    return await _changed(
        call, form, "unit.edit", company,
        lambda tx: organisation.add_unit(tx, call.by, form.id, company.id, names, form.parent),
    )  # fmt: skip


@AREA.action(
    "/admin/companies/{id}/positions", permission="unit.edit", on=one, api="POST /companies/{id}/positions",
    result=Effects,
)  # fmt: skip
async def add_position(call: Call, form: NewPosition) -> Done | Show:
    """Adds a position to a unit."""
    company, names = _known(call), {"uk": form.uk, "en": form.en}
    _within(call, company, form.unit)
    return await _changed(
        call, form, "unit.edit", company,
        lambda tx: organisation.add_position(tx, call.by, form.id, form.unit, form.title, names),
    )  # fmt: skip


@AREA.action(
    "/admin/companies/{id}/units/{unit}/remove", permission="unit.edit", on=one,
    api="POST /companies/{id}/units/{unit}/remove", result=Effects,
)  # fmt: skip
async def remove_unit(call: Call, form: Reason) -> Done | Show:
    """Takes an empty unit away."""
    company, unit = _known(call), call.params["unit"]
    _within(call, company, unit)
    return await _changed(
        call, form, "unit.edit", company, lambda tx: organisation.remove_unit(tx, call.by, unit, form.reason)
    )


@AREA.action(
    "/admin/companies/{id}/positions/{position}/remove", permission="unit.edit", on=one,
    api="POST /companies/{id}/positions/{position}/remove", result=Effects,
)  # fmt: skip
async def remove_position(call: Call, form: Reason) -> Done | Show:
    """Takes a position away that nobody has."""
    company = _known(call)
    position = call.site.access.snapshot.position.get(call.params["position"])
    _within(call, company, position.unit if position is not None else "")
    return await _changed(
        call, form, "unit.edit", company,
        lambda tx: organisation.remove_position(tx, call.by, call.params["position"], form.reason),
    )  # fmt: skip


def _within(call: Call, company: Company, unit: str) -> None:
    """Raises NotFound where the unit is none of this company's: its rights are of another one."""
    found = call.site.access.snapshot.unit.get(unit)
    if found is None or found.company != company.id:
        raise NotFound("this company has no such unit")


def _known(call: Call) -> Company:
    company = call.site.access.snapshot.company.get(call.params["id"])
    if company is None or not call.may("company.read", Object(company=company.id)):
        raise NotFound("there is no such company")
    return company


async def _changed(
    call: Call, form: Rehearsable, permission: str, company: Company, unit: Callable[[Unit], None]
) -> Done | Show:
    need = Need(permission, Object(company=company.id))
    return await carried_out(call, form, unit, need, to=f"/admin/companies/{company.id}", toast="rights.changed")
