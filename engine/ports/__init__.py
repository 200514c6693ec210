"""Data types that `api` and `persistence` share, so that neither imports the other."""
