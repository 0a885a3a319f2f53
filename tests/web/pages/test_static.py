"""Promises of styles and scripts: small, hashed, cached for ever, nothing inline; the two dark blocks equal."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp

from tests.web.pages.site import Pages
from web.pages.static import FOLDER, Static

TEMPLATES = FOLDER.parent / "templates"
MOST_JS = 60_000


def test_all_scripts_together_are_small() -> None:
    """Under 60 kB as written, before compression."""
    assert 0 < sum(path.stat().st_size for path in FOLDER.rglob("*.js")) < MOST_JS


def test_the_two_dark_blocks_are_equal() -> None:
    """One follows the system, one the person's choice."""
    text = (FOLDER / "tokens.css").read_text(encoding="utf-8")
    blocks = re.findall(r"@media screen[^{]*\{\s*:root[^{]*\{(.*?)\}", text, re.DOTALL)
    assert len(blocks) == 2
    assert blocks[0].split() == blocks[1].split()


def test_no_raw_colour_stands_outside_the_tokens() -> None:
    """Styles name roles; only the QR code must be black on white in any theme."""
    for name in ("components.css", "pages.css"):
        lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
        raw = [line for line in lines if re.search(r":[^;{]*#[0-9a-fA-F]{3,8}\b", line) and ".qr" not in line]
        assert raw == []


def test_nothing_inline_stands_in_a_template() -> None:
    """No script, no style, no handler in an attribute: the policy would refuse them."""
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text) == [], path


def test_each_icon_that_is_asked_for_is_drawn() -> None:
    """The sprite has it."""
    drawn = set(re.findall(r'<symbol id="([\w-]+)"', (FOLDER / "icons.svg").read_text(encoding="utf-8")))
    sources = [*TEMPLATES.rglob("*.html"), *FOLDER.parent.rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    asked = set(re.findall(r"icon\('([\w-]+)'\)", text)) | set(re.findall(r'Nav\("[^"]+", "[^"]+", "([\w-]+)"', text))
    assert asked - drawn == set()


def test_the_address_changes_with_any_file(tmp_path: Path) -> None:
    """And with nothing else."""
    (tmp_path / "a.js").write_text("1", encoding="utf-8")
    (tmp_path / "b.css").write_text("2", encoding="utf-8")
    first, again = Static(tmp_path).url("a.js"), Static(tmp_path).url("a.js")
    (tmp_path / "b.css").write_text("3", encoding="utf-8")
    assert first == again != Static(tmp_path).url("a.js")


async def test_files_are_kept_for_ever_and_packed(site: Pages) -> None:
    """Under their hashed address; one of another version is served, too, but to be asked for anew."""
    static = site.gateway.staff.site.static
    async with aiohttp.ClientSession(site.address, auto_decompress=False) as client:
        async with client.get(static.url("app.js"), headers={"Accept-Encoding": "gzip"}) as now:
            assert now.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert (now.headers["Content-Encoding"], now.content_type) == ("gzip", "text/javascript")
        async with client.get("/static/0123/app.js") as old:
            assert (old.status, old.headers["Cache-Control"]) == (200, "no-cache")
        async with client.get("/static/0123/../../pyproject.toml") as outside:
            assert outside.status == 404
