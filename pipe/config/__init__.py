"""The configuration: strict YAML, frozen models, lint, the computed promise, secrets by reference."""
