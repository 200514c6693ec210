"""Ties a part to its supervisor: when the supervisor is killed, the part gets SIGTERM.

It runs as a program, `python tether.py <pid of the supervisor> <niceness> <command…>`, and becomes
the command by exec. A preexec_fn would run Python in the fork of a process with threads. Only Linux
has this system call; elsewhere a part outlives a killed supervisor.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for the signal, then become the command."""
    supervisor, niceness, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    os.nice(niceness)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != supervisor:  # the supervisor was killed before the request
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606  # the supervisor's own command


if __name__ == "__main__":
    main()
