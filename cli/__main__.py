"""`python -m engine` and `python -m cli` run the `engine` command."""

from cli import main

main(prog_name="engine")
