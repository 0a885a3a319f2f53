"""One-time passwords, with a whole gateway and its Telegram."""
