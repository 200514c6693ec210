"""Ties a part to its supervisor: a SIGKILL of the one ends the other with SIGTERM.

Run as a program, `python tether.py <pid of the supervisor> <niceness> <command…>`, which becomes
the command: a preexec_fn would run Python in the fork of a process with threads. Only Linux knows
the call; elsewhere a part outlives a supervisor that was killed.
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
        if os.getppid() != supervisor:  # it was killed before the kernel was asked
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606  # the supervisor's own command


if __name__ == "__main__":
    main()
