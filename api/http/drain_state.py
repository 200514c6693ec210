"""That this process ends: what its answers say from then on, until it is gone.

Of the process and not of an app, as the signal is the process's. Who begins it is `cli`,
which knows signals and the server; what it means for an answer is here: `Connection: close`, so
that every client and proxy in between goes elsewhere for its next request.
"""

from api.http.responses import Header

CLOSE: tuple[Header, ...] = ((b"connection", b"close"),)


class Draining:
    """`headers` go with every answer: none, until the draining has begun."""

    def __init__(self) -> None:
        self.headers: tuple[Header, ...] = ()

    @property
    def begun(self) -> bool:
        """Whether this process ends."""
        return bool(self.headers)

    def begin(self) -> None:
        """Say so from now on."""
        self.headers = CLOSE

    def forget(self) -> None:
        """Back to before: for a process that starts another app, as tests do."""
        self.headers = ()


DRAINING = Draining()
