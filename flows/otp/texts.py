"""What the bot says: templates in both languages, which a company may write anew, and their variables."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipe.errors import BadRequest
from pipe.refusing import refused

LANGUAGES = ("uk", "en")
LONGEST = 1000
_VARIABLE = re.compile(r"\{([a-z_]+)\}")

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "code": ("code", "minutes", "purpose", "company", "tries"),
    "right": ("purpose", "company"),
    "wrong": ("left", "purpose", "company"),
    "burned": ("purpose", "company"),
    "bound": ("company",),
}
"""what each template may say; `{code}` must stand in the first"""

DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "code": {
        "uk": "{code} — код: {purpose}, {company}.\nДіє {minutes} хв. Нікому його не кажіть: ми про нього не питаємо.",
        "en": "{code} is your code: {purpose}, {company}.\nGood for {minutes} min. Tell nobody: we never ask for it.",
    },
    "right": {"uk": "Код правильний. Можна продовжувати.", "en": "The code is right. You can go on."},
    "wrong": {
        "uk": "Код не збігається. Залишилося спроб: {left}.",
        "en": "The code does not match. Tries left: {left}.",
    },
    "burned": {
        "uk": "Спроби вичерпано, цей код більше не діє. Попросіть новий на сторінці.",
        "en": "No tries are left, this code is good no more. Ask for a new one on the page.",
    },
    "bound": {
        "uk": "Готово: одноразові коди ({company}) приходитимуть у цей чат.",
        "en": "Done: one-time codes ({company}) will come to this chat.",
    },
}

FIXED: Mapping[str, Mapping[str, str]] = {
    "hello": {
        "uk": "Вітаємо! Щоб отримувати тут одноразові коди, поділіться своїм номером телефону.",
        "en": "Welcome! To get one-time codes here, share your telephone number.",
    },
    "share": {"uk": "Поділитися номером", "en": "Share my number"},
    "not_own": {
        "uk": "Це чужий контакт. Натисніть «Поділитися номером», щоб надіслати свій.",
        "en": "That is somebody else's contact. Press “Share my number” to send your own.",
    },
    "stale": {
        "uk": "Це посилання вже не діє. Візьміть нове на сторінці, звідки ви прийшли.",
        "en": "This link is good no more. Take a new one on the page that you came from.",
    },
    "other_phone": {
        "uk": "Ваш номер інший, ніж указаний на сторінці, тому коди для неї сюди не прийдуть.",
        "en": "Your number is another than the one given on the page, so its codes will not come here.",
    },
    "none": {
        "uk": "Зараз я не чекаю коду. Попросіть його на сторінці, де він потрібен.",
        "en": "I am not waiting for a code now. Ask for one on the page that needs it.",
    },
    "help": {
        "uk": "Я надсилаю одноразові коди. Отриманий код можна ввести на сторінці або надіслати сюди.",
        "en": "I send one-time codes. Type a code on the page, or send it back to me.",
    },
    "moved": {
        "uk": "Ваші коди тепер надходитимуть в інший чат. Якщо це зробили не ви, повідомте адміністратора.",
        "en": "Your codes go to another chat now. If that was not you, tell an administrator at once.",
    },
    "locked": {
        "uk": "Було забагато неправильних кодів, тож нові поки не йдуть. Якщо це не ви, повідомте адміністратора.",
        "en": "There were too many wrong codes, so none come for now. If that was not you, tell an administrator.",
    },
    "test": {
        "uk": "Перевірка: бот працює, коди ({company}) надходитимуть сюди.",
        "en": "Test: the bot works, codes ({company}) will come here.",
    },
}  # fmt: skip

PURPOSES: Mapping[str, Mapping[str, str]] = {
    "sign-in": {"uk": "вхід до системи", "en": "sign-in"},
    "service": {"uk": "доступ до послуг", "en": "access to services"},
}
"""what a code is for, as people read it; another purpose is named by its own words"""


def checked(texts: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Templates as they are kept: without what is empty or as it was. Raises BadRequest that names what is wrong."""
    kept: dict[str, dict[str, str]] = {}
    for name, versions in texts.items():
        if name not in VARIABLES:
            raise BadRequest(f"there is no template `{name}`; there are {', '.join(VARIABLES)}")
        for language, text in versions.items():
            written = mended(name, text) if text.strip() else ""
            if written and written != DEFAULTS[name][language]:
                kept.setdefault(name, {})[language] = written
    return kept


def mended(name: str, text: str) -> str:
    """One template, trimmed. Raises BadRequest for an unknown variable, a missing code, or too many signs."""
    text = text.replace("\r\n", "\n").strip()
    unknown = set(_VARIABLE.findall(text)) - set(VARIABLES[name])
    if unknown:
        may = ", ".join(f"{{{each}}}" for each in VARIABLES[name])
        raise refused(BadRequest, "no_variable", name=f"{{{sorted(unknown)[0]}}}", may=may)
    if name == "code" and "{code}" not in text:
        raise refused(BadRequest, "no_code", code="{code}")
    if len(text) > LONGEST:
        raise refused(BadRequest, "too_long", signs=len(text), most=LONGEST)
    return text


def template(own: Mapping[str, Mapping[str, str]], name: str, language: str) -> str:
    """A company's own words, else the usual ones."""
    return own.get(name, {}).get(language) or DEFAULTS[name][language]


def filled(text: str, **values: object) -> str:
    """The text with its variables; what is no variable stays as it is written."""
    return _VARIABLE.sub(lambda found: str(values.get(found[1], found[0])), text)


def fixed(name: str, language: str, **values: object) -> str:
    """One of the texts that are the same everywhere."""
    return filled(FIXED[name][language if language in LANGUAGES else "uk"], **values)


def purpose(word: str, language: str) -> str:
    """What a code is for."""
    return PURPOSES.get(word, {}).get(language, word)
