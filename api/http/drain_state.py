"""Whether this process is draining, and the header that its responses then have.

The state belongs to the process, not to an app, because the signal does. `api.server.draining`
sets it on a signal. From then on every response has `Connection: close`, so that clients and
proxies send their next request to another process.
"""

from api.http.responses import Header

CLOSE: tuple[Header, ...] = ((b"connection", b"close"),)


class Draining:
    """`headers` are added to every response; there are none until draining begins."""

    def __init__(self) -> None:
        self.headers: tuple[Header, ...] = ()

    @property
    def begun(self) -> bool:
        """Whether this process is draining."""
        return bool(self.headers)

    def begin(self) -> None:
        """Start draining."""
        self.headers = CLOSE

    def reset(self) -> None:
        """Stop draining: for a process that starts another app, as tests do."""
        self.headers = ()


DRAINING = Draining()
