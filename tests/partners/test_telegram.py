"""The stand-in of Telegram: made of a connection, strict in its API, and a telephone as a page."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.telegram.config import TelegramConfig
from partners import start, tell
from partners.manners import manner
from partners.telegram import TelegramPartner
from partners.telegram import models as m
from partners.telegram.bot import Bot, Refusal
from partners.telegram.models import METHODS
from partners.telegram.texts import Malformed, plain
from pipe.app import catalogue, read_configuration
from tests.adapters.telegram_bench import TOKEN, config

CONFIG = """version: 1
connections:
  shops: {type: http_server, auth: none}
  helper:
    type: telegram
    token: "${env:HELPER_TOKEN}"
    webhook: https://gateway.example
    tls: {min_version: "1.3"}
routes:
  words: {from: {connection: helper}, steps: [{map: {chat_id: body.message.chat.id, text: "'x'"}}], to: {connection: helper, call: sendMessage}}
"""  # noqa: E501


@pytest.fixture
async def partner(tmp_path: Path) -> AsyncIterator[TelegramPartner]:
    """One that runs."""
    made = TelegramPartner("helper", config(tmp_path), tmp_path / "helper")
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that follows where it is led."""
    async with aiohttp.ClientSession() as session:
        yield session


async def test_it_is_made_of_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: aiohttp.ClientSession
) -> None:
    """A webhook of a public address becomes polling here, a token that nobody has set a made-up one."""
    monkeypatch.delenv("HELPER_TOKEN", raising=False)
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    known = catalogue()
    data = tmp_path / "data"
    async with await start(data, {}, read=lambda: read_configuration(tmp_path / "c.yaml", known)) as partners:
        monkeypatch.setenv("HELPER_TOKEN", os.environ["HELPER_TOKEN"])
        made = read_configuration(tmp_path / "c.yaml", known, redirects=partners.redirects)
        settings: TelegramConfig = made.connections["helper"].config
        partner = partners.stand_ins["helper"]
        assert (settings.api, settings.links) == (partner.address, f"{partner.address}/t.me")
        assert (settings.updates, settings.webhook) == ("polling", None)
        async with client.get(f"{partner.address}/bot{settings.token.reveal()}/getMe") as answer:
            told = await answer.json()
        assert told["result"]["username"] == "helper_bot"
        assert (await tell(data, "helper", "status"))["page"] == f"{partner.address}/phone"
        os.environ.pop("HELPER_TOKEN")


async def call(client: aiohttp.ClientSession, partner: TelegramPartner, method: str, **body: Any) -> tuple[int, Any]:
    """One method."""
    async with client.post(f"{partner.address}/bot{TOKEN}/{method}", json=body) as answer:
        told = await answer.json()
        assert told["ok"] == (answer.status == 200)
        return answer.status, told.get("result", told.get("description"))


async def test_tokens_and_methods(partner: TelegramPartner, client: aiohttp.ClientSession) -> None:
    """401 for a wrong token, 404 for none and for an unknown method; forms and addresses are read too."""
    for path, status in (("bot1:x/getMe", 401), ("botx/getMe", 404), (f"bot{TOKEN}/getNothing", 404)):
        async with client.get(f"{partner.address}/{path}") as answer:
            assert (answer.status, (await answer.json())["error_code"]) == (status, status)
    person = next(iter(partner.bot.chats.people.values()))
    person.started = True
    async with client.get(f"{partner.address}/bot{TOKEN}/sendMessage?chat_id={person.id}&text=12") as answer:
        assert answer.status == 200
    async with client.post(
        f"{partner.address}/bot{TOKEN}/sendMessage", data={"chat_id": person.id, "text": "so"}
    ) as form:
        assert form.status == 200
    assert [line.text for line in person.lines] == ["12", "so"]
    async with client.post(
        f"{partner.address}/bot{TOKEN}/sendMessage", data=b"{", headers={"Content-Type": "application/json"}
    ) as bad:
        assert bad.status == 400
    async with client.get(f"{partner.address}/file/bot{TOKEN}/photos/none.jpg") as file:
        assert file.status == 404
    assert set(METHODS) > {"sendMessage", "getUpdates"}


@pytest.mark.parametrize(
    ("method", "body", "words"),
    [
        ("sendMessage", {"text": "x"}, "chat_id is empty"),
        ("sendMessage", {"chat_id": 1.5, "text": "x"}, "chat_id"),
        ("sendMessage", {"chat_id": 1, "text": "x", "silent": True}, "silent"),
        ("sendPhoto", {"chat_id": 111000001, "photo": "nothing"}, "wrong file identifier"),
        ("editMessageText", {"chat_id": 111000001, "message_id": 99, "text": "x"}, "message to edit not found"),
        ("setWebhook", {"url": "http://x.example"}, "HTTPS"),
        ("setWebhook", {"url": "https://x.example:9"}, "80, 88, 443 or 8443"),
        ("setWebhook", {"url": "https://x.example", "secret_token": "ї"}, "unallowed characters"),
        ("getUpdates", {"limit": 101}, "limit"),
        (
            "sendMessage",
            {"chat_id": 111000001, "text": "x", "reply_markup": {"inline_keyboard": [[{"text": "a"}]]}},
            "Text buttons are unallowed",
        ),
        (
            "sendMessage",
            {
                "chat_id": 111000001,
                "text": "x",
                "reply_markup": {"inline_keyboard": [[{"text": "a", "url": "x"}] * 9]},
            },
            "is invalid",
        ),
    ],
)
async def test_it_refuses_what_telegram_refuses(
    partner: TelegramPartner, client: aiohttp.ClientSession, method: str, body: dict[str, Any], words: str
) -> None:
    """With Telegram's own words where it has some."""
    next(iter(partner.bot.chats.people.values())).started = True
    status, told = await call(client, partner, method, **body)
    assert (status, words in told) == (400, True), told


async def test_updates_are_confirmed_by_the_next_question(
    partner: TelegramPartner, client: aiohttp.ClientSession
) -> None:
    """The same ones until an offset passes them; a negative one forgets the rest; a webhook stands against it."""
    person = next(iter(partner.bot.chats.people.values()))
    person.started = True
    for text in ("раз", "два", "три"):
        partner.bot.write(person, text)
    _, first = await call(client, partner, "getUpdates")
    assert [each["message"]["text"] for each in first] == ["раз", "два", "три"]
    _, rest = await call(client, partner, "getUpdates", offset=first[1]["update_id"])
    assert [each["message"]["text"] for each in rest] == ["два", "три"]
    _, last = await call(client, partner, "getUpdates", offset=-1)
    assert [each["message"]["text"] for each in last] == ["три"]
    await call(client, partner, "setWebhook", url="https://nobody.example:8443/hooks/x")
    assert (await call(client, partner, "getUpdates"))[0] == 409
    assert (await call(client, partner, "getWebhookInfo"))[1]["url"] == "https://nobody.example:8443/hooks/x"
    assert (await call(client, partner, "deleteWebhook", drop_pending_updates=True)) == (200, True)
    assert await call(client, partner, "getUpdates") == (200, [])


async def test_the_telephone_is_a_page(partner: TelegramPartner, client: aiohttp.ClientSession) -> None:
    """START by a link, words, buttons, the own number, blocking; each becomes an update."""
    page, person = partner.address, next(iter(partner.bot.chats.people.values()))
    who = {"who": str(person.id)}

    async def act(what: str, **form: str) -> str:
        async with client.post(f"{page}/phone/{what}", data={**who, **form}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.text()

    async with client.get(f"{page}/t.me/helper_bot?start=abc") as answer:
        assert 'value="abc"' in await answer.text()
    assert "the person has to start" in await act("send", text="рано")
    await act("start", start="abc")
    await act("send", text="<b>слово</b>")
    keyboard = {"keyboard": [[{"text": "Номер", "request_contact": True}]]}
    await call(client, partner, "sendMessage", chat_id=person.id, text="Ваш номер?", reply_markup=keyboard)
    buttons = {
        "inline_keyboard": [[{"text": "Так", "callback_data": "t"}, {"text": "Сайт", "url": "https://x.example"}]]
    }
    _, sent = await call(client, partner, "sendMessage", chat_id=person.id, text="Так?", reply_markup=buttons)
    async with client.get(f"{page}/phone/chat?who={person.id}") as answer:
        shown = await answer.text()
    assert all(words in shown for words in ("&lt;b&gt;слово", "Номер", "Так?", "https://x.example"))
    async with client.get(f"{page}/phone/chat?who={person.id}&version={person.version}") as answer:
        assert answer.status == 204
    await act("contact")
    await act("press", message=str(sent["message_id"]), data="t")
    assert "no such button" in await act("press", message=str(sent["message_id"]), data="other")
    assert "заблоковано" in await act("block")
    await act("admit")
    _, updates = await call(client, partner, "getUpdates")
    kinds = [next(key for key in each if key != "update_id") for each in updates]
    assert kinds == ["message", "message", "message", "callback_query", "my_chat_member", "my_chat_member"]
    assert [updates[0]["message"]["text"], person.lines[0].text] == ["/start abc", "/start"]
    contact = updates[2]["message"]["contact"]
    assert contact == {"phone_number": "380671234567", "first_name": "Олена Мельник", "user_id": person.id}
    async with client.post(f"{page}/phone/send", data=who, headers={"Origin": "https://evil.example"}) as answer:
        assert answer.status == 403
    added = await act("person", name="Тарас", phone="+380500000001")
    assert "Тарас" in added
    async with client.get(f"{page}/phone?who=5") as answer:
        assert answer.status == 404


async def test_phones_work_whatever_becomes_of_the_api_and_outlive_it(
    partner: TelegramPartner, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Manners are for the Bot API alone; the chats are there again after a restart."""
    partner.behave(manner("fail", ["503"]))
    async with client.get(partner.page) as answer:
        assert answer.status == 200
    assert (await call(client, partner, "getMe"))[0] == 503
    await partner.offer("Олена Мельник", "Добрий день".encode())
    again = TelegramPartner("helper", config(tmp_path), tmp_path / "helper")
    (person,) = again.bot.chats.people.values()
    assert ([line.text for line in person.lines], person.started) == (["Добрий день"], True)
    assert again.bot.chats.number() > person.lines[-1].id
    await again.close()


def test_clicks_can_be_answered_for_a_while_only(tmp_path: Path) -> None:
    """Two and a half minutes, as with Telegram."""
    now = [1000.0]
    bot = Bot(1, "helper_bot", tmp_path / "phones.json", lambda: now[0])
    person = next(iter(bot.chats.people.values()))
    bot.start(person)
    buttons = m.InlineKeyboard.model_validate({"inline_keyboard": [[{"text": "Так", "callback_data": "t"}]]})
    sent = bot.send_message(m.SendMessage(chat_id=person.id, text="?", reply_markup=buttons))
    click = bot.press(person, sent["message_id"], "t")
    assert bot.answer_callback_query(m.AnswerCallbackQuery(callback_query_id=click))
    now[0] += 151
    with pytest.raises(Refusal, match="query is too old"):
        bot.answer_callback_query(m.AnswerCallbackQuery(callback_query_id=click))


@pytest.mark.parametrize(
    ("text", "mode", "shown"),
    [
        ("<b>a</b> &lt;c&gt;", "HTML", "a <c>"), ("<b>a", "HTML", None), ("<x>a</x>", "HTML", None),
        ("a</b>", "HTML", None), ("*a* \\. b", "MarkdownV2", "a . b"), ("a.", "MarkdownV2", None),
        ("*a", "MarkdownV2", None), ("<b>", None, "<b>"),
    ],
)  # fmt: skip
def test_texts_are_read_as_telegram_reads_them(text: str, mode: str | None, shown: str | None) -> None:
    """Lengths count after the marks; a mark out of place refuses the whole."""
    if shown is None:
        with pytest.raises(Malformed):
            plain(text, mode)
    else:
        assert plain(text, mode) == shown
