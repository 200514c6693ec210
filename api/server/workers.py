"""Runs uvicorn: one process, or a parent with workers that closes the port when it stops.

uvicorn's own parent keeps the port open until its last worker has exited. Meanwhile the kernel
queues connections that no worker will accept: their clients wait and are then reset. Here the
parent closes the port first, so new connections are refused as soon as the workers stop listening.
A second signal is forwarded to the workers too.
"""

import sys

import uvicorn
from uvicorn.supervisors import Multiprocess

_STARTUP_FAILURE = 3
_JOIN_S = 0.1


class _Workers(Multiprocess):
    """Without its own copy of a worker's end of their pipe, the parent sees at once that a worker
    was killed. With it, a ping to that worker waits `timeout_worker_healthcheck`, and so do signals
    to the parent. uvicorn keeps the copy:
    https://github.com/encode/uvicorn/blob/master/uvicorn/supervisors/multiprocess.py
    """

    def init_processes(self) -> None:
        super().init_processes()
        self._close_worker_ends()

    def keep_subprocess_alive(self) -> None:
        super().keep_subprocess_alive()
        self._close_worker_ends()

    def _close_worker_ends(self) -> None:
        for process in self.processes:
            process.child_conn.close()

    def terminate_all(self) -> None:
        for port in self.sockets:
            port.close()
        super().terminate_all()

    def join_all(self) -> None:
        for process in self.processes:
            while process.exitcode is None:
                process.process.join(_JOIN_S)
                if self.signal_queue:
                    self.signal_queue.clear()
                    super().terminate_all()


def run_server(config: uvicorn.Config) -> None:
    """Serve until a signal stops it. Exits with 3 if it could not start."""
    if config.workers > 1:
        _Workers(config, [config.bind_socket()]).run()
        return
    server = uvicorn.Server(config)
    server.run()
    if not server.started:
        sys.exit(_STARTUP_FAILURE)
