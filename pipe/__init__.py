"""PIPE: an integration gateway that loses nothing it accepted."""
