"""Steps: each format and mapping by itself."""
