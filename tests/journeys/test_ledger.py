"""The checker finds what it is for: right books are found right, and each planted fault by its rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.journeys.ledger import RULES, Books, Final, Seen, Sent, check

Spoil = Callable[[Books], Books]


def good(things: int = 1000, orders: int = 7, dead: frozenset[int] = frozenset({13})) -> Books:
    """The books of a gateway that did everything right; some things were refused by the partner for good."""
    sent = [Sent(f"k{n}", "accepted", f"m{n}", f"text {n}", f"o{n % orders}", n) for n in range(things)]
    seen = [Seen(f"m{n}", "fail" if n in dead else "ok", f"text {n}", said=1) for n in range(things)]
    final = [Final(f"m{n}", "dead" if n in dead else "delivered") for n in range(things)]
    lost = len(dead & set(range(things)))
    totals = {"appeals": {"accepted": things, "delivered": things - lost, "dead": lost, "pending": 0}}
    return Books(sent, seen, final, totals)


def changed(books: Books, **changes: object) -> Books:
    """The same books with some of them rewritten."""
    return dataclasses.replace(books, **changes)  # type: ignore[arg-type]


def drop_one(books: Books) -> Books:
    """One in a thousand is forgotten: no end, never seen."""
    final = [row for row in books.final if row.id != "m500"]
    return changed(books, final=final, seen=[row for row in books.seen if row.id != "m500"])


def acknowledge_before_commit(books: Books) -> Books:
    """A kill between the acknowledgement and the commit: the client was told an id that no book knows."""
    return changed(books, sent=[*books.sent, Sent("k-lost", "accepted", "m-lost", "text lost", "o0", 5000)])


def swap_two(books: Books) -> Books:
    """Two of one order change places."""
    seen = list(books.seen)
    seen[100], seen[107] = seen[107], seen[100]
    return changed(books, seen=seen)


def bury_the_delivered(books: Books) -> Books:
    """What the partner confirmed is put with the dead."""
    return changed(books, final=[Final("m20", "dead"), *[row for row in books.final if row.id != "m20"]])


def truncate(books: Books) -> Books:
    """A body loses its end."""
    seen = [dataclasses.replace(row, meaning=row.meaning[:4]) if row.id == "m77" else row for row in books.seen]
    return changed(books, seen=seen)


def claim_delivery(books: Books) -> Books:
    """An error was taken for a success."""
    return changed(books, final=[Final("m13", "delivered") if row.id == "m13" else row for row in books.final])


def deliver_twice(books: Books) -> Books:
    """A repetition without any fault to excuse it."""
    return changed(books, seen=[*books.seen, books.seen[5]])


def invent(books: Books) -> Books:
    """A message that nobody sent."""
    return changed(books, seen=[*books.seen, Seen("m-new", "ok", "text new")])


def forget_the_key(books: Books) -> Books:
    """The same key is accepted again under another id."""
    return changed(books, sent=[*books.sent, dataclasses.replace(books.sent[3], id="m-other")])


def share_an_id(books: Books) -> Books:
    """Two keys are told the same id: one of the two is lost."""
    return changed(books, sent=[*books.sent, dataclasses.replace(books.sent[3], key="k-other")])


def leave_unknown(books: Books) -> Books:
    """A client was left without an answer and never asked again."""
    return changed(books, sent=[*books.sent, Sent("k-open", "unknown", None, "text open")])


def deliver_the_refused(books: Books) -> Books:
    """The client was told no, and it went out all the same."""
    sent = [*books.sent, Sent("k-no", "refused", None, "text no")]
    return changed(books, sent=sent, seen=[*books.seen, Seen("m-no", "ok", "text no")])


def keep_one_pending(books: Books) -> Books:
    """Something never comes to an end."""
    return changed(books, final=[Final("m9", "retry") if row.id == "m9" else row for row in books.final])


def miscount(books: Books) -> Books:
    """A total that does not add up."""
    return changed(books, totals={"appeals": {**books.totals["appeals"], "delivered": 998}})


def count_less_than_was_told(books: Books) -> Books:
    """The gateway's books balance, and one that a client was told of is not in them."""
    totals = {"appeals": {**books.totals["appeals"], "accepted": 999, "delivered": 998}}
    return changed(books, totals=totals, route="appeals")


def find_rows_that_do_not_fit(books: Books) -> Books:
    """What `pipe ledger verify` says is a finding."""
    return changed(books, verified=["appeals: the ledger says 999 delivered, there are 998 rows and 0 were pruned"])


def hide_the_doubt(books: Books) -> Books:
    """Dead after a time-out, without a word that it may have arrived."""
    return changed(books, seen=[Seen(r.id, "none", r.meaning) if r.id == "m13" else r for r in books.seen])


def replay_in_silence(books: Books) -> Books:
    """A replay without a row in the audit."""
    return changed(books, replayed=["m13"])


def overtake_a_retry(books: Books) -> Books:
    """The second of an order is tried while the first still fails."""
    seen = [dataclasses.replace(books.seen[0], answer="fail"), books.seen[7], *books.seen[:7], *books.seen[8:]]
    return changed(books, seen=seen)


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (drop_one, "L1"),
        (acknowledge_before_commit, "L1"),
        (keep_one_pending, "L1"),
        (bury_the_delivered, "L2"),
        (claim_delivery, "L2"),
        (hide_the_doubt, "L2"),
        (invent, "L3"),
        (forget_the_key, "L4"),
        (share_an_id, "L4"),
        (leave_unknown, "L4"),
        (swap_two, "L5"),
        (overtake_a_retry, "L5"),
        (truncate, "L6"),
        (deliver_twice, "L7"),
        (miscount, "L8"),
        (count_less_than_was_told, "L8"),
        (find_rows_that_do_not_fit, "L8"),
        (deliver_the_refused, "L9"),
        (replay_in_silence, "L10"),
    ],
)
def test_a_planted_fault_is_found_by_its_rule(spoil: Spoil, rule: str) -> None:
    """Each fault is found, and by the rule that is there for it."""
    assert rule in {finding.split(":")[0] for finding in check(spoil(good()))}


def test_every_rule_has_a_planted_fault() -> None:
    """No rule that could be empty without anybody noticing."""
    marks = test_a_planted_fault_is_found_by_its_rule.pytestmark  # type: ignore[attr-defined]
    assert {rule for _, rule in marks[0].args[1]} == set(RULES)


@given(st.integers(0, 60), st.integers(1, 5), st.frozensets(st.integers(0, 59), max_size=10))
def test_right_books_are_found_right(things: int, orders: int, dead: frozenset[int]) -> None:
    """No false alarm."""
    assert check(good(things, orders, dead)) == []


def test_a_crash_excuses_a_repetition() -> None:
    """As many as were in flight."""
    assert check(changed(deliver_twice(good()), duplicates=1)) == []


def test_a_replayed_letter_holds_nobody_up_and_may_come_late() -> None:
    """It was dead when those behind it went; its own place in the order is gone with that."""
    dead = good()
    late = Seen("m13", "ok", "text 13", said=1)
    final = [Final("m13", "delivered") if row.id == "m13" else row for row in dead.final]
    totals = {"appeals": {"accepted": 1000, "delivered": 1000, "pending": 0}}
    again = changed(dead, seen=[*dead.seen, late], final=final, totals=totals)
    assert check(changed(again, replayed=["m13"], audited=["m13"])) == []
    assert {finding.split(":")[0] for finding in check(again)} == {"L5"}
