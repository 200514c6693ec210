"""`python -m engine` runs the `engine` command, by name: this package imports nothing above it."""

import runpy

runpy.run_module("cli", run_name="__main__")
