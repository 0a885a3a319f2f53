"""Every recipe of docs/cookbook/ in a real gateway, against stand-ins of its partners."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from lxml import etree

from pipe.testing.partners import Bench
from tests.docs import pages
from tests.docs.pages import ROOT

pytestmark = [pytest.mark.journey, pytest.mark.timeout(240)]

COOKBOOK = ROOT / "docs" / "cookbook"
RECIPES = [page for page in sorted(COOKBOOK.glob("*.md")) if page.name != "index.md"]
KEY = "pipe_a-key-of-the-tests"
KEYS = f"tester:{hashlib.sha256(KEY.encode()).hexdigest()}"
SHOP_SECRET = "whsec_" + base64.b64encode(b"a secret of the shop's that is long").decode()
CALLERS = ("OLD_SYSTEM_KEYS", "PORTAL_KEYS", "DISTRICT_KEYS", "NOTICE_KEYS", "PAYER_KEYS", "REGISTRAR_KEYS")
MADE = {"X-Api-Key": KEY, "Content-Type": "application/json"}


def recipe(page: Path) -> str:
    """The configuration of a page, its schedule made for people without patience."""
    (block,) = pages.blocks(page, "yaml")
    return block.text.replace('{schedule: "0 6 * * *"}', "{every: 1s}")


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, Path]]:
    """All recipes in one gateway, each a file of its own, and the folder that their files lie in."""
    folder = tmp_path_factory.mktemp("cookbook")
    shutil.copytree(COOKBOOK / "wsdl", folder / "wsdl")
    for page in RECIPES:
        (folder / f"{page.stem}.yaml").write_text(recipe(page), encoding="utf-8")
    text = 'version: 1\ndefaults: {retry: {first: 1s}}\ninclude: ["[0-9]*.yaml"]\n'
    (folder / "connections.yaml").write_text(text, encoding="utf-8")
    for name in ("readings", "incidents", "undelivered"):
        (folder / "exchange" / name).mkdir(parents=True)
    bench = Bench(
        folder / "connections.yaml", folder / "data", {**dict.fromkeys(CALLERS, KEYS), "SHOP_SECRET": SHOP_SECRET}
    )
    yield bench, folder / "exchange"
    bench.close()


def written(bench: Bench, folder: Path, pattern: str) -> Path:
    """The first file of that pattern, once it is there."""
    return bench.wait(lambda: next(iter(sorted(folder.glob(pattern))), None))  # type: ignore[return-value]


def values(row: dict[str, Any]) -> Any:
    """The JSON that a stand-in saw."""
    return orjson.loads(row["body"])


def test_every_recipe_is_on_the_page_of_all() -> None:
    """The table links each page under its title."""
    table = (COOKBOOK / "index.md").read_text(encoding="utf-8")
    titles = {page: page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for page in RECIPES}
    assert [page.name for page, title in titles.items() if f"[{title}]({page.name})" not in table] == []
    assert len(RECIPES) >= 10


def test_a_file_of_payments_comes_back_as_results(kitchen: tuple[Bench, Path]) -> None:
    """Two lines are paid, one does not fit the WSDL and says so in its line."""
    bench, _ = kitchen
    lines = [f"p-{number};UA{'2' * 27};{number},50" for number in (1, 2)]
    text = "\n".join(["ref;iban;sum", *lines, "p-3;UA1;3,00", ""])
    bank = bench["bank_files"]
    bank.offer("in/july.csv", text.encode("windows-1251"))
    files = bench.wait(lambda: found if "exchange/out/july.csv" in (found := bank.files()) else None)
    assert files is not None
    assert sorted(files) == ["exchange/done/july.csv", "exchange/out/july.csv"]
    result = files["exchange/out/july.csv"].decode("windows-1251").splitlines()
    assert [line.split(";")[:3] for line in result[1:]] == [
        ["p-1", "1,50", "delivered"],
        ["p-2", "2,50", "delivered"],
        ["p-3", "3,00", "dead"],
    ]
    assert "iban" in result[3]
    assert sorted(row["key"] for row in bench["bank_registry"].rows()) == ["p-1", "p-2"]


ENVELOPE = (
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    '<FindPerson xmlns="urn:example:registry"><id>{}</id></FindPerson></s:Body></s:Envelope>'
)


def test_an_old_system_calls_soap_and_a_rest_service_answers(kitchen: tuple[Bench, Path]) -> None:
    """The person in the WSDL's words; a 404 as the WSDL's own fault; the WSDL with our address in it."""
    bench, _ = kitchen
    headers = {"X-Api-Key": KEY, "Content-Type": "text/xml", "SOAPAction": '"urn:example:registry:FindPerson"'}
    answer = bench.call("/soap/old_registry", ENVELOPE.format(7).encode(), headers=headers)
    names = etree.fromstring(answer.body).xpath("//*[local-name()='name']/text()")
    assert (answer.status, names) == (200, ["Олена"])
    bench["people"].set("refuse", "404", "for=1")
    refused = bench.call("/soap/old_registry", ENVELOPE.format(8).encode(), headers=headers)
    assert refused.status == 500, refused
    assert etree.fromstring(refused.body).xpath("//*[local-name()='NoSuchPerson']/*/text()") == ["8"], (
        refused.body.decode()
    )
    assert bench.addresses["default"].encode() in bench.call("/soap/old_registry?wsdl").body


def test_a_page_asks_in_json_and_a_soap_service_answers(kitchen: tuple[Bench, Path]) -> None:
    """A fault in the disguise of a success is none: the question is asked again."""
    bench, _ = kitchen
    answer = bench.call("/pipe/persons/7", headers={"X-Api-Key": KEY})
    assert (answer.status, answer.values["name"], answer.values["benefits"]) == (200, "Олена", ["veteran"])
    bench["persons"].set("200-with-error", "for=1")
    assert bench.call("/pipe/persons/7", headers={"X-Api-Key": KEY}).status == 200
    assert [row["answer"] for row in bench["persons"].seen(3)] == ["ok", "fail", "ok"]


def test_readings_lie_in_the_folder_of_their_meter_once(kitchen: tuple[Bench, Path]) -> None:
    """A repetition makes no second file, and one without a value none at all."""
    bench, files = kitchen
    reading = b'{"at": "2026-01-15T10:00:00Z", "value": 20.5}'
    for body in (reading, reading, b'{"at": "2026-01-15T11:00:00Z"}', b'{"at": "2026-01-15T12:00:00Z", "value": 21}'):
        bench["meters"].offer("meters/m-7/reading", body)
    found = bench.wait(lambda: two if len(two := sorted((files / "readings").glob("m-7/*/*.csv"))) == 2 else None)
    assert found is not None
    assert sorted(path.read_text(encoding="utf-8").splitlines()[1] for path in found) == [
        "m-7;2026-01-15T10:00:00Z;20.5",
        "m-7;2026-01-15T12:00:00Z;21",
    ]


def test_the_export_lies_where_the_ministry_reads(kitchen: tuple[Bench, Path]) -> None:
    """The sums by district, the largest first."""
    bench, _ = kitchen
    ((name, report), *_) = bench["ministry_files"].files(1).items()
    assert name.startswith("reports/calls/calls-20")
    lines = report.decode().splitlines()
    assert lines == ["district;minutes", "Оболонський;9", "Подільський;7"]
    assert bench["export_crm"].seen(1)[0]["path"].startswith("/calls?day=20")


def test_a_signed_webhook_opens_a_case_once(kitchen: tuple[Bench, Path]) -> None:
    """A repetition gets the same answer; a wrong signature is a 401."""
    bench, _ = kitchen
    body = orjson.dumps({"type": "complaint.created", "data": {"number": "C-7", "text": "Не працює"}})
    at = str(int(time.time()))
    secret = base64.b64decode(SHOP_SECRET.removeprefix("whsec_"))
    sum_ = hmac.new(secret, b".".join([b"e-1", at.encode(), body]), hashlib.sha256).digest()
    headers = {"webhook-id": "e-1", "webhook-timestamp": at, "Content-Type": "application/json"}
    signed = {**headers, "webhook-signature": f"v1,{base64.b64encode(sum_).decode()}"}
    first, second = (bench.call("/pipe/hooks/shop", body, headers=signed) for _ in range(2))
    assert (first.status, second.values["id"]) == (202, first.values["id"])
    wrong = {**headers, "webhook-signature": f"v1,{base64.b64encode(b'x' * 32).decode()}"}
    assert bench.call("/pipe/hooks/shop", body, headers=wrong).status == 401
    (case,) = bench["cases"].rows(1)
    assert (case["key"], values(bench["cases"].seen(1)[0])["title"]) == ("e-1", "Скарга C-7")


def test_an_incident_reaches_everybody_whom_it_concerns(kitchen: tuple[Bench, Path]) -> None:
    """Though the fire service is down for a while, and the others are not asked twice."""
    bench, files = kitchen
    bench["fire"].set("fail", "503", "for=1")
    for number, urgent in (("I-1", "true"), ("I-2", "false")):
        xml = (
            f"<Incident><Number>{number}</Number><Urgent>{urgent}</Urgent>"
            "<Address>Хрещатик 1</Address><Unit>A</Unit></Incident>"
        )
        headers = {"X-Api-Key": KEY, "Content-Type": "application/xml"}
        assert bench.call("/pipe/incidents", xml.encode(), headers=headers).status == 202
    assert [row["path"] for row in bench["fire"].seen(2)] == ["/alarms/I-1"] * 2
    assert {values(row)["number"] for row in bench["dispatch"].seen(2)} == {"I-1", "I-2"}
    assert orjson.loads(written(bench, files / "incidents", "*/I-1.json").read_bytes())["units"] == ["A"]
    assert len(bench["dispatch"].seen()) == 2


def test_a_scan_is_put_once_its_marker_is_there(kitchen: tuple[Bench, Path]) -> None:
    """Three megabytes, byte for byte, over connections that break once on each side."""
    bench, _ = kitchen
    scan = bytes(range(256)) * 12_288
    bench["documents"].set("reset-after-send", "for=1")
    bench["scanner"].set("truncate", "for=1")
    bench["scanner"].offer("скан-7.pdf", scan)
    *_, last = bench["documents"].seen(2)
    assert (last["sha256"], last["attempt"], last["answer"]) == (hashlib.sha256(scan).hexdigest(), 2, "ok")
    assert last["path"].startswith("/v1/scans/")
    assert bench["scanner"].files() == {"sent/скан-7.pdf": scan}
    assert [row["answer"] for row in bench["scanner"].seen(2)] == ["ok", "ok"]


def test_texts_to_one_number_stay_in_order(kitchen: tuple[Bench, Path]) -> None:
    """The first one fails once; the second to the same number waits for it, the one to another number does not."""
    bench, _ = kitchen
    bench["operator"].set("fail", "503", "for=1")
    for number, text in (("0671234567", "1"), ("0671234567", "2"), ("0501234567", "3")):
        body = orjson.dumps({"to": f"+38{number}", "text": text})
        assert bench.call("/pipe/texts", body, headers=MADE).status == 202
    seen = [(values(row)["text"], row["answer"]) for row in bench["operator"].seen(4)]
    good = [text for text, answer in seen if answer == "ok"]
    assert sorted(good) == ["1", "2", "3"]
    assert good.index("1") < good.index("2")
    assert "0671234567" not in bench.log()


def test_a_payment_whose_answer_got_lost_is_asked_for_and_not_made_twice(kitchen: tuple[Bench, Path]) -> None:
    """The treasury did its work and its answer got lost: one row, delivered."""
    bench, _ = kitchen
    bench["treasury"].set("reset-after-send", "done=yes", "for=1")
    body = orjson.dumps({"iban": "UA" + "2" * 27, "amount": 12550})
    headers = {**MADE, "Idempotency-Key": "k-1"}
    first, second = (bench.call("/pipe/payments", body, headers=headers) for _ in range(2))
    assert first.values["id"] == second.values["id"]
    methods = [row["method"] for row in bench["treasury"].seen(2)]
    assert methods == ["POST", "GET"]
    story = bench.wait(lambda: _delivered(bench, first.values["id"]))
    assert story
    assert len(bench["treasury"].rows()) == 1
    other = bench.call("/pipe/payments", body.replace(b"12550", b"99"), headers=headers)
    assert other.status == 422


def _delivered(bench: Bench, id: str) -> bool:
    return any(each["state"] == "delivered" for each in bench.pipe("explain", id)["deliveries"])


def test_a_dead_letter_becomes_a_mail_and_a_file(kitchen: tuple[Bench, Path]) -> None:
    """With the reason; the mail is sent though the mail server fails once."""
    bench, files = kitchen
    bench["archive_service"].set("refuse", "422", "for=1")
    bench["duty"].set("fail", "451", "for=1")
    id_ = bench.call("/pipe/acts", b'{"kind": "birth"}', headers=MADE).values["id"]
    (mail,) = bench["duty"].mails(1)
    assert (mail["to"], mail["subject"]) == ("duty@gov.example", "Не доставлено: acts, PIPE-2006")
    assert f"pipe explain {id_}" in mail.get_content()
    assert orjson.loads(written(bench, files / "undelivered", "*/*.json").read_bytes())["id"] == id_


def test_what_is_written_to_the_bot_becomes_an_appeal(kitchen: tuple[Bench, Path]) -> None:
    """The service gets it, the chat hears of it; a person who blocks the bot afterwards has an appeal all the same."""
    bench, _ = kitchen
    bench["citizens_bot"].offer("Олена Мельник", "Немає води".encode())
    (appeal,) = bench["appeals_service"].rows(1)
    assert (appeal["method"], appeal["path"]) == ("POST", "/appeals")

    def answered() -> list[str]:
        seen = bench["citizens_bot"].seen()
        return [row["answer"] for row in seen if row["path"].endswith("/sendMessage")]

    assert bench.wait(answered) == ["ok"]


def test_the_books_are_right_after_all_of_it(kitchen: tuple[Bench, Path]) -> None:
    """Kill -9 in between: what was accepted is accounted for."""
    bench, _ = kitchen
    bench.kill()
    found = bench.pipe("ledger", "verify")
    assert all(row.get("difference", 0) == 0 for row in (found if isinstance(found, list) else [found]))
