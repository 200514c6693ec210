"""Sends one signed message over HTTP, to public addresses only.

The sender uses httpcore2, the layer below httpx2. Its network backend opens the connections, so the
address that was checked is the address that is connected to, and TLS still verifies the name in the
URL. It follows no redirect, reads no proxy from the environment and keeps no cookie. A request has
one deadline and at most _READ_BYTES_MAX of the response are read, so a slow or endless receiver
delays only its own messages.
"""

import asyncio
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import httpcore2
from msgspec import Struct
from standardwebhooks import Webhook

from engine.ports.webhooks import is_public

REQUEST_TIMEOUT_S = 15.0
RETRY_AFTER_S_MAX = 86_400
_CONNECT_TIMEOUT_S = 5.0
_IDLE_S = 30.0
_READ_BYTES_MAX = 65_536
_ERROR_LENGTH_MAX = 200

Headers = dict[bytes | str, bytes | str]


class Reply(Struct, frozen=True):
    """The response of the receiver, or the reason why there is none."""

    status: int | None = None
    error: str | None = None
    retry_after_s: int = 0

    @property
    def delivered(self) -> bool:
        """Whether the receiver accepted the message."""
        return self.status is not None and 200 <= self.status <= 299


class Sender:
    """One connection pool for all webhooks. `allow_insecure` allows any network."""

    def __init__(self, *, allow_insecure: bool, connections_max: int) -> None:
        self._public = None if allow_insecure else PublicNetwork(lookups_max=connections_max)
        self._pool = httpcore2.AsyncConnectionPool(
            max_connections=connections_max,
            keepalive_expiry=_IDLE_S,
            network_backend=self._public or httpcore2.AnyIOBackend(),
        )

    async def send(self, url: str, secret: str, message_id: str, body: bytes) -> Reply:
        """Sign and post a body. A failure of the receiver is a Reply, never an exception."""
        now = datetime.now(UTC)
        headers: Headers = {
            "content-type": "application/json",
            "user-agent": "ticket-wars",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign(message_id, now, body.decode()),
        }
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await self._post(url, headers, body)
        except TimeoutError:
            return Reply(error=f"no answer in {REQUEST_TIMEOUT_S:g} s")
        except (OSError, ValueError, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            said = f"{type(error).__name__}: {error}"
            return Reply(error=said[:_ERROR_LENGTH_MAX])
        except (httpcore2.TimeoutException, httpcore2.UnsupportedProtocol) as error:
            return Reply(error=type(error).__name__)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()
        if self._public:
            self._public.close()

    async def _post(self, url: str, headers: Headers, body: bytes) -> Reply:
        timeout = {"connect": _CONNECT_TIMEOUT_S, "pool": REQUEST_TIMEOUT_S}
        async with self._pool.stream(
            "POST", url, headers=headers, content=body, extensions={"timeout": timeout}
        ) as answer:
            read = 0
            async for (
                part
            ) in answer.aiter_stream():  # a connection is reused only if it was read to the end
                read += len(part)
                if read > _READ_BYTES_MAX:
                    break
            return Reply(answer.status, retry_after_s=_retry_after_s(answer.headers))


class PublicNetwork(httpcore2.AnyIOBackend):
    """Connects to public addresses only, and to exactly the address that was checked.

    A lookup that a slow name server holds up occupies a thread. There are as many threads as
    connections, where the event loop's own would be a few: such names delay no other.
    """

    def __init__(self, *, lookups_max: int) -> None:
        self._lookups = ThreadPoolExecutor(lookups_max, thread_name_prefix="lookup")

    def close(self) -> None:
        """Start no lookup any more; those that run end by themselves."""
        self._lookups.shutdown(wait=False, cancel_futures=True)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Resolve, check, connect. A name with even one private address is refused."""
        refused: Exception = httpcore2.ConnectError("the host has no address")
        for address in await self._addresses(host, port):
            try:
                return await super().connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                refused = error
        raise refused

    async def _addresses(self, host: str, port: int) -> list[str]:
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._lookups, look_up)
        except OSError as error:
            raise httpcore2.ConnectError("the host cannot be resolved") from error
        addresses = [str(address[0]) for *_, address in found]
        if not all(map(is_public, addresses)):
            raise httpcore2.ConnectError("the host's address is not a public one")
        return addresses


def _retry_after_s(headers: list[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        if name.lower() == b"retry-after" and value.isdigit():
            return min(int(value[:9]), RETRY_AFTER_S_MAX)
    return 0
