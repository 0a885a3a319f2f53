"""Jinja2 as the pages use it: everything escaped, an unknown name is an error, one environment for each language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup, escape

from web.pages.static import Static
from web.pages.words import LANGUAGES, Words

FOLDER = Path(__file__).resolve().parent.parent / "templates"


_CODE = re.compile(r"`([^`]+)`")


class Templates:
    """Makes HTML. Templates are compiled when first asked for and kept."""

    def __init__(self, static: Static, folder: Path = FOLDER) -> None:
        self._environments = {language: _environment(Words(language), static, folder) for language in LANGUAGES}

    def render(self, name: str, words: Words, context: Mapping[str, Any]) -> str:
        """The page. Raises what Jinja raises for a template that asks for what is not there."""
        return self._environments[words.language].get_template(name).render(context)


class _Compiled(BytecodeCache):
    """What one language's templates compile to; gateways of one process, as tests have them, share it."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Jinja compares the checksum of the template's text."""
        if (code := self._code.get(bucket.key)) is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Called after each compilation."""
        self._code[bucket.key] = bucket.bytecode_to_string()


# One for each language: what filters make of constants is compiled in.
_COMPILED = {language: _Compiled() for language in LANGUAGES}


def _environment(words: Words, static: Static, folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=_COMPILED[words.language],
    )
    environment.globals |= {
        "t": words,
        "static": static.url,
        "icon": lru_cache(maxsize=1000)(partial(_icon, static)),
    }
    environment.filters |= {
        "moment": words.moment,
        "clock": words.clock,
        "lasting": words.lasting,
        "number": words.number,
        "coded": _coded,
        "query": _query,
        "initials": _initials,
        "named": words.name_of,
        "tojson_text": lambda value: orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode(),
        "browser": lambda agent: _browser(agent) or words("session.unknown_agent"),
    }
    return environment


def _coded(text: str) -> Markup:
    """What stands between backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 — escaped before


def _icon(static: Static, name: str, label: str | None = None) -> Markup:
    """An icon of the sprite; with a label it is an image of its own, else it accompanies a word."""
    said = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="icon" {}><use href="{}#{}"/></svg>').format(said, static.url("icons.svg"), escape(name))


def _query(values: Mapping[str, Any]) -> str:
    """`?a=1&b=2` of what is not empty."""
    said = {name: value for name, value in values.items() if value not in (None, "")}
    return f"?{urlencode(said, doseq=True)}" if said else "?"


def _initials(name: str) -> str:
    return "".join(word[0] for word in name.split()[:2]).upper()


_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip


def _browser(agent: str) -> str:
    """Browser and system in words, of what the browser says about itself."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return ", ".join(each for each in (browser, system) if each)
