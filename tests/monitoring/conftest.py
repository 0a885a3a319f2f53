"""The heart that monitoring watches, as the engine's own tests have it."""

from tests.pipe.conftest import clock, house, postgres_folder, url

__all__ = ["clock", "house", "postgres_folder", "url"]
