"""`/ops`: how the gateway does, what waits and why, and what people can do about it."""
