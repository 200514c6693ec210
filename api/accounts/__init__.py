"""Accounts over HTTP: register, verify, log in, refresh, log out, choose another password, roles.

Everything here may ask Postgres, and nothing of it is on the path of a hold: what a caller may do
is in its token. See docs/accounts.md.
"""
