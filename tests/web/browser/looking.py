"""What is wrong with a page, by axe and by its width: in one window and theme with every rule, in the others too."""

from __future__ import annotations

import os
from itertools import product
from typing import Any, cast

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from tests.web.browser.conftest import NARROW, WIDE

DEEP = os.environ.get("PIPE_DEEP") == "1"
Way = tuple[tuple[int, int], str, str]
"""the window, the theme, the language"""

WAYS: list[Way] = (
    list(product((WIDE, NARROW), ("light", "dark"), ("uk", "en")))
    if DEEP
    else [(WIDE, "light", "uk"), (NARROW, "dark", "en"), (WIDE, "dark", "en"), (NARROW, "light", "uk")]
)
# Only what is found is sent out of the browser: all that passed is most of what axe would cost.
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}
BY_SIGHT = {
    "runOnly": ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable"],
    "resultTypes": ["violations"],
}
"""rules whose verdict the window or the theme may change; the others look at what both have in common"""
FIND = """rules => axe.run(rules).then(results => results.violations.flatMap(
    each => each.nodes.map(node => `${each.id}: ${node.html.slice(0, 120)}`)))"""


def share(pages: list[str], way: Way) -> list[str]:
    """The pages that are opened that way: all of them in the deep suite, each in one way otherwise."""
    return pages if DEEP else pages[WAYS.index(way) :: len(WAYS)]


async def found_wrong(page: Page) -> list[str]:
    """What axe finds, and whether something is wider than the window."""
    await page.evaluate(Axe().axe_script)
    return await _found(page, RULES)


async def found_wrong_both_ways(page: Page) -> list[str]:
    """The same, and what is wrong with the open page at the other width in the other theme."""
    wrong = await found_wrong(page)
    size = cast("dict[str, int]", page.viewport_size)
    wide = size["width"] == WIDE[0]
    dark = await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    await _turn(page, NARROW if wide else WIDE, dark=not dark)
    wrong += await _found(page, BY_SIGHT)
    await _turn(page, WIDE if wide else NARROW, dark=dark)
    return wrong


async def _found(page: Page, rules: dict[str, Any]) -> list[str]:
    wrong = cast("list[str]", await page.evaluate(FIND, rules))
    wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return [*wrong, *([f"{wide} px too wide"] if wide > 0 else [])]


async def _turn(page: Page, size: tuple[int, int], *, dark: bool) -> None:
    """Motion is reduced, as a colour that is on its way from one theme to the other is neither's."""
    await page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
    await page.set_viewport_size({"width": size[0], "height": size[1]})
