"""The foundation of all pages: operations, layout, words, forms, tables, live updates. See docs/howto/pages.md."""

from __future__ import annotations

from web.pages.call import Call
from web.pages.forms import Input, Invalid
from web.pages.listing import Column, Listing, Query
from web.pages.permission import PUBLIC, SIGNED_IN
from web.pages.results import Done, Show
from web.pages.router import Area, Nav

__all__ = [
    "PUBLIC", "SIGNED_IN", "Area", "Call", "Column", "Done", "Input", "Invalid", "Listing", "Nav", "Query", "Show",
]  # fmt: skip
