"""The heart that monitoring watches, as the engine's own tests have it."""

from tests.pipe.conftest import clock, house, url

__all__ = ["clock", "house", "url"]
