"""What the stand-in of the treasury takes and refuses."""

from __future__ import annotations

import orjson
import pytest

from partners.payments import adds_up
from tests.partners.conftest import Ask

ORDER = {"ref": "r1", "iban": "UA213223130000026007233566001", "amount": 12500, "purpose": "Послуги"}


async def test_a_good_order_is_paid(ask: Ask) -> None:
    """201 with the payment's number."""
    status, _, body = await ask("payments", "POST", "/payments", json=ORDER, headers={"Idempotency-Key": "k"})
    assert (status, orjson.loads(body)) == (201, {"state": "ok", "payment": "P-000001"})


async def test_an_order_without_a_key_is_refused(ask: Ask) -> None:
    """Paying twice must be impossible, so the key is demanded."""
    status, _, body = await ask("payments", "POST", "/payments", json=ORDER)
    assert (status, orjson.loads(body)["code"]) == (400, "no_key")


async def test_a_key_that_comes_with_another_order_is_refused(ask: Ask) -> None:
    """422, and the first payment stands."""
    await ask("payments", "POST", "/payments", json=ORDER, headers={"Idempotency-Key": "k"})
    other = {**ORDER, "amount": 1}
    status, _, body = await ask("payments", "POST", "/payments", json=other, headers={"Idempotency-Key": "k"})
    assert (status, orjson.loads(body)["code"]) == (422, "key_reused")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"iban": "UA213223130000026007233566002"}, "bad_iban"),
        ({"amount": 0}, "bad_amount"),
        ({"amount": 12500.0}, "bad_type"),
        ({"amount": True}, "bad_type"),
        ({"amount": "12500"}, "bad_type"),
        ({"purpose": ""}, "no_purpose"),
        ({"note": "x"}, "bad_fields"),
    ],
)
async def test_a_bad_order_is_refused(ask: Ask, change: dict[str, object], code: str) -> None:
    """422 with a code."""
    order = {**ORDER, **change}
    status, _, body = await ask("payments", "POST", "/payments", json=order, headers={"Idempotency-Key": "k"})
    assert (status, orjson.loads(body)["code"]) == (422, code)


def test_the_check_digits_of_an_iban_are_checked() -> None:
    """One changed digit is noticed."""
    assert [adds_up(iban) for iban in (ORDER["iban"], "UA213223130000026007233566010", "UA21")] == [True, False, False]  # type: ignore[arg-type]
