"""Appeals: rules for themselves, steps over a real database."""
