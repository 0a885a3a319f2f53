"""The whole gateway as a process, between clients and partners that keep books of their own."""
