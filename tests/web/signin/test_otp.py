"""Signing in with a code that the Telegram bot sends: typed, sent back, late, blocked, burned; and its settings."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flows.otp.settings import STAFF
from partners.manners import manner
from tests.adapters.telegram_bench import true
from tests.flows.otp.house import COMPANY, House, house
from tests.web.pages.site import Answer, Visitor
from tests.web.signin.test_login import with_app

LOGIN = "oksana@ukc.gov.ua"
SPARE = '  spare-bot: {type: telegram, token: "${file:token}", api: "http://127.0.0.1:9", updates: polling}\n'


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[House]:
    """A gateway and its Telegram; somebody whose chat is bound."""
    async with house(tmp_path, more=SPARE) as found:
        await found.person_of(LOGIN)
        async with found.visitor() as visitor:
            await visitor.sign_in(LOGIN)
            await found.bind(visitor)
        yield found


async def first_step(made: House, visitor: Visitor) -> tuple[Answer, str]:
    """The page of the code, and the code."""
    last = max((line.id for line in made.person.lines), default=0)
    page = await visitor.sign_in(LOGIN)
    assert page.url.path == "/login/code", page.text[:2000]
    return page, await made.code(after=last)


async def test_the_code_signs_in(made: House) -> None:
    """Eight digits, three minutes, said what for; the session has both factors, and the message is gone."""
    async with made.visitor() as visitor:
        page, code = await first_step(made, visitor)
        assert "Введіть код із Telegram" in page.text
        assert "@otp_bot" in page.text
        assert len(code) == 8
        assert "вхід до системи" in (await made.said(lambda text: code in text))
        done = await visitor.post("/login/code", code=code)
        assert done.url.path == "/admin"
        account = await visitor.get("/me")
        assert account.status == 200
    await true(lambda: not any(code in line.text for line in made.person.lines))
    assert (await made.audited("signin.ok"))[-1:] == ["signin.ok"]


async def test_the_code_sent_back_signs_in(made: House) -> None:
    """The page waits, and goes on once the bot has the code; not before, and not for another browser."""
    async with made.visitor() as visitor, made.visitor() as other:
        _, code = await first_step(made, visitor)
        early = await visitor.post("/login/code/elsewhere")
        assert (early.url.path, "ще не надійшов" in early.text) == ("/login/code", True)
        made.telegram.bot.write(made.person, code)
        await made.said(lambda text: "правильний" in text)
        assert '"done"' in (await visitor.get("/login/code/state")).text
        assert '"over"' in (await other.get("/login/code/state")).text
        await visitor.get("/login/code")
        assert (await visitor.post("/login/code/elsewhere")).url.path == "/admin"


async def test_wrong_codes_are_counted_and_a_burned_one_leads_to_a_new_one(made: House) -> None:
    """What is left is that of the code; after the third the page says so and offers another code in time."""
    async with made.visitor() as visitor:
        _, code = await first_step(made, visitor)
        wrong = f"{(int(code) + 1) % 10**8:08}"
        answers = [await visitor.post("/login/code", code=wrong) for _ in range(3)]
        assert "Залишилося 2 спроби" in answers[0].text
        assert "Залишилася 1 спроба" in answers[1].text
        assert (answers[2].url.path, "Спроби вичерпано" in answers[2].text) == ("/login/code", True)
        assert "Новий код через" in answers[2].text


async def test_a_blocked_bot_is_said_and_undone(made: House) -> None:
    """With steps and a link to the bot; unblocked, the code comes."""
    made.telegram.bot.block(made.person)
    async with made.visitor() as visitor:
        await visitor.sign_in(LOGIN)
        await made.until("failed", "blocked")
        page = await visitor.get("/login/code")
        assert "Telegram не передав код" in page.text
        assert f'href="{made.telegram.address}/t.me/otp_bot"' in page.text
        made.telegram.bot.admit(made.person)
        await made.unlocked()
        await asyncio.sleep(0.1)
        page = await visitor.get("/login/code")
        assert "Надіслати код" in page.text
        await visitor.post("/login/again")
        done = await visitor.post("/login/code", code=await made.code())
        assert done.url.path == "/admin"


async def test_a_slow_or_limiting_telegram_is_waited_for(made: House) -> None:
    """429 is obeyed: the code comes when Telegram takes it, and the page asks for it meanwhile."""
    made.telegram.behave(manner("fail", ["429", "retry_after=1", "for=1"]))
    async with made.visitor() as visitor:
        page, code = await first_step(made, visitor)
        assert "Надсилаємо" in page.text
        assert (await visitor.post("/login/code", code=code)).url.path == "/admin"


async def test_too_many_codes_are_a_pause_with_a_time(made: House) -> None:
    """The page says when to ask again."""
    async with made.visitor() as visitor:
        await first_step(made, visitor)
        await visitor.get("/login")
        page = await visitor.sign_in(LOGIN)
        assert page.url.path == "/login/code"
        assert "Зачекайте перед новим кодом" in page.text
        assert "Новий код через" in page.text


async def test_whoever_has_an_app_and_a_chat_chooses(made: House) -> None:
    """The app is asked first, the chat offered beside it; tries stay counted, and lists count either as a factor."""
    await made.person_of("admin@ukc.gov.ua", "person.read", "grant.give")
    async with made.visitor() as visitor, made.visitor() as other:
        await other.sign_in("admin@ukc.gov.ua")
        assert "У вас немає другого чинника" in (await other.get("/admin")).text
        lists = [LOGIN in (await other.get(f"/admin/people?factor={each}")).text for each in ("yes", "no")]
        assert lists == [True, False]
        _, code = await first_step(made, visitor)
        assert "Іншим способом" not in (visitor.last.text if visitor.last else "")
        await visitor.post("/login/code", code=code)
        assert "У вас немає другого чинника" not in (await visitor.get("/admin")).text
        app = await with_app(made, visitor)
        page = await visitor.sign_in(LOGIN)
        assert ("Введіть код із застосунку" in page.text, "Код у Telegram</button>" in page.text) == (True, True)
        assert "Залишилося 4 спроби" in (await visitor.post("/login/code", code="000000")).text
        await made.unlocked()
        last = made.person.lines[-1].id
        page = await visitor.post("/login/other", factor="otp")
        assert ("Введіть код із Telegram" in page.text, "Код із застосунку</button>" in page.text) == (True, True)
        sent = await made.code(after=last)
        assert "Введіть код із застосунку" in (await visitor.post("/login/other", factor="totp")).text
        assert "Введіть код із застосунку" in (await visitor.post("/login/other", factor="oidc")).text
        # The code that is in the chat already is good still: coming back sends no other.
        assert "Введіть код із Telegram" in (await visitor.post("/login/other", factor="otp")).text
        assert (await visitor.post("/login/code", code=sent)).url.path == "/admin"
        assert (await made.audited("otp.requested")) == ["otp.requested"] * 2
        await visitor.sign_in(LOGIN)
        fresh = app.generate(time.time() + 30).decode()
        assert (await visitor.post("/login/code", code=fresh)).url.path == "/admin"


async def test_where_a_second_factor_is_required_a_chat_is_one(tmp_path: Path) -> None:
    """The first page offers the chat beside the app; bound and confirmed by its code, everything else opens."""
    async with house(tmp_path, more="sign_in: {second_factor: required}\n") as found, found.visitor() as visitor:
        await found.person_of(LOGIN)
        page = await visitor.sign_in(LOGIN)
        assert (page.url.path, 'href="/me/telegram"' in page.text) == ("/me/totp", True)
        await found.bind(visitor)
        assert (await visitor.get("/admin")).url.path == "/me/totp"
        assert "Підтвердити кодом і продовжити" in (await visitor.get("/me/telegram")).text
        assert (await visitor.post("/me/confirm", to="/")).url.path == "/login/code"
        assert (await visitor.post("/login/code", code=await found.code())).url.path == "/admin"


async def test_a_link_binds_once_and_the_chat_can_be_unbound(made: House) -> None:
    """The old chat is told of a new one; what is unbound asks for no code."""
    other = made.telegram.bot.chats.add("Хтось інший", "+380509999999")
    async with made.visitor() as visitor:
        _, code = await first_step(made, visitor)
        await visitor.post("/login/code", code=code)
        await visitor.get("/me/telegram")
        refused = await visitor.post("/me/telegram/begin")
        assert (refused.status, "?start=" in refused.text) == (422, False)
        await made.bind(visitor, other)
        await made.said(lambda text: "в інший чат" in text)
        page = await visitor.get("/me/telegram")
        assert "під’єднано" in page.text
        wrong = await visitor.post("/me/telegram/remove", current="не той пароль")
        assert wrong.status == 422
        gone = await visitor.post("/me/telegram/remove", current="зелений чайник на вікні")
        assert gone.url.path == "/me"
    async with made.visitor() as visitor:
        assert (await visitor.sign_in(LOGIN)).url.path == "/admin"


# --- settings ---------------------------------------------------------------------------------------------------------


async def test_an_administrator_sets_a_company_up(made: House) -> None:
    """The list, the form, a preview that saves nothing, what is wrong, and a test to the own chat."""
    await made.person_of("admin@ukc.gov.ua", "otp.read", "otp.edit", "otp.unlock")
    async with made.visitor() as visitor:
        await visitor.sign_in("admin@ukc.gov.ua")
        listed = await visitor.get("/admin/otp")
        assert ("Компанія pensions" in listed.text, "@otp_bot" in listed.text) == (True, True)
        assert ("spare-bot" in listed.text, "http://127.0.0.1:9" in listed.text) == (True, True)
        page = await visitor.get(f"/admin/otp/{COMPANY}")
        assert "Використовувати OTP через Telegram bot" in page.text
        assert made.telegram.address in page.text
        assert "${file:token}" in page.text
        assert "demo-token" not in page.text
        look = {"enabled": "true", "bot": "otp-bot", "act": "look", "code_uk": "Код {code}, {purpose}!"}
        seen = await visitor.post(f"/admin/otp/{COMPANY}/form", **look)
        assert "Код 482913, вхід до системи!" in seen.text
        assert "Ще не збережено" in seen.text
        for wrong, words in (
            ({"code_uk": "без коду"}, "у тексті має бути {code}"), ({"wrong_en": "{code}"}, "вставити не можна"),
            ({"tries": "9"}, "Це число"), ({"digits": "шість"}, "Це число"), ({"bot": ""}, "Виберіть бот"),
            ({"bot": "spare-bot"}, "не знають бота spare-bot"),
        ):  # fmt: skip
            answer = await visitor.post(f"/admin/otp/{COMPANY}/form", **{**look, "act": "save", **wrong})
            assert (answer.status, words in answer.text) == (422, True), (wrong, answer.text[-3000:])
        good = {**look, "act": "save", "tries": "5", "digits": "7"}
        saved = await visitor.post(f"/admin/otp/{COMPANY}/form", **good)
        assert "Збережено" in saved.text
        refused = await visitor.post(f"/admin/otp/{COMPANY}/test")
        assert (refused.status, refused.text.count("під’єднайте свій чат")) == (422, 2)
        await visitor.get("/me/telegram")
        other = made.telegram.bot.chats.add("Адміністраторка", "+380508888888")
        await made.bind(visitor, other)
        await visitor.get(f"/admin/otp/{STAFF}")
        assert "Надіслано" in (await visitor.post(f"/admin/otp/{STAFF}/test")).text
        await made.said(lambda text: "Перевірка" in text, other)
        unlocked = await visitor.post(f"/admin/otp/{COMPANY}/unlock", login=LOGIN)
        assert "Блокування знято" in unlocked.text
        assert (await visitor.post(f"/admin/otp/{COMPANY}/unlock", phone="ні")).status == 422
    await made.share_number()
    asked = await made.ask(COMPANY, phone="+380671234567", session="a-browser-of-its-own-01")
    assert asked["digits"] == 7
    assert re.fullmatch(r"Код \d{7}, доступ до послуг!", await made.said(lambda text: text.startswith("Код ")))
    events = await made.audited()
    assert [each for each in ("otp.setting_changed", "otp.tested", "otp.unlocked") if each not in events] == []


async def test_who_may_not_sees_nothing(made: House) -> None:
    """Neither the list nor a company; and nothing can be set."""
    async with made.visitor() as visitor:
        _, code = await first_step(made, visitor)
        await visitor.post("/login/code", code=code)
        assert (await visitor.get("/admin/otp")).status == 403
        assert (await visitor.get(f"/admin/otp/{COMPANY}")).status == 403
        await visitor.get("/me")
        assert (await visitor.post(f"/admin/otp/{COMPANY}/form", enabled="true")).status == 403
        assert (await visitor.post(f"/admin/otp/{COMPANY}/test")).status == 403
