"""What people do in Telegram: come by a link, share their number, send a code back, block the bot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.otp import bindings, codes, settings, texts
from flows.otp.rules import DIGITS, LINK, phone_of
from pipe.contract import Transaction

Update = Mapping[str, Any]
Reply = dict[str, Any]


def answered(tx: Transaction, bot: str, update: Update) -> list[Reply]:
    """What the bot says to an update, as parameters of sendMessage. Only what happens in private chats counts."""
    if "my_chat_member" in update:
        return _membership(tx, bot, update["my_chat_member"])
    message = update.get("message")
    if not isinstance(message, dict) or message.get("chat", {}).get("type") != "private":
        return []
    return [_Chat(tx, bot, message).answer()]


def _membership(tx: Transaction, bot: str, change: Update) -> list[Reply]:
    chat, status = change.get("chat", {}), change.get("new_chat_member", {}).get("status")
    if chat.get("type") == "private" and status in ("kicked", "member"):
        bindings.turn(tx, bot, int(chat["id"]), blocked=status == "kicked")
    return []


class _Chat:
    """One message of one chat."""

    def __init__(self, tx: Transaction, bot: str, message: Update) -> None:
        self._tx, self._bot, self._message = tx, bot, message
        self._id, self._from = int(message["chat"]["id"]), message.get("from", {})
        said = str(self._from.get("language_code", "uk"))[:2]
        self._language = "en" if said not in ("uk", "ru", "be") else "uk"

    def answer(self) -> Reply:
        """What it is answered with."""
        if isinstance(contact := self._message.get("contact"), dict):
            return self._contact(contact)
        text = str(self._message.get("text", "")).strip()
        if text.split()[:1] == ["/start"]:
            return self._start(text.partition(" ")[2].strip())
        return self._code(text) if DIGITS.fullmatch(text) else self._say("help")

    # --- binding

    def _start(self, word: str) -> Reply:
        bindings.turn(self._tx, self._bot, self._id, blocked=False)
        if not word:
            subjects = bindings.of_chat(self._tx, self._bot, self._id)
            known = any(not subject.startswith(bindings.PERSON) for subject in subjects)
            return self._say("help") if known else self._ask_number()
        found = bindings.taken(self._tx, self._bot, word) if LINK.fullmatch(word) else None
        if found is None:
            return self._say("stale")
        if found.subject.startswith(bindings.PERSON):
            return self._bind(found.subject, found.company)
        # Whoever has the link only says whose number it is about: Telegram itself has to vouch for it.
        bindings.await_number(self._tx, self._bot, found, self._id)
        return self._ask_number()

    def _contact(self, contact: Mapping[str, Any]) -> Reply:
        if contact.get("user_id") is None or contact.get("user_id") != self._from.get("id"):
            return self._ask_number("not_own")
        number = phone_of(str(contact.get("phone_number", "")))
        if number is None:
            return self._ask_number("not_own")
        subject = bindings.phone(self._tx, number)
        awaited = bindings.awaited(self._tx, self._bot, self._id)
        if awaited is not None and awaited.subject != subject:
            self._tx.audit("otp.rebind_denied", after={"bot": self._bot}, target=awaited.subject)
            return self._say("other_phone") | {"reply_markup": {"remove_keyboard": True}}
        companies = settings.of_bot(self._tx, self._bot)
        return self._bind(subject, awaited.company if awaited else companies[0] if companies else settings.STAFF)

    def _bind(self, subject: str, company: str) -> Reply:
        before = bindings.bind(self._tx, subject, self._bot, self._id, self._language)
        if before is not None:
            codes.say(self._tx, self._bot, before, "moved", self._language)
        of = settings.of(self._tx, company)
        said = texts.filled(of.template("bound", self._language), company=of.name(self._language))
        return {"chat_id": self._id, "text": said, "reply_markup": {"remove_keyboard": True}}

    def _ask_number(self, what: str = "hello") -> Reply:
        button = {"text": texts.fixed("share", self._language), "request_contact": True}
        keyboard = {"keyboard": [[button]], "resize_keyboard": True, "one_time_keyboard": True}
        return self._say(what) | {"reply_markup": keyboard}

    # --- a code that came back

    def _code(self, text: str) -> Reply:
        subjects = bindings.of_chat(self._tx, self._bot, self._id)
        result, left, found = codes.check_in_chat(self._tx, self._bot, subjects, text)
        if found is None or result == "over":
            return self._say("none")
        if result == "locked":
            return self._say("locked")
        of = settings.of(self._tx, found.company)
        told = of.template(result, found.language)
        said = texts.purpose(found.purpose, found.language)
        return {
            "chat_id": self._id,
            "text": texts.filled(told, left=left, purpose=said, company=of.name(found.language)),
        }

    def _say(self, what: str) -> Reply:
        return {"chat_id": self._id, "text": texts.fixed(what, self._language)}
