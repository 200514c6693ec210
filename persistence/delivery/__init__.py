"""Delivers webhook messages to organisers."""
