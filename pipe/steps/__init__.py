"""Steps of a route at work: pure ones in sequence, and those that need the engine."""
