"""`--metrics-port`: metrics of a part that shares no metrics folder with the API.

Runs the server of prometheus-client on its own thread. It serves only this part's metrics, even if
the part shares a folder.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from prometheus_client import start_http_server

from engine.errors import Misconfigured
from engine.metrics.shared_files import Own

F = TypeVar("F", bound=Callable[..., Any])


def metrics_port_option(command: F) -> F:
    """`--metrics-port N`: the port where Prometheus reads this part's metrics."""
    return click.option(
        "--metrics-port",
        type=click.IntRange(1, 65535),
        help="Serve this part's metrics to Prometheus on this port, on all addresses.",
    )(command)


@contextmanager
def metrics_shown(port: int | None) -> Iterator[None]:
    """Answer GET /metrics on the port during the block; None: do not."""
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, registry=Own())
    except OSError as error:
        raise Misconfigured(
            f"--metrics-port {port}: {error.strerror}; choose another port"
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
