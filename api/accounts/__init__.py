"""Accounts over HTTP: register, verify, log in, refresh, log out, reset a password, manage roles.

Every module here may use Postgres, and none is on the path of a hold: the permissions of a caller
are in its token. See docs/accounts.md.
"""
