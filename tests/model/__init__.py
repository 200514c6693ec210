"""The rules of the box office a second time, in plain Python, and a machine that compares."""
