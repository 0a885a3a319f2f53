"""What the stand-in of the register takes and refuses."""

from __future__ import annotations

import orjson
import pytest

from partners import Partners
from tests.partners.conftest import APPEAL, XML, Ask


async def test_an_appeal_that_fits_is_registered(ask: Ask) -> None:
    """201 with the record's number."""
    status, _, body = await ask("registry", "POST", "/registry/appeals", data=APPEAL.encode(), headers=XML)
    assert (status, b"<Record>1</Record>" in body) == (201, True)


async def test_the_same_key_gets_the_same_answer_and_no_second_row(ask: Ask, partners: Partners) -> None:
    """An idempotency key is worth exactly one row."""
    headers = {**XML, "Idempotency-Key": "k1"}
    first = await ask("registry", "POST", "/registry/appeals", data=APPEAL.encode(), headers=headers)
    second = await ask("registry", "POST", "/registry/appeals", data=APPEAL.encode(), headers=headers)
    assert (second[2], len(partners.stand_ins["registry"].rows)) == (first[2], 1)


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (APPEAL, "application/json", 415),
        (APPEAL[:-3], "application/xml", 400),
        ("<!DOCTYPE Appeal [<!ENTITY a 'b'>]>" + APPEAL, "application/xml", 400),
        (APPEAL.replace("+380671234567", "067 123 45 67"), "application/xml", 422),
        (APPEAL.replace("<Urgent>false</Urgent>", ""), "application/xml", 422),
        (APPEAL.replace("УКЦ-2026-000001", "1"), "application/xml", 422),
    ],
)
async def test_what_does_not_fit_is_refused(ask: Ask, body: str, content_type: str, expected: int) -> None:
    """Wrong type 415, not XML or with a DOCTYPE 400, not the schema 422; each says what is wrong."""
    headers = {"Content-Type": content_type}
    status, _, answer = await ask("registry", "POST", "/registry/appeals", data=body.encode(), headers=headers)
    assert (status, bool(orjson.loads(answer)["text"])) == (expected, True)


async def test_it_tells_whether_an_appeal_arrived(ask: Ask) -> None:
    """The question that `on_uncertain: confirm` asks."""
    await ask("registry", "POST", "/registry/appeals", data=APPEAL.encode(), headers=XML)
    found = [
        orjson.loads((await ask("registry", "GET", f"/registry/appeals?id={wanted}"))[2])["found"]
        for wanted in ("01arz3ndektsv4rrffq69g5fav", "another")
    ]
    assert found == [True, False]


async def test_an_unknown_person_is_a_404_with_a_code(ask: Ask) -> None:
    """So that a façade can tell it from a broken address."""
    status, _, body = await ask("registry", "GET", "/registry/persons/9")
    assert (status, orjson.loads(body)["code"]) == (404, "no_person")


async def test_without_its_token_nothing_is_done(ask: Ask, partners: Partners) -> None:
    """401, and no row."""
    headers = {**XML, "Authorization": "Bearer nonsense"}
    status, _, _ = await ask("registry", "POST", "/registry/appeals", data=APPEAL.encode(), headers=headers)
    assert (status, len(partners.stand_ins["registry"].rows)) == (401, 0)
