"""Credentials of servers that tests and stand-ins run on loopback: published, and of no use anywhere else."""

USER, PASSWORD = "pipe", "demo-password-of-the-files-stand-in"
