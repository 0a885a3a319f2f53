"""Tests of signing in, over HTTP without a browser."""
