"""The fixture `house` of the engine's own tests: on SQLite and on PostgreSQL."""

from tests.pipe.conftest import clock, house, postgres_folder, url

__all__ = ["clock", "house", "postgres_folder", "url"]
