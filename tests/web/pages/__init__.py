"""Tests of the foundation of pages, over HTTP without a browser."""
