"""What happens to one-time passwords on their routes: each step commits with its message or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flows.otp import asking, bindings, codes, settings, texts
from flows.otp.updates import answered
from pipe.contract import Message, Transaction, step
from pipe.errors import Denied


@step("otp.send")
def send(message: Message, tx: Transaction) -> Iterable[Message]:
    """Makes the code and goes on with what Telegram is to say; ends here where there is no chat, or it is too late."""
    challenge = codes.by_id(tx, str(message.body["challenge"]))
    if challenge is None:
        return []
    binding = bindings.find(tx, challenge.subject, challenge.connection)
    if binding is None or binding.blocked_at is not None:
        codes.fail(tx, challenge, "unbound" if binding is None else "blocked")
        return []
    code = codes.make(tx, challenge)
    if code is None:
        return []
    setting, language = settings.of(tx, challenge.company), challenge.language
    text = texts.filled(
        setting.template("code", language),
        code=code,
        minutes=max(1, round((challenge.expires_at - challenge.created_at) / 60)),
        purpose=texts.purpose(challenge.purpose, language),
        company=setting.name(language),
        tries=challenge.most,
    )
    body = {"challenge": challenge.id, "chat_id": binding.chat, "code": code, "text": text}
    return [message.but(body=body, headers={"bot": challenge.connection})]


@step("otp.sent")
def sent(message: Message, tx: Transaction) -> Iterable[Message]:
    """Notes what became of a code: Telegram took it, the bot is blocked, or it could not be sent in time."""
    fate = message.body
    # What came of the wish for a code is known here; what is told is what came of the code itself.
    challenge = codes.by_id(tx, str((fate.get("body") or {}).get("challenge", "")))
    if challenge is None or fate["target"].startswith("flow:"):
        return []
    if fate["outcome"] == "delivered":
        number = fate.get("reply", {}).get("message_id") if isinstance(fate.get("reply"), dict) else None
        codes.delivered(tx, challenge, number if isinstance(number, int) else None)
    elif fate["outcome"] == "expired":
        codes.fail(tx, challenge, "late")
    elif fate["code"] == "PIPE-2015":
        blocked = "blocked" in str(fate["text"])
        binding = bindings.find(tx, challenge.subject, challenge.connection)
        if binding is not None:
            bindings.turn(tx, challenge.connection, binding.chat, blocked=True)
        codes.fail(tx, challenge, "blocked" if blocked else "unbound")
    else:
        codes.fail(tx, challenge, "refused")
    return []


@step("otp.receive")
def receive(message: Message, tx: Transaction) -> Iterable[Message]:
    """Takes an update of a bot: links, numbers, codes that come back; goes on with what the bot answers."""
    bot = message.headers.get("bot", "")
    return [message.but(body=reply, headers={"bot": bot}) for reply in answered(tx, bot, message.body)]


@step("otp.notice")
def notice(message: Message, _: Transaction) -> Iterable[Message]:
    """Puts a word of the bot's own into the reader's language."""
    body: Mapping[str, Any] = message.body
    text = texts.fixed(str(body["say"]), str(body["language"]), **body.get("values", {}))
    return [message.but(body={"chat_id": body["chat_id"], "text": text})]


@step("otp.ask")
def ask(message: Message, tx: Transaction) -> Iterable[Message]:
    """A caller asks for a code: answers with the challenge's id, the same for known and unknown numbers."""
    return [message.but(body=asking.asked(tx, message))]


@step("otp.check")
def check(message: Message, tx: Transaction) -> Iterable[Message]:
    """A caller hands a code in: answers with the result and how many tries are left."""
    return [message.but(body=asking.checked(tx, message))]


@step("otp.state")
def state(message: Message, tx: Transaction) -> Iterable[Message]:
    """A caller asks how it stands: answers with what a page shows."""
    return [message.but(body=asking.state(tx, message))]


@step("otp.require")
def require(message: Message, tx: Transaction) -> Iterable[Message]:
    """Lets a message on only where a right code has opened the company for its session, `headers.otp_session`.

    Raises Denied.
    """
    company = str(message.params.get("company") or (message.company or {}).get("id") or "")
    session = message.headers.get("otp_session", "")
    if not session or codes.open_until(tx, asking.own(message, session), company) is None:
        raise Denied(f"{company} wants a one-time password first", hint="ask for one, and repeat this with its session")
    return [message]


@step("otp.sweep")
def sweep(_: Message, tx: Transaction) -> Iterable[Message]:
    """Ends codes that nobody has used in time."""
    codes.sweep(tx)
    return []


STEPS = (send, sent, receive, notice, ask, check, state, require, sweep)
