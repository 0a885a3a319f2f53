"""Promises of the catalogue: both languages say everything, with the same gaps to fill, in all forms of a number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipe.errors import BadRequest
from pipe.refusing import Term, refused
from web.catalogue import AREAS
from web.pages.router import Router
from web.pages.words import Text, Words, catalogue, chosen, plural

WEB = Path(__file__).resolve().parents[3] / "web"
FORMS = {"uk": {"one", "few", "many"}, "en": {"one", "other"}}
BUILT = ("toast.", "error.", "people.state_", "people.kind_", "home.about.", "event.", "factor.", "password.",
         "form.error.", "layout.theme.", "single.", "people.", "code.", "totp.", "keys.", "unit.",
         "area.", "finding.", "questions.", "grants.state_", "holder.", "scope.", "level.", "importing.state_",
         "companies.", "rules.", "nav.",
         "otp.what.", "otp.language.", "otp.number.", "otp.bot_state.",
         "ops.connection.", "ops.count.", "ops.route.", "ops.delivery.", "ops.class.", "ops.cause.", "ops.source.",
         "ops.ledger.", "ops.alerts.severity.", "ops.alerts.state.", "ops.queues.",
         "ops.fact.", "ops.event.", "ops.act.", "ops.work.", "ops.dead.period_", "ops.period.", "ops.switch.",
         "ops.doctor.", "ops.check.", "ops.promise.", "ops.rule.", "ops.alerts.", "ops.routes.",
         "ops.connections.", "ops.cure.", "ops.drift.", "drift.", "untraced.",
         "subscriptions.why.", "subscriptions.by.", "subscriptions.in_", "subscriptions.severity.",
         "subscriptions.fate.", "subscriptions.connections", "subscriptions.routes", "subscriptions.gone",
         "refused.hint.", "refused.term.", "code.way.", "exchanges.by.", "exchanges.outcomes.")  # fmt: skip
"""beginnings of keys that are put together where they are used"""


def gaps(text: Text) -> set[str]:
    """The `{names}` of a text, over all its forms."""
    forms = [text] if isinstance(text, str) else text.values()
    return {name for form in forms for name in re.findall(r"{(\w+)}", form)}


@pytest.mark.parametrize("key", catalogue())
def test_each_text_is_there_in_both_languages(key: str) -> None:
    """With the same values to fill in, and for a number with each form that the language has."""
    entry = catalogue()[key]
    assert set(entry) == {"uk", "en"}
    assert gaps(entry["uk"]) == gaps(entry["en"])
    for language, text in entry.items():
        if not isinstance(text, str):
            assert set(text) == FORMS[language]


def test_each_text_that_a_template_or_a_handler_asks_for_is_there() -> None:
    """A key that is written out somewhere is in the catalogue."""
    sources = [*WEB.rglob("*.html"), *WEB.rglob("*.py")]
    asked = {
        key
        for path in sources
        for key in re.findall(r"""\bt(?:\.rich)?\('([a-z_]+(?:\.[a-z_]+)+)'[,)]""", path.read_text(encoding="utf-8"))
    }
    told = {
        f"toast.{key}"
        for path in WEB.rglob("*.py")
        for key in re.findall(r"""Done\([^()]*?, "([a-z_.]+)\"""", path.read_text(encoding="utf-8"))
    }
    assert len(asked) > 100
    assert sorted((asked | told) - set(catalogue())) == []


def test_each_text_is_asked_for_somewhere() -> None:
    """What nobody says any more goes."""
    files = (*WEB.rglob("*.html"), *WEB.rglob("*.py"))
    text = "\n".join(path.read_text(encoding="utf-8") for path in files) + "\n".join(refusals())
    assert [key for key in catalogue() if key not in text and not key.startswith(BUILT)] == []


def refusals() -> set[str]:
    """Keys of the refusals that flows and operations raise."""
    places = (path for place in ("flows", "pipe", "monitoring") for path in (WEB.parent / place).rglob("*.py"))
    flows = "\n".join(path.read_text(encoding="utf-8") for path in places)
    keys = re.findall(r"""refused\(\s*\w+, "(\w+)\"""", flows) + re.findall(r""""(role_\w+)": select""", flows)
    return {f"refused.{key}" for key in [*keys, "columns_missing", "columns_unknown"]}


def test_each_refusal_has_its_words() -> None:
    """What flows refuse with is in the catalogue, and the page says it in the reader's language with what helps."""
    assert sorted(refusals() - set(catalogue())) == []
    error = refused(BadRequest, "not_empty", what=Term("unit"), id="hall")
    assert (error.text, error.hint) == ("the unit `hall` is not empty", "move what is in it first")
    assert Words("uk").refusal(error) == "ще не порожньо: підрозділ «hall». Спершу перенесіть те, що всередині"
    assert Words("en").refusal(error) == "the unit `hall` is not empty. Move what is in it first"
    assert Words("uk").refusal(BadRequest("as it is.")) == "as it is"


def test_each_page_of_the_menu_has_its_words() -> None:
    """The names of sections and pages are in the catalogue."""
    keys = {key for each in Router(AREAS).menu() if each.nav for key in (each.nav.section, each.nav.key)}
    assert sorted(keys - set(catalogue())) == []


@pytest.mark.parametrize(
    ("n", "form"),
    [(0, "many"), (1, "one"), (2, "few"), (5, "many"), (11, "many"), (12, "many"), (21, "one"), (24, "few")],
)
def test_numbers_take_their_form(n: int, form: str) -> None:
    """As CLDR has it for Ukrainian."""
    assert plural("uk", n) == form
    assert plural("en", n) == ("one" if n == 1 else "other")


def test_what_is_filled_in_is_escaped_where_the_text_has_tags() -> None:
    """A value never becomes markup."""
    words = Words("uk", {"a": {"uk": "<b>{x}</b>", "en": ""}})
    assert words.rich("a", x="<i>") == "<b>&lt;i&gt;</b>"


def test_ukrainian_comes_first() -> None:
    """Only a choice of English makes it English."""
    assert [chosen(each) for each in (None, "uk", "de", "en")] == ["uk", "uk", "uk", "en"]


def test_times_and_numbers_are_said_as_people_say_them() -> None:
    """In Kyiv, with narrow gaps, in the two largest units."""
    words = Words("uk")
    assert words.moment(1_795_000_000) == "18.11.2026 13:06"
    assert words.number(1284) == "1\u00a0284"
    assert words.lasting(754) == "12\u00a0хв 34\u00a0с"
