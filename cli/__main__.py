"""`python -m engine` and `python -m cli` run the `engine` command."""

from cli.commands import main

main(prog_name="engine")
