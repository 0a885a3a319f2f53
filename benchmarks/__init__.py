"""What a message costs: the gateway beside bare aiohttp, in the same run, on the same machine, as ratios."""
