"""Tests of what sign-in keeps and of its rules."""
