"""Mail servers: hands messages to them as mail, with templates, attachments and TLS."""

from adapters.smtp.adapter import Smtp

__all__ = ["Smtp"]
