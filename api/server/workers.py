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
