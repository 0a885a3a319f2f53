"""The fixture `house` of the engine's own tests: on SQLite and on PostgreSQL."""

from tests.pipe.conftest import clock, house, url

__all__ = ["clock", "house", "url"]
