"""The connection to Redis: one multiplexed wire, the calls of a tick in one write."""
