"""`--metrics-port`: what a part that shares no metrics folder with the API shows by itself.

prometheus-client's own server, on a thread of its own. Of a part that does share the folder it
shows this part's metrics alone.
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
    """`--metrics-port N`: where Prometheus finds this part."""
    return click.option(
        "--metrics-port",
        type=click.IntRange(1, 65535),
        help="Show this part's metrics to Prometheus there, on every address of the machine.",
    )(command)


@contextmanager
def metrics_shown(port: int | None) -> Iterator[None]:
    """Answer GET /metrics on the port while the block lasts; None: nowhere."""
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, registry=Own())
    except OSError as error:
        raise Misconfigured(f"--metrics-port {port}: {error.strerror}") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
