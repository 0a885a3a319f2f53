"""What pages say, in Ukrainian and in English: one catalogue, both languages side by side.

Files `web/texts/*.toml` and `pipe/texts/*.toml`: a table a key, in it `uk` and `en`. A text with a number has forms
by number instead:
`uk = {one = "{n} сеанс", few = "{n} сеанси", many = "{n} сеансів"}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from pipe import saying
from pipe.errors import PipeError
from pipe.refusing import Term

Language = saying.Language
LANGUAGES = saying.LANGUAGES
FIRST: Language = "uk"
FOLDERS = (Path(__file__).resolve().parent.parent / "texts", saying.FOLDER)
KYIV = ZoneInfo("Europe/Kyiv")
_NAME = re.compile(r"{(\w+)}")
PLACES = {"Ґ": "Гӿ", "ґ": "гӿ", "Є": "Еӿ", "є": "еӿ", "І": "Иӿ", "і": "иӿ", "Ї": "Иӿӿ", "ї": "иӿӿ"}
"""letters whose number is not that of their place in the Ukrainian alphabet, and what stands in that place"""
NARROW = "\u00a0"

Text = str | Mapping[str, str]


@cache
def catalogue() -> Mapping[str, Mapping[str, Text]]:
    """All texts by key. Raises ValueError where two files have the same key."""
    return saying.read(*FOLDERS)


def chosen(cookie: str | None) -> Language:
    """The language of the cookie, else Ukrainian."""
    return "en" if cookie == "en" else FIRST


class Words:
    """The catalogue in one language."""

    __slots__ = ("_texts", "language")

    def __init__(self, language: Language, texts: Mapping[str, Mapping[str, Text]] | None = None) -> None:
        self.language = language
        self._texts = catalogue() if texts is None else texts

    def __call__(self, key: str, /, **values: Any) -> str:
        """The text with its `{names}` filled in. Raises KeyError for a key or a name that is not there."""
        text = self._text(key, values)
        return _NAME.sub(lambda found: self._say(values[found[1]]), text) if "{" in text else text

    def rich(self, key: str, /, **values: Any) -> Markup:
        """The same for pages where the text itself has tags, such as `<b>`; what is filled in is escaped."""
        return Markup(_NAME.sub(lambda found: str(escape(self._say(values[found[1]]))), self._text(key, values)))  # noqa: S704 — the catalogue is ours

    def refusal(self, error: PipeError) -> str:
        """What a refusal says and what helps, without the last full stop; the error's own words where it has no key."""
        key, values = error.said
        if not key:
            return error.text.rstrip(".")
        known = {name: self._term(value) for name, value in values.items()}
        told, hint = self(f"refused.{key}", **known), f"refused.hint.{key}"
        if not self.has(hint):
            return told
        more = self(hint, **known)
        return f"{told}. {more[:1].upper()}{more[1:]}"

    def _term(self, value: Any) -> Any:
        key = f"refused.term.{value}"
        return self(key) if isinstance(value, Term) and self.has(key) else value

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in self._texts

    def name_of(self, thing: Any) -> str:
        """The name of what has one in both languages."""
        uk, en = (str(getattr(thing, f"name_{language}", "")) for language in LANGUAGES)
        return (uk if self.language == "uk" else en) or uk

    def number(self, value: float) -> str:
        """`1 284`; fractions with the language's own sign."""
        text = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
        whole, point, rest = text.partition(".")
        return whole.replace(",", NARROW) + (("," if self.language == "uk" else ".") + rest if point else "")

    def moment(self, at: float | None, *, seconds: bool = False) -> str:
        """`27.11.2026 14:32` in Kyiv; a dash for none."""
        if at is None:
            return "–"
        form = "%d.%m.%Y %H:%M" if self.language == "uk" else "%Y-%m-%d %H:%M"
        return datetime.fromtimestamp(at, KYIV).strftime(form + (":%S" if seconds else ""))

    def clock(self, at: float, *, fine: bool = False) -> str:
        """`14:32:07` in Kyiv; `fine`: `14:32:07,114`."""
        then = datetime.fromtimestamp(at, KYIV)
        part = f"{',' if self.language == 'uk' else '.'}{then.microsecond // 1000:03}" if fine else ""
        return then.strftime("%H:%M:%S") + part

    def lasting(self, seconds: float) -> str:
        """`12 хв`: the two largest units at most."""
        left = max(0, round(seconds))
        parts = []
        for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
            if left >= size:
                parts.append(f"{left // size}{NARROW}{self(f'unit.{unit}')}")
                left %= size
            elif parts:
                break
            if len(parts) == 2:
                break
        return " ".join(parts) or f"0{NARROW}{self('unit.second')}"

    def _say(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return str(value)
        return self.number(value)

    def _text(self, key: str, values: Mapping[str, Any]) -> str:
        text = self._texts[key][self.language]
        if isinstance(text, str):
            return text
        form = plural(self.language, int(values["n"]))
        return text.get(form) or text["other" if "other" in text else "many"]


def alphabetical(text: str) -> str:
    """What to sort a text by, so that Ґ follows Г, Є follows Е, and І and Ї follow И."""
    return "".join(PLACES.get(letter, letter) for letter in text.casefold())


def plural(language: Language, n: int) -> str:
    """The form of a whole number, as CLDR has it."""
    if language == "en":
        return "one" if n == 1 else "other"
    if n % 10 == 1 and n % 100 != 11:
        return "one"
    return "few" if 2 <= n % 10 <= 4 and not 12 <= n % 100 <= 14 else "many"
