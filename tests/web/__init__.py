"""Tests of the listeners and of what is served to people."""
