"""Everything the gateway serves over HTTP to people, and the listeners that all HTTP surfaces share."""
