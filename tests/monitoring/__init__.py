"""Monitoring watches through events."""
