"""From the first sign to the all-clear."""
