"""The public keys of an external identity provider, fetched in the background and cached.

They are fetched in a thread when the app starts, every few minutes, and at once when a token names
an unknown key, so a key rotation needs no restart. `jwt.PyJWKClient` is not used: it fetches inside
the request that meets a new key. Tokens with invented key ids cause at most one fetch every
`REFETCH_S`; only the requests with such tokens wait for it, at most `WAIT_S`. While the provider is
down, the cached keys stay valid.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.request import HTTPRedirectHandler, Request, build_opener

import jwt
import msgspec

from engine import logs
from engine.settings import checks

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""Only signatures with a public key: our own secret can never be taken for such a key."""
REFETCH_S = 10.0
FRESH_S = 300.0
WAIT_S = 3.0
_DOWNLOAD_S = 5.0
_BYTES_MAX = 1_000_000


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect: it could lead to an address that an attacker controls."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = build_opener(_NoRedirect)
_log = logs.get("jwks")
_Keys = dict[tuple[str, str], jwt.PyJWK]


class ProviderKeys:
    """Keys by id and algorithm. Raises Misconfigured for a URL that is not secure."""

    def __init__(self, url: str) -> None:
        self._url = checked_url(url)
        self.on_change: Callable[[], object] = lambda: None
        self._keys: _Keys = {}
        self._documents: object = None
        self._fetched_at_s = -REFETCH_S
        self._fetching: asyncio.Task[None] | None = None

    def find(self, key_id: str, algorithm: str) -> jwt.PyJWK | None:
        """The key a token names; None if it is unknown, or for another algorithm."""
        return self._keys.get((key_id, algorithm))

    async def learn(self) -> None:
        """Fetch the keys, unless that was done within `REFETCH_S`. Returns within `WAIT_S`."""
        if self._fetching is None:
            if time.monotonic() - self._fetched_at_s < REFETCH_S:
                return
            self._fetching = asyncio.create_task(self._fetch())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._fetching), WAIT_S)

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Fetch the keys now, in the background, and every `FRESH_S` until the context ends."""
        task = asyncio.create_task(self._keep_fresh())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if self._fetching:
                await self._fetching

    async def _keep_fresh(self) -> None:
        while True:
            await self.learn()
            await asyncio.sleep(FRESH_S)

    async def _fetch(self) -> None:
        self._fetched_at_s = time.monotonic()
        try:
            documents = await asyncio.to_thread(_download, self._url)
            keys = _usable(documents)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            _log.error("keys_not_fetched", url=self._url, why=str(error))
            return
        finally:
            self._fetching = None
        if documents != self._documents:
            self._keys, self._documents = keys, documents
            self.on_change()
            _log.info("keys_changed", url=self._url, key_ids=sorted({kid for kid, _ in keys}))


def checked_url(url: str) -> str:
    """The URL, if nothing on the network can impersonate it. Raises Misconfigured."""
    checks.refuse("JWKS_URL", url, checks.keys_url)
    return url


def _download(url: str) -> list[dict[str, Any]]:
    request = Request(url, headers={"accept": "application/json"})  # noqa: S310  # `checked_url`
    with _OPENER.open(request, timeout=_DOWNLOAD_S) as response:
        body = response.read(_BYTES_MAX + 1)
    if len(body) > _BYTES_MAX:
        raise ValueError(f"more than {_BYTES_MAX} bytes")
    documents = msgspec.json.decode(body, type=dict[str, Any]).get("keys")
    return msgspec.convert(documents, list[dict[str, Any]])


def _usable(documents: list[dict[str, Any]]) -> _Keys:
    """The keys of the ALGORITHMS; a provider may publish others too."""
    keys: _Keys = {}
    for document in documents:
        if document.get("use", "sig") != "sig" or document.get("kty") == "oct":
            continue
        with contextlib.suppress(jwt.PyJWTError):
            key = jwt.PyJWK(document)
            if key.algorithm_name in ALGORITHMS:
                keys[str(key.key_id or ""), key.algorithm_name] = key
    if not keys:
        raise ValueError(f"no key for {', '.join(ALGORITHMS)}")
    return keys
