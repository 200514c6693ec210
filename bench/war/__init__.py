"""Ticket wars: buyers that compete over HTTP, and the checks of every side afterwards."""
