"""The stand-ins themselves are tested: what tests lean on must hold."""
