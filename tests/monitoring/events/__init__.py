"""Tests of the log of integration events."""
