"""How long the machine runs: short on every commit, long by `make model`."""

from hypothesis import settings

settings.register_profile("long", max_examples=4000, stateful_step_count=60)
