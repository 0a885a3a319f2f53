"""The suite: mirrors the tree, one promise a test."""
