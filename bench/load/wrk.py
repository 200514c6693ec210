"""Fires a volley with wrk, which takes far less CPU than Python would: on a small machine that is
what the server gets. What wrk is to send is a file, read by `wrk.lua`.
"""

import resource
import subprocess
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.load.volley import Shots, Volley
from engine.errors import Misconfigured

_SCRIPT = Path(__file__).with_suffix(".lua")


def fire(url: str, volley: Volley) -> Shots:
    """Run wrk, for whole seconds. Raises: Misconfigured with what it said."""
    with TemporaryDirectory(prefix="wrk-") as folder:
        file = Path(folder) / "volley"
        file.write_text("\n".join([*volley.head_lines(url), "", *volley.bodies]))
        command = ["wrk", "-t1", f"-c{volley.connections}", f"-d{ceil(volley.seconds)}s"]
        command += ["--script", str(_SCRIPT), url, "--", str(file)]
        command += ["counted"] * volley.counted + ["pays"] * volley.pays
        before_s = _children_cpu_s()
        ran = subprocess.run(command, capture_output=True, text=True)
        cpu_s = _children_cpu_s() - before_s
    if ran.returncode:
        raise Misconfigured(f"wrk: {ran.stderr or ran.stdout}")
    return parse(ran.stdout.splitlines()[-1], cpu_s)


def parse(line: str, cpu_s: float) -> Shots:
    """The last line that `wrk.lua` prints: six numbers, then `status:count` pairs."""
    numbers, pairs = line.split()[:6], line.split()[6:]
    us, answers, refused, failed, p50_us, p99_us = map(int, numbers)
    return Shots(
        seconds=us / 1e6,
        answer_count=answers,
        error_count=refused + failed,
        failed_count=failed,
        p50_ms=p50_us / 1000,
        p99_ms=p99_us / 1000,
        statuses={int(status): int(count) for status, count in (p.split(":") for p in pairs)},
        cpu_s=cpu_s,
    )


def _children_cpu_s() -> float:
    """Nothing else that was started here may end meanwhile, or it is counted too."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
