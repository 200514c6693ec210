"""`python -m bench.war.scenarios NAME [OPTION …]`: a war on an installation of its own.

Starts everything in a folder that is thrown away, fights as `engine war --scenario NAME` with
the options, and stops it all. `make war SCENARIO=NAME` is this.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.rig.stand import engine_up
from bench.war.scenarios import SCENARIOS


def main() -> int:
    """The exit code of the war; 2 for a scenario there is not."""
    name, *options = sys.argv[1:] or ["rush"]
    if name not in SCENARIOS:
        print(f"there is no scenario {name!r}. There are:", file=sys.stderr)
        for scenario in SCENARIOS.values():
            print(f"  {scenario.name:12} {scenario.says}", file=sys.stderr)
        return 2
    with TemporaryDirectory(prefix="war-") as folder, engine_up(Path(folder) / "data") as stand:
        command = [sys.executable, "-m", "engine", "war", "--scenario", name, *options]
        place = ["--url", stand.url, "--data", str(stand.data)]
        return subprocess.run([*command, *place], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
