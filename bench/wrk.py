"""Fires a volley with wrk, which takes far less CPU than Python would: on a small machine that is
what the server gets. What wrk is to send is a file, read by `wrk.lua`.
"""

import subprocess
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.volley import Shots, Volley
from engine.errors import Misconfigured

_SCRIPT = Path(__file__).with_suffix(".lua")


def fire(url: str, volley: Volley) -> Shots:
    """Run wrk, for whole seconds. Raises: Misconfigured with what it said."""
    with TemporaryDirectory(prefix="wrk-") as folder:
        file = Path(folder) / "volley"
        file.write_text("\n".join([*volley.head_lines(url), "", *volley.bodies]))
        command = ["wrk", "-t1", f"-c{volley.connections}", f"-d{ceil(volley.seconds)}s"]
        command += ["--script", str(_SCRIPT), url, "--", str(file)]
        ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise Misconfigured(f"wrk: {ran.stderr or ran.stdout}")
    us, answers, errors, p50_us, p99_us = map(int, ran.stdout.splitlines()[-1].split())
    return Shots(
        seconds=us / 1e6,
        answer_count=answers,
        error_count=errors,
        p50_ms=p50_us / 1000,
        p99_ms=p99_us / 1000,
    )
