"""The examples of docs/howto, as real files that are tested."""
