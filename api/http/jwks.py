"""The public keys of an outside identity provider, fetched beside the requests and kept.

Fetched in a thread (no `jwt.PyJWKClient`: it would fetch inside the request that meets a new key),
when the app starts, every few minutes, and at once when a token names a key that is not known: so
a rotation needs no restart. Tokens with made-up key ids cause one fetch every `ASK_AGAIN_S` and
no more; whoever waits for it waits alone, and not for long. A provider that is away leaves the
keys as they were.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import jwt
import msgspec

from engine import logs
from engine.errors import Misconfigured

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""Signatures with a public key only: a secret of ours can never be mistaken for such a key."""
ASK_AGAIN_S = 10.0
FRESH_S = 300.0
WAIT_S = 3.0
_DOWNLOAD_S = 5.0
_BYTES_MAX = 1_000_000


class _NoRedirect(HTTPRedirectHandler):
    """Whoever is asked has the keys: another address might be one that anybody could answer for."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = build_opener(_NoRedirect)
_log = logs.get("jwks")
_Keys = dict[tuple[str, str], jwt.PyJWK]


class ProviderKeys:
    """Keys by id and algorithm. Raises Misconfigured for a URL that anybody could answer for."""

    def __init__(self, url: str) -> None:
        self._url = checked_url(url)
        self.on_change: Callable[[], object] = lambda: None
        self._keys: _Keys = {}
        self._documents: object = None
        self._asked_at_s = -ASK_AGAIN_S
        self._fetching: asyncio.Task[None] | None = None

    def find(self, key_id: str, algorithm: str) -> jwt.PyJWK | None:
        """The key a token names; None for one that is not known, or of another algorithm."""
        return self._keys.get((key_id, algorithm))

    async def learn(self) -> None:
        """Fetch the keys again, unless that was done just now; returns within `WAIT_S`."""
        if self._fetching is None:
            if time.monotonic() - self._asked_at_s < ASK_AGAIN_S:
                return
            self._fetching = asyncio.create_task(self._fetch())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._fetching), WAIT_S)

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Fetch now and then, as long as the context lasts; the first time without waiting."""
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
        self._asked_at_s = time.monotonic()
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
    """The URL, if nobody on the way can answer for it: https, or this very machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    with contextlib.suppress(ValueError):
        if parts.scheme == "http" and (host == "localhost" or ip_address(host).is_loopback):
            return url
    if parts.scheme != "https" or not host:
        raise Misconfigured("JWKS_URL must begin with https://")
    return url


def _download(url: str) -> list[dict[str, Any]]:
    request = Request(url, headers={"accept": "application/json"})  # noqa: S310  # was checked
    with _OPENER.open(request, timeout=_DOWNLOAD_S) as answer:
        body = answer.read(_BYTES_MAX + 1)
    if len(body) > _BYTES_MAX:
        raise ValueError(f"more than {_BYTES_MAX} bytes")
    documents = msgspec.json.decode(body, type=dict[str, Any]).get("keys")
    return msgspec.convert(documents, list[dict[str, Any]])


def _usable(documents: list[dict[str, Any]]) -> _Keys:
    """Keys that sign with an algorithm of ours; a provider may publish others beside them."""
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
