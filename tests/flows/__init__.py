"""The business flows."""
