"""The parts of `python -m bench`: one module each, with `measure(options) -> Section`."""
