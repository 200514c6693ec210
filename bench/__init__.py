"""Ticket wars and benchmarks. Everything that is measured is asked for over HTTP."""
