"""The load generator of this machine: wrk where it is installed, else sockets of our own."""

import shutil

from bench.load import sockets, wrk

fire = wrk.fire if shutil.which("wrk") else sockets.fire
NAME = fire.__module__.rpartition(".")[2]
