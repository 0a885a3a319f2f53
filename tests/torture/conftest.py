"""Between clients, gateway and partner stand proxies that do to connections what networks do."""

from tests.pipe.conftest import clock, house, living, url

__all__ = ["clock", "house", "living", "url"]
