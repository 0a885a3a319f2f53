"""What stands in PYTHONPATH of a gateway whose names are made up."""
