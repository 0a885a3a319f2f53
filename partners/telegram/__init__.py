"""The stand-in of Telegram: a Bot API that refuses what Telegram refuses, and the phones of its people as a page."""

from partners.telegram.partner import TelegramPartner

__all__ = ["TelegramPartner"]
