"""Adapters: the promises of each, against the real other end of its protocol."""
