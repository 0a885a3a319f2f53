"""Webhooks, signed as Standard Webhooks says, in both directions; Slack's incoming webhook as one of the shapes."""

from adapters.webhook.adapter import Webhook

__all__ = ["Webhook"]
