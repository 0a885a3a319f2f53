"""Each key of the configuration does something, and a wrong value says what is wrong."""
