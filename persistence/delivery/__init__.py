"""Delivers webhook messages to the organisers' receivers, at least once.

A message: queued with its journal entry -> due (a delivery for each webhook that subscribes to it)
-> claimed (a lease of LEASE_MS) -> delivered (the receiver answered 2xx), or due again after a
retry delay, or dead after the last retry. A deliverer that dies lets its leases expire, and the
messages are due again. A receiver that answers 410 disables its webhook, and every message still
due for it is dead.
"""
