"""The bot as Telegram sees it: what its methods do, and when they refuse."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from partners.telegram import models as m
from partners.telegram.chats import Chats, Line, Person
from partners.telegram.texts import Malformed, plain
from partners.telegram.updates import Updates

LONGEST_TEXT, LONGEST_CAPTION, LARGEST_FILE = 4096, 1024, 20_000_000
CLICK_S = 150.0
"""how long a click can be answered"""
PER_BOT, PER_CHAT = 30.0, 1.0
BURST_OF_CHAT = 5.0
"""Telegram lets short bursts pass"""
PAUSE_S = 3


class Refusal(Exception):
    """Telegram's no."""

    def __init__(self, code: int, text: str, **beside: Any) -> None:
        self.code, self.text, self.beside = code, text, beside
        super().__init__(text)


class Bot:
    """One bot with its people."""

    def __init__(self, id: int, username: str, file: Path, clock: Callable[[], float] = time.time) -> None:
        self.id, self.username, self._clock = id, username, clock
        self.chats = Chats(file)
        self.updates = Updates(clock)
        self.files: dict[str, tuple[str, bytes]] = {}
        """path and content by file id"""
        self._clicks: OrderedDict[str, tuple[float, Person]] = OrderedDict()
        self._buckets: dict[int | str, tuple[float, float]] = {}
        self._frozen: dict[int, float] = {}

    @property
    def me(self) -> dict[str, Any]:
        """As it names itself."""
        return {"id": self.id, "is_bot": True, "first_name": self.username, "username": self.username}

    # --- methods

    def send_message(self, ask: m.SendMessage) -> dict[str, Any]:
        """Raises Refusal."""
        person = self._reachable(ask.chat_id)
        text = self._text(ask.text, ask.parse_mode, LONGEST_TEXT, "message")
        self._spend(person)
        return self._said(person, text, ask.reply_markup, protected=ask.protect_content)

    def send_photo(self, ask: m.SendPhoto, upload: bytes | None) -> dict[str, Any]:
        """Raises Refusal."""
        person = self._reachable(ask.chat_id)
        caption = ask.caption or ""
        if caption:
            caption = self._text(caption, ask.parse_mode, LONGEST_CAPTION, "message caption")
        if upload is not None:
            photo = self.keep("photos", upload)
        elif ask.photo and (ask.photo in self.files or ask.photo.startswith("https://")):
            photo = ask.photo
        else:
            raise Refusal(400, "Bad Request: wrong file identifier/HTTP URL specified")
        self._spend(person)
        return self._said(person, caption, ask.reply_markup, photo=photo, protected=ask.protect_content)

    def edit_message_text(self, ask: m.EditMessageText) -> dict[str, Any]:
        """Raises Refusal."""
        person = self._reachable(ask.chat_id)
        line = person.line(ask.message_id)
        if line is None or line.mine:
            raise Refusal(400, "Bad Request: message to edit not found")
        text = self._text(ask.text, ask.parse_mode, LONGEST_TEXT, "message")
        buttons = _buttons(ask.reply_markup)
        if (line.text, line.buttons) == (text, buttons):
            raise Refusal(400, "Bad Request: message is not modified: specified new message content and reply markup "
                               "are exactly the same as a current content and reply markup of the message")  # fmt: skip
        line.text, line.buttons, line.edited = text, buttons, True
        self.chats.changed(person)
        return self._message(person, line)

    def answer_callback_query(self, ask: m.AnswerCallbackQuery) -> bool:
        """Raises Refusal."""
        begun, person = self._clicks.get(ask.callback_query_id, (0.0, None))
        if person is None or self._clock() - begun > CLICK_S:
            raise Refusal(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        person.toast = ask.text
        self.chats.changed(person)
        return True

    def delete_message(self, ask: m.DeleteMessage) -> bool:
        """Raises Refusal."""
        person = self._reachable(ask.chat_id)
        line = person.line(ask.message_id)
        if line is None:
            raise Refusal(400, "Bad Request: message to delete not found")
        person.lines.remove(line)
        self.chats.changed(person)
        return True

    def get_file(self, ask: m.GetFile) -> dict[str, Any]:
        """Raises Refusal."""
        if ask.file_id not in self.files:
            raise Refusal(400, "Bad Request: invalid file_id")
        path, content = self.files[ask.file_id]
        if len(content) > LARGEST_FILE:
            raise Refusal(400, "Bad Request: file is too big")
        return {"file_id": ask.file_id, "file_unique_id": ask.file_id[:8], "file_size": len(content), "file_path": path}

    def webhook_info(self) -> dict[str, Any]:
        """How it stands with the webhook."""
        hook, error = self.updates.webhook, self.updates.last_error
        told: dict[str, Any] = {"url": hook.url if hook else "", "has_custom_certificate": False}
        told["pending_update_count"] = len(self.updates.waiting)
        return told | ({"last_error_date": error[0], "last_error_message": error[1]} if error else {})

    # --- people

    def start(self, person: Person, payload: str = "") -> None:
        """START, or a deep link to it."""
        person.started = True
        self.admit(person)
        self.write(person, f"/start {payload}".rstrip(), shown="/start")

    def write(self, person: Person, text: str, shown: str = "") -> None:
        """The person writes; the chat may show less than what the bot gets."""
        line = self._add(person, shown or text)
        body = self._message(person, line) | {"from": person.user, "text": text}
        if text.startswith("/"):
            body["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.partition(" ")[0])}]
        self.updates.add("message", body)

    def contact(self, person: Person, phone: str | None = None, owner: int | None = None) -> None:
        """The person shares a contact: their own, unless another's number is given."""
        line = self._add(person, f"☎ {phone or person.phone}")
        person.keyboard = []
        body = self._message(person, line) | {"from": person.user}
        body.pop("text")
        number = (phone or person.phone).removeprefix("+")
        card: dict[str, Any] = {"phone_number": number, "first_name": person.name}
        if phone is None or owner is not None:
            card["user_id"] = owner or person.id
        self.updates.add("message", body | {"contact": card})

    def press(self, person: Person, message: int, data: str) -> str:
        """The person presses a button below a message; returns the click's id. Raises Refusal for one not there."""
        line = person.line(message)
        if line is None or not any(data == button.get("callback_data") for row in line.buttons for button in row):
            raise Refusal(404, "there is no such button")
        number = str(secrets.randbits(60))
        self._clicks[number] = self._clock(), person
        while len(self._clicks) > 1000:
            self._clicks.popitem(last=False)
        click = {
            "id": number,
            "from": person.user,
            "message": self._message(person, line),
            "chat_instance": str(person.id),
        }
        self.updates.add("callback_query", click | {"data": data})
        return number

    def block(self, person: Person) -> None:
        """The bot can reach the person no longer."""
        self._turn(person, blocked=True)

    def admit(self, person: Person) -> None:
        """It can again."""
        if person.blocked:
            self._turn(person, blocked=False)

    def keep(self, folder: str, content: bytes) -> str:
        """A file; returns its id."""
        named = f"{folder[:1].upper()}{secrets.token_urlsafe(16)}"
        self.files[named] = f"{folder}/file_{len(self.files)}.jpg", content
        return named

    # --- rules

    def _reachable(self, chat: int) -> Person:
        person = self.chats.people.get(chat)
        if person is None:
            raise Refusal(400, "Bad Request: chat not found")
        if not person.started:
            raise Refusal(403, "Forbidden: bot can't initiate conversation with a user")
        if person.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        return person

    def _text(self, text: str, mode: str | None, longest: int, what: str) -> str:
        try:
            shown = plain(text, mode)
        except Malformed as error:
            raise Refusal(400, f"Bad Request: {error}") from None
        if not shown.strip():
            raise Refusal(400, f"Bad Request: {what} text is empty" if what == "message" else f"Bad Request: {what}")
        if len(shown) > longest:
            raise Refusal(400, f"Bad Request: {what} is too long")
        return shown.strip()

    def _spend(self, person: Person) -> None:
        now = time.monotonic()
        if (until := self._frozen.get(person.id, 0.0)) > now:
            raise self._too_many(until - now)
        for key, rate, burst in (("bot", PER_BOT, PER_BOT), (person.id, PER_CHAT, BURST_OF_CHAT)):
            tokens, since = self._buckets.get(key, (burst, now))
            tokens = min(burst, tokens + (now - since) * rate)
            if tokens < 1:
                self._frozen[person.id] = now + PAUSE_S
                raise self._too_many(PAUSE_S)
            self._buckets[key] = tokens - 1, now

    def _too_many(self, seconds: float) -> Refusal:
        whole = max(1, int(seconds + 0.999))
        return Refusal(429, f"Too Many Requests: retry after {whole}", retry_after=whole)

    # --- lines

    def _add(self, person: Person, text: str) -> Line:
        if not person.started or person.blocked:
            raise Refusal(403, "the person has to start the bot first")
        line = Line(self.chats.number(), mine=True, at=int(self._clock()), text=text)
        person.lines.append(line)
        self.chats.changed(person)
        return line

    def _said(
        self, person: Person, text: str, markup: m.Markup | None, *, photo: str | None = None, protected: bool = False
    ) -> dict[str, Any]:
        line = Line(self.chats.number(), False, int(self._clock()), text, _buttons(markup), photo, protected=protected)
        person.lines.append(line)
        if isinstance(markup, m.Keyboard):
            person.keyboard = [[button.model_dump() for button in row] for row in markup.keyboard]
        elif isinstance(markup, m.NoKeyboard):
            person.keyboard = []
        self.chats.changed(person)
        return self._message(person, line)

    def _message(self, person: Person, line: Line) -> dict[str, Any]:
        sender = person.user if line.mine else self.me
        told = {"message_id": line.id, "from": sender, "chat": person.chat, "date": line.at}
        if line.photo is not None:
            size = {"file_id": line.photo, "file_unique_id": line.photo[:8], "width": 90, "height": 51}
            return told | {"photo": [size], "caption": line.text}
        return told | {"text": line.text}

    def _turn(self, person: Person, *, blocked: bool) -> None:
        before, after = ("member", "kicked") if blocked else ("kicked", "member")
        person.blocked = blocked
        self.chats.changed(person)
        changed = {"chat": person.chat, "from": person.user, "date": int(self._clock())}
        states = {"old_chat_member": before, "new_chat_member": after}
        for name, status in states.items():
            until = {"until_date": 0} if status == "kicked" else {}
            changed[name] = {"user": self.me, "status": status} | until
        self.updates.add("my_chat_member", changed)


def _buttons(markup: m.Markup | None) -> list[list[dict[str, Any]]]:
    if not isinstance(markup, m.InlineKeyboard):
        return []
    return [[button.model_dump(exclude_none=True) for button in row] for row in markup.inline_keyboard]
