"""The gateway of the pages' tests."""

from __future__ import annotations

from tests.web.pages.conftest import shared, site

__all__ = ["shared", "site"]
