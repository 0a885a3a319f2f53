"""The shipped connections.yaml, alive: every route does what its comment says, with the stand-ins as partners."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from partners import PORTS, Partners, start, tell
from tests.journeys.books import lines
from tests.journeys.conftest import until
from tests.journeys.gateway import ROOT, Gateway

pytestmark = pytest.mark.journey

DEMO = {"Authorization": "Bearer demo-key-of-the-stand-ins"}
APPEAL = {"applicant": {"name": "Олена", "phone": "+380671234567"}, "text": "Немає води", "urgent": True}
PAYMENTS = (
    "ref;iban;sum;purpose\n"
    "p-1;UA213223130000026007233566001;125,50;Послуги зв'язку\n"
    "p-2;UA213223130000026007233566002;10,00;Хибний рахунок\n"
)


class Town:
    """The shipped gateway and its partners, and the ways in and out."""

    def __init__(self, gateway: Gateway, partners: Partners, http: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.archive = partners.archive
        self.http = http

    async def ask(self, method: str, path: str, **given: Any) -> tuple[int, Any]:
        """Status and JSON of a request with the demo key."""
        url = f"{self.gateway.address}/pipe{path}"
        async with self.http.request(method, url, headers=DEMO, **given) as response:
            return response.status, await response.json(content_type=None)

    def rows(self, partner: str) -> list[dict[str, Any]]:
        """What a partner has done."""
        return lines(self.gateway.data / "partners" / partner / "rows.jsonl")

    async def file(self, pattern: str) -> Path:
        """The archive's one file of that pattern, once it is there."""

        async def there() -> bool:
            return any(self.archive.glob(pattern))

        await until(there, 40)
        [found] = self.archive.glob(pattern)
        return found

    async def done(self, partner: str, count: int) -> list[dict[str, Any]]:
        """What a partner has done, once it is so much."""

        async def enough() -> bool:
            return len(self.rows(partner)) >= count

        await until(enough, 40)
        return self.rows(partner)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """Everything as `./dev run` starts it, on free ports and in a folder of its own."""
    data = tmp_path / "data"
    async with await start(data, dict.fromkeys(PORTS, 0)) as partners, aiohttp.ClientSession() as http:
        gateway = Gateway(data, ROOT / "connections.yaml", partners.environment)
        try:
            await gateway.start()
            yield Town(gateway, partners, http)
        finally:
            await gateway.kill9()


async def test_an_urgent_appeal_is_registered_archived_and_texted(town: Town) -> None:
    """One request in, three deliveries out, each with the number that the flow gave it."""
    status, answer = await town.ask("POST", "/appeals", json=APPEAL)
    assert status == 202
    [registered] = await town.done("registry", 1)
    assert (registered["id"], registered["phone"]) == (answer["id"], "+380671234567")
    assert re.fullmatch(r"УКЦ-20[0-9]{2}-000001", registered["number"])
    assert (await town.done("sms", 1))[0]["to"] == "+380671234567"
    archived = await town.file(f"appeals/*/{answer['id']}.xml")
    assert registered["number"] in archived.read_text(encoding="utf-8")


async def test_a_caller_without_the_key_is_turned_away(town: Town) -> None:
    """Closed by default."""
    async with town.http.post(f"{town.gateway.address}/pipe/appeals", json=APPEAL) as response:
        assert response.status == 401


async def test_a_person_is_found_or_not(town: Town) -> None:
    """The façade answers in its own words, a missing person with 404."""
    assert await town.ask("GET", "/persons/1001") == (
        200,
        {"name": "Олена Коваленко", "district": "Шевченківський", "benefits": True},
    )
    status, answer = await town.ask("GET", "/persons/9")
    assert (status, answer["code"]) == (404, "no_person")


async def test_a_file_of_payments_gives_a_file_of_results(town: Town) -> None:
    """One good order, one with a wrong account; the file of results tells of both, and the first was paid once."""
    (town.archive / "in/липень.csv").write_bytes(PAYMENTS.encode("windows-1251"))
    results = await town.file("out/липень.csv")
    [_, first, second] = results.read_text(encoding="windows-1251").splitlines()
    assert first.split(";")[:4] == ["p-1", "125,50", "delivered", "P-000001"]
    assert second.split(";")[:3] == ["p-2", "10,00", "dead"]
    assert [row["amount"] for row in town.rows("payments")] == [12550]
    assert (town.archive / "in/done/липень.csv").exists() or (town.archive / "done/липень.csv").exists()


async def test_what_the_register_refuses_is_laid_where_people_look(town: Town) -> None:
    """A dead letter, and a file of it."""
    await tell(town.gateway.data, "registry", "refuse")
    await town.ask("POST", "/appeals", json=APPEAL)
    assert "Немає води" in (await town.file("undelivered/*/*.json")).read_text(encoding="utf-8")
    assert len(await town.gateway.pipe("dead", "list")) == 1


async def test_a_confirmation_takes_the_reminder_back(town: Town) -> None:
    """Nothing is due any more; a number that nobody has becomes a dead letter."""
    await town.ask("POST", "/appeals", json=APPEAL)
    [registered] = await town.done("registry", 1)
    for number in (registered["number"], "УКЦ-2026-999999"):
        assert (await town.ask("POST", f"/appeals/{quote(number)}/confirmed"))[0] == 202

    async def taken_back() -> bool:
        totals = {row["route"]: row for row in await town.gateway.pipe("ledger")}
        return bool(totals["reminders"]["pending"] == 0 and totals["confirmations"].get("dead") == 1)

    await until(taken_back)


async def test_an_act_goes_to_a_soap_register_and_is_asked_for_again(town: Town) -> None:
    """JSON in, SOAP out; a façade over SOAP; the register's own fault is a 404."""
    act = {"id": "a-1", "kind": "marriage", "names": ["Олена", "Петро <і Co>"], "day": "2026-01-15"}
    assert (await town.ask("POST", "/acts", json=act))[0] == 202
    await town.done("civil", 1)
    status, told = await town.ask("GET", "/acts/a-1")
    assert (status, told) == (200, {name: act[name] for name in ("kind", "names", "day")})
    assert await town.ask("GET", "/acts/a-2") == (404, {"code": "no_act"})
