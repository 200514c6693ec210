"""Conditional requests and compression: If-None-Match and Accept-Encoding."""

import asyncio
import gzip
import re
from collections.abc import Mapping
from hashlib import blake2b

from api.http.responses import Header, Response

CHECK_AGAIN: Header = (b"cache-control", b"no-cache")
VARY: Header = (b"vary", b"accept-encoding")
_GZIP_REFUSED = re.compile(rb"gzip\s*;\s*q=0(\.0*)?\s*(,|$)")


def is_known(tag: bytes, headers: Mapping[bytes, bytes]) -> bool:
    """Whether If-None-Match names this entity tag, or any by `*`."""
    header = headers.get(b"if-none-match")
    if header is None:
        return False
    known = [text.strip().removeprefix(b"W/").strip(b'"') for text in header.split(b",")]
    return tag in known or b"*" in known


def takes_gzip(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the client accepts gzip."""
    header = headers.get(b"accept-encoding", b"")
    return b"gzip" in header and not _GZIP_REFUSED.search(header)


def tag_of(body: bytes) -> bytes:
    """The entity tag of a body, without quotes."""
    return blake2b(body, digest_size=12).hexdigest().encode()


def tagged_response(
    headers: Mapping[bytes, bytes], body: bytes, kept: Header = CHECK_AGAIN
) -> Response:
    """The body with its entity tag, or 304 if the client has it already."""
    tag = tag_of(body)
    about = ((b"etag", b'"%b"' % tag), kept)
    return Response(b"", about, 304) if is_known(tag, headers) else Response(body, about)


class Gzipped:
    """A body that never changes, gzipped once for every client that accepts gzip."""

    def __init__(self, gzipped: bytes, tag: bytes = b"") -> None:
        self.gzipped = gzipped
        self.tag = tag or tag_of(gzipped)

    @classmethod
    def of(cls, body: bytes) -> "Gzipped":
        """Gzip a body."""
        return cls(gzip.compress(body, mtime=0))

    async def respond(self, headers: Mapping[bytes, bytes], kept: Header = CHECK_AGAIN) -> Response:
        """The body in an encoding the client accepts, or 304 if the client has it already.

        The tag is weak: it is the same for both encodings.
        """
        about: tuple[Header, ...] = ((b"etag", b'W/"%b"' % self.tag), kept, VARY)
        if is_known(self.tag, headers):
            return Response(b"", about, 304)
        if takes_gzip(headers):
            return Response(self.gzipped, (*about, (b"content-encoding", b"gzip")))
        return Response(await asyncio.to_thread(gzip.decompress, self.gzipped), about)
