"""Telegram bots: updates by long polling or webhook, and the methods that answer them."""

from adapters.telegram.adapter import Telegram

__all__ = ["Telegram"]
