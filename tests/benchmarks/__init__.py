"""The measuring itself is measured: a benchmark that cannot fail says nothing."""
