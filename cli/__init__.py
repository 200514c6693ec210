"""The `engine` command: the composition root, the only package that knows all others."""
