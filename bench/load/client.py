"""One call, for what is asked before and beside the measured calls."""

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from engine.errors import Unavailable

TIMEOUT_S = 5.0


def get(url: str, path: str) -> tuple[int, bytes]:
    """Status and body of `path` at the server of `url`. Raises: Unavailable, naming the URL."""
    return _call("GET", url, path)


def post(url: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """As `get`, for a POST of JSON."""
    return _call("POST", url, path, body, {"Content-Type": "application/json", **headers})


def _call(
    method: str, url: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unavailable(f"{url} is no http:// or https:// URL")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_S)
        try:
            target = f"{parts.path.rstrip('/')}{path}"
            connection.request(method, target, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(f"{url} does not answer: {error}") from error
