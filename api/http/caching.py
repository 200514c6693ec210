"""Conditional requests and compression: If-Match, If-None-Match and Accept-Encoding.

A GET compares If-None-Match with its own tag. A change passes its conditions on to the script that
makes it, because only there does nothing happen between the comparison and the change.
"""

import asyncio
import gzip
import re
from collections.abc import Mapping
from hashlib import blake2b

from api.http.problems import Problem
from api.http.responses import Header, Response
from engine.models import Versions

CHECK_AGAIN: Header = (b"cache-control", b"no-cache")
VARY: Header = (b"vary", b"accept-encoding")
_TAG = rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rb"[ \t,]*%b(?:[ \t]*,[ \t,]*%b)*[ \t,]*" % (_TAG, _TAG))
_VERSION = re.compile(rb'(W/)?"(\d{1,10}-\d{1,20}-\d{1,20})"')
"""The tag of an event: its epoch and its position."""
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


def tag_header(tag: str) -> Header:
    """The ETag header of a strong tag."""
    return b"etag", b'"%b"' % tag.encode()


def tagged_response(headers: Mapping[bytes, bytes], body: bytes, tag: str) -> Response:
    """The body with its strong tag, or 304 if the client has it already."""
    about = (tag_header(tag), CHECK_AGAIN)
    known = is_known(tag.encode(), headers)
    return Response(b"", about, 304) if known else Response(body, about)


def if_match(headers: Mapping[bytes, bytes]) -> Versions | None:
    """The event versions of If-Match. By strong comparison: a weak tag names none.

    Raises the problem `malformed`.
    """
    return _versions("If-Match", headers, is_strong=True)


def if_none_match(headers: Mapping[bytes, bytes]) -> Versions | None:
    """The event versions of If-None-Match, weak tags included. Raises the problem `malformed`."""
    return _versions("If-None-Match", headers, is_strong=False)


def refuse_conditions(headers: Mapping[bytes, bytes]) -> None:
    """For a change of what has no strong tag. Raises the problem `precondition_failed`."""
    for name in ("If-Match", "If-None-Match"):
        if name.lower().encode() in headers:
            detail = f"this call cannot compare a tag: send it without {name}"
            raise Problem("precondition_failed", detail, {"field": name})


def _versions(name: str, headers: Mapping[bytes, bytes], *, is_strong: bool) -> Versions | None:
    header = headers.get(name.lower().encode())
    if header is None:
        return None
    if header.strip() == b"*":
        return Versions(any=True)
    if not _TAGS.fullmatch(header):
        raise Problem("malformed", f'{name} is * or a list of tags, as "a", "b"', {"field": name})
    found = _VERSION.findall(header)
    return Versions(tuple(text.decode() for weak, text in found if not (weak and is_strong)))


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
