"""Other people's SOAP stacks, run as processes of their own: as callers of our server and as partners of our client."""
