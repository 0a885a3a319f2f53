"""Methods: what arrives, what Telegram refuses, and what each refusal means for the message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.telegram import Telegram
from adapters.telegram.config import TelegramTarget
from partners.manners import manner
from pipe.contract import Expression, Receipt
from pipe.errors import (
    Busy,
    MappingFailed,
    NotAuthorised,
    PeerBroke,
    PipeError,
    RecipientGone,
    Refused,
    ReplyTooLarge,
    TooLarge,
    Verdict,
)
from pipe.testing.suites import outgoing
from tests.adapters.pki import Pki
from tests.adapters.raw_server import RawServer, reply, says, serving
from tests.adapters.telegram_bench import Bench, bench, config


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bot and its people."""
    async with bench(tmp_path) as found:
        yield found


@pytest.fixture
async def sink(made: Bench) -> AsyncIterator[Telegram]:
    """The adapter, open."""
    adapter = made.make()
    await adapter.open()
    yield adapter
    await adapter.close()


async def call(sink: Telegram, method: str, body: Any, **keys: Any) -> Receipt:
    """One call."""
    return await sink.send(outgoing(body, TelegramTarget.model_validate({"call": method, **keys})))


@pytest.mark.key("to.telegram.call")
async def test_a_message_is_edited_clicked_answered_and_deleted(made: Bench, sink: Telegram) -> None:
    """The whole life of one; what is so already counts as done."""
    chat, bot = made.first.id, made.partner.bot
    buttons = {"inline_keyboard": [[{"text": "Так", "callback_data": "так"}]]}
    sent = await call(sink, "sendMessage", {"chat_id": chat, "text": "Привіт", "reply_markup": buttons})
    number = sent.body["message_id"]
    click = bot.press(made.first, number, "так")
    assert (await call(sink, "answerCallbackQuery", {"callback_query_id": click, "text": "Гаразд"})).body is True
    edit = {"chat_id": chat, "message_id": number, "text": "Гаразд"}
    assert (await call(sink, "editMessageText", edit)).body["text"] == "Гаразд"
    assert (await call(sink, "editMessageText", edit)).body is True
    line = made.first.line(number)
    assert line is not None
    assert (line.text, line.buttons, made.first.toast) == ("Гаразд", [], "Гаразд")
    gone = {"chat_id": chat, "message_id": number}
    assert [(await call(sink, "deleteMessage", gone)).body for _ in range(2)] == [True, True]
    assert made.first.lines == []


@pytest.mark.key("to.telegram.parameters", "to.telegram.download")
async def test_a_photo_goes_up_and_comes_down(made: Bench, sink: Telegram) -> None:
    """Bytes of ours as a form, then by its id, then back as a file."""
    photo = b"\xff\xd8\xff--not a boundary\r\n" * 50
    parameters = {"chat_id": str(Expression(f"`{made.first.id}`")), "caption": "'Підпис'"}
    sent = await call(sink, "sendPhoto", photo, parameters=parameters)
    named = sent.body["photo"][-1]["file_id"]
    await call(sink, "sendPhoto", {"chat_id": made.first.id, "photo": named})
    assert [(line.text, line.photo) for line in made.first.lines] == [("Підпис", named), ("", named)]
    assert (await call(sink, "getFile", {"file_id": named})).body["file_size"] == len(photo)
    assert (await call(sink, "getFile", {"file_id": named}, download=True)).body == photo
    with pytest.raises(TooLarge):
        await call(sink, "sendPhoto", b"x" * 10_000_001, parameters=parameters)


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ({"chat_id": 5, "text": "x"}, RecipientGone, "chat not found"),
        ({"text": ""}, MappingFailed, "needs `text`"),
        ({"text": "  "}, Refused, "message text is empty"),
        ({"text": "x" * 4097}, Refused, "message is too long"),
        ({"text": "x", "wrong": 1}, Refused, "wrong"),
        ({"chat_id": "111", "text": "x"}, Refused, "chat_id"),
        ({"text": "<b>x", "parse_mode": "HTML"}, Refused, "can't parse entities"),
        ({"text": "a.b", "parse_mode": "MarkdownV2"}, Refused, "reserved"),
        (
            {"text": "x", "reply_markup": {"inline_keyboard": [[{"text": "a", "callback_data": "ї" * 33}]]}},
            Refused,
            "BUTTON_DATA_INVALID",
        ),
    ],
)
async def test_what_telegram_refuses_is_dead_with_its_words(
    made: Bench, sink: Telegram, body: dict[str, Any], error: type[PipeError], words: str
) -> None:
    """Sending it again would not help."""
    with pytest.raises(error, match=words) as caught:
        await call(sink, "sendMessage", {"chat_id": made.first.id, **body})
    assert caught.value.verdict is Verdict.DEAD


async def test_a_person_who_blocked_or_never_wrote_is_a_clear_outcome(made: Bench, sink: Telegram) -> None:
    """Dead at once, and nothing against the connection; reached again once they let the bot in."""
    person, message = made.first, {"chat_id": made.first.id, "text": "x"}
    made.partner.bot.block(person)
    with pytest.raises(RecipientGone, match="403 Forbidden: bot was blocked by the user"):
        await call(sink, "sendMessage", message)
    made.partner.bot.admit(person)
    await call(sink, "sendMessage", message)
    stranger = made.partner.bot.chats.add("Нова", "+380670000099")
    with pytest.raises(RecipientGone, match="can't initiate conversation"):
        await call(sink, "sendMessage", {**message, "chat_id": stranger.id})


async def test_too_many_is_a_pause_as_long_as_telegram_says(made: Bench, sink: Telegram) -> None:
    """The engine waits so long; whoever does not is told again."""
    message = {"chat_id": made.first.id, "text": "x"}

    async def many() -> None:
        for _ in range(20):
            await call(sink, "sendMessage", message)

    with pytest.raises(Busy) as caught:
        await many()
    assert caught.value.retry_after == 3
    with pytest.raises(Busy):
        await call(sink, "sendMessage", message)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("fail", "500"), PeerBroke),
        (("fail", "502"), PeerBroke),
        (("error200",), PeerBroke),
        (("fail", "429", "retry_after=7"), Busy),
        (("refuse", "401"), NotAuthorised),
        (("garbage",), PipeError),
    ],
)
async def test_failures_of_the_bot_api(
    made: Bench, sink: Telegram, words: tuple[str, ...], error: type[PipeError]
) -> None:
    """5xx and what is no answer may have gone out: nothing confirms it, so it is uncertain."""
    made.partner.behave(manner(words[0], words[1:]))
    with pytest.raises(error) as caught:
        await call(sink, "sendMessage", {"chat_id": made.first.id, "text": "x"})
    assert (caught.value.verdict is Verdict.UNCERTAIN) == (error in {PeerBroke, PipeError})
    if error is Busy:
        assert caught.value.retry_after == 7


async def test_a_late_answer_to_a_click_and_a_stale_link_are_refused(made: Bench, sink: Telegram) -> None:
    """Dead letters with Telegram's words."""
    with pytest.raises(Refused, match="query is too old"):
        await call(sink, "answerCallbackQuery", {"callback_query_id": "5"})
    with pytest.raises(Refused, match="invalid file_id"):
        await call(sink, "getFile", {"file_id": "none"})


async def test_the_doctor_names_the_bot(made: Bench) -> None:
    """Rung by rung, without sending anything."""
    found = [(rung.name, rung.state, rung.text) async for rung in made.make().examine([])]
    assert found[-1] == ("bot", "ok", "@ukc_bot, number 7000000001")
    wrong = made.make()
    (made.folder / "token").write_text("7000000001:another-token-that-telegram-never-gave", encoding="utf-8")
    assert [rung.state async for rung in wrong.examine([])][-1] == "fail"


@pytest.mark.key("telegram.tls", "telegram.proxy", "telegram.allow", "telegram.max_reply")
async def test_the_way_is_that_of_any_http_partner(made: Bench, tmp_path: Path) -> None:
    """The certificate is checked, addresses inside need their network, a proxy is used, a large file is cut."""
    address, port = made.partner.address, made.partner.port

    async def looked(**keys: Any) -> str:
        adapter = Telegram("ukc", config(made.folder, **{"api": address, **keys}), made.services)
        await adapter.open()
        health = await adapter.check()
        await adapter.close()
        return health.reason or health.state

    inside = f"http://localhost:{port}"
    assert "which `allow: networks` does not hold" in await looked(api=inside)
    assert await looked(api=inside, allow={"networks": ["127.0.0.0/8", "::1/128"]}) == "up"
    proxied = {"api": "http://bots.example", "proxy": {"url": address}}
    assert await looked(**proxied, allow={"hosts": ["bots.example", "127.0.0.1"]}) == "up"
    pki = Pki(tmp_path)
    async with serving(RawServer(), pki.server("127.0.0.1")) as secured:
        secured.on("*", says(reply(200, b'{"ok": true, "result": {}}')))
        api = f"https://127.0.0.1:{secured.port}"
        assert "its authority is not known here" in await looked(api=api)
        assert await looked(api=api, tls={"ca": Path(pki.ca_file)}) == "up"
    file = made.partner.bot.keep("photos", bytes(5000))
    small = Telegram("ukc", config(made.folder, api=address, max_reply="2KiB"), made.services)
    await small.open()
    with pytest.raises(ReplyTooLarge):
        await call(small, "getFile", {"file_id": file}, download=True)
    await small.close()
