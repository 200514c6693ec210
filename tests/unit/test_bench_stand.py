"""Ports of installations that the bench starts."""

import socket

from bench.rig.stand import free_port, this_or_free_port


def test_a_free_port_is_taken_and_a_taken_one_is_replaced() -> None:
    port = free_port()
    assert this_or_free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        other = this_or_free_port(port)
        assert other != port
        with socket.create_server(("127.0.0.1", other)):
            pass
