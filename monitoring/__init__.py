"""Watches the engine through its events; the engine never imports it."""
