"""What holds for every world: more forbids never allow more, fewer grants never allow more, order does not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

import pytest

from flows.access.compiling import Compiled
from flows.access.difference import differences, of_person
from flows.access.model import Object, Snapshot
from tests.flows.access.worlds import NOW, PERMISSIONS, a_forbid, a_grant, an_object, world

SEEDS = range(30)
Point = tuple[str, str, Object]


def points(seed: int, snapshot: Snapshot, count: int = 120) -> list[Point]:
    """Some questions."""
    chance, people = Random(seed), list(snapshot.person)
    return [(chance.choice(people), chance.choice(PERMISSIONS), an_object(chance, snapshot)) for _ in range(count)]


def allowed(snapshot: Snapshot, asked: Iterable[Point], now: float = NOW) -> list[bool]:
    """The answers."""
    compiled = Compiled(snapshot)
    return [compiled.of(person, now).may(permission, thing) for person, permission, thing in asked]


def never_more(before: list[bool], after: list[bool]) -> bool:
    """Nothing is allowed after that was not before."""
    return all(was or not now for was, now in zip(before, after, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_forbid_more_never_allows_more(seed: int) -> None:
    """Whatever it forbids, to whomever."""
    snapshot = world(seed)
    asked = points(seed, snapshot)
    forbid = a_forbid(Random(seed), snapshot, "new")
    assert never_more(allowed(snapshot, asked), allowed(snapshot.but(2, {"forbid": {"new": forbid}}), asked))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_grant_less_never_allows_more_and_a_grant_more_never_allows_less(seed: int) -> None:
    """Outside separations, and where no role is forbidden something: there a grant may bring its own bars."""
    plain = world(seed, separations=False)
    plain = replace(plain, forbid={name: each for name, each in plain.forbid.items() if each.to_kind != "role"})
    asked = points(seed, plain)
    before = allowed(plain, asked)
    for name in list(plain.grant)[:5]:
        assert never_more(before, allowed(plain.but(2, {"grant": {name: None}}), asked))
    more = allowed(plain.but(2, {"grant": {"new": a_grant(Random(seed), plain, "new")}}), asked)
    assert never_more(more, before)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_grants_and_rules_does_not_matter(seed: int) -> None:
    """The same things in another order decide the same."""
    snapshot, chance = world(seed), Random(seed)
    asked = points(seed, snapshot)

    def shuffled(things: dict[str, object]) -> dict[str, object]:
        names = list(things)
        chance.shuffle(names)
        return {name: things[name] for name in names}

    names = ("grant", "forbid", "separation", "role", "unit", "person")
    other = replace(snapshot, **{name: shuffled(dict(getattr(snapshot, name))) for name in names})  # type: ignore[arg-type]
    assert allowed(other, asked) == allowed(snapshot, asked)


@pytest.mark.parametrize("seed", SEEDS)
def test_lower_clearance_never_sees_more(seed: int) -> None:
    """A person whose level is lowered may at most what he might."""
    snapshot = world(seed)
    asked = points(seed, snapshot)
    lower = {name: replace(each, level=max(0, each.level - 1)) for name, each in snapshot.person.items()}
    assert never_more(allowed(snapshot, asked), allowed(replace(snapshot, person=lower), asked))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_move_gives_what_somebody_else_in_that_place_has(seed: int) -> None:
    """Rights depend on where a person is now, not on where he was: history leaves nothing behind."""
    snapshot = world(seed)
    one, other = list(snapshot.person.values())[:2]
    by_name = [name for name, each in snapshot.grant.items() if each.to_kind == "person"]
    plain = snapshot.but(2, {"grant": dict.fromkeys(by_name)})
    forbids = [name for name, each in snapshot.forbid.items() if each.to_kind == "person"]
    plain = plain.but(3, {"forbid": dict.fromkeys(forbids)})
    moved = replace(
        one, memberships=other.memberships, company=other.company, level=other.level, state=other.state,
        valid_until=other.valid_until,
    )  # fmt: skip
    compiled = Compiled(plain.but(4, {"person": {one.id: moved}}))
    mine, theirs = compiled.of(one.id, NOW), compiled.of(other.id, NOW)
    strip: Callable[[str], object] = lambda who: {  # noqa: E731
        name: (each.allows, each.bars) for name, each in compiled.of(who, NOW).predicates.items()
    }
    assert strip(one.id) == strip(other.id)
    assert mine.shut_out == theirs.shut_out


@pytest.mark.parametrize("seed", SEEDS)
def test_who_is_told_to_gain_or_lose_does_and_nobody_else(seed: int) -> None:
    """The rehearsal's differences against the decisions before and after, person by person."""
    snapshot, chance = world(seed), Random(seed + 500)
    grant = a_grant(chance, snapshot, "new")
    gone = chance.choice(list(snapshot.grant))
    later = snapshot.but(2, {"grant": {"new": grant, gone: None}})
    before, after = Compiled(snapshot), Compiled(later)
    told = {
        (each.person, each.permission): each
        for each in differences(before, after, [("grant", "new"), ("grant", gone)], NOW)
    }
    asked = points(seed, snapshot, 400)
    for (person, permission, _), was, now in zip(asked, allowed(snapshot, asked), allowed(later, asked), strict=True):
        change = told.get((person, permission))
        if now and not was:
            assert change is not None
            assert change.more
        if was and not now:
            assert change is not None
            assert change.less


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_different_between_a_world_and_itself(seed: int) -> None:
    """Nobody gains or loses by nothing."""
    snapshot = world(seed)
    one, other = Compiled(snapshot), Compiled(snapshot.but(2, {}))
    assert [change for person in snapshot.person for change in of_person(one, other, person, NOW)] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_compiled_holds_until_its_boundary(seed: int) -> None:
    """Rights kept from an earlier moment decide as fresh ones do, before the boundary and after it."""
    snapshot = world(seed)
    asked, kept = points(seed, snapshot, 60), Compiled(snapshot)
    for now in (NOW - 7, NOW - 3, NOW, NOW + 0.5, NOW + 3, NOW + 7, NOW - 5):
        mine = [kept.of(person, now).may(permission, thing) for person, permission, thing in asked]
        assert mine == allowed(snapshot, asked, now)
