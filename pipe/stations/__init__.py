"""Where deliveries are worked off: one station for each target, flow and split of a route."""
