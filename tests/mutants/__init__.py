"""Who checks the checkers: scripts with a bug put into them, and how many of those are caught."""
