"""Checks the checks: scripts with a bug put into them, and how many of those are caught."""
