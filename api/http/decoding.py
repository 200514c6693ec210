"""Decodes query and body to checked structs; an error becomes a problem that names the field.

A row of the route table names the kind of its body; `body_reader` makes the reader of each kind. A
row without a body gets `refuse_body`: a field that nothing reads must not look as if it had worked.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from msgspec import Struct
from starlette.types import Receive

from api.http.problems import Problem, invalid
from api.http.responses import JSON, OnePiece

FORM = b"application/x-www-form-urlencoded"
LONG_BYTES = 65_536
"""A longer body is searched for duplicate fields in a thread, so that it does not block others."""
PLAN_FACTOR = 256
"""A plan may be this many times larger than any other body."""
NO_BODY = "this call takes no body"
_PARAMETERS_MAX = 20
_KEY = re.compile(rb'"\s*:')
_NAMED_FIELD = re.compile(r"(?:unknown|required) field `(.*)`$", re.DOTALL)


class JsonBody(Struct, frozen=True):
    """JSON of one type. If it is `optional`, a request without a body counts as `{}`."""

    kind: type
    optional: bool = False


class FormBody(Struct, frozen=True):
    """One type, as JSON or as the form of a browser."""

    kind: type


class PlanBody(Struct, frozen=True):
    """A plan, described by `kind`. The endpoint gets it as bytes, and parses it itself."""

    kind: type


class RawBody(Struct, frozen=True):
    """A signed body, described by `kind`. The endpoint gets exactly the bytes that were signed."""

    kind: type


Body: TypeAlias = JsonBody | FormBody | PlanBody | RawBody
BodyReader: TypeAlias = Callable[[Receive, Mapping[bytes, bytes]], Awaitable[Any]]
Waiting: TypeAlias = Callable[[], AbstractContextManager[None]]
"""Entered while a request waits for the rest of its body."""


def body_reader(body: Body | None, bytes_max: int, waiting: Waiting = nullcontext) -> BodyReader:
    """The function that reads this kind of body from a request with these headers.

    It raises `unsupported_media_type`, `body_too_large`, the problems of `decode_body`, and
    `invalid` for a duplicate field. A body that has arrived is taken without an await.
    """
    if isinstance(body, PlanBody):
        bytes_max *= PLAN_FACTOR

    async def receive_rest(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
        with waiting():
            return await receive_body(receive, headers, bytes_max)

    async def read(receive: Receive, headers: Mapping[bytes, bytes], media: bytes = JSON) -> bytes:
        check_headers(headers, media)
        text = arrived_body(receive, bytes_max)
        return await receive_rest(receive, headers) if text is None else text

    async def read_nothing(receive: Receive, headers: Mapping[bytes, bytes]) -> None:
        text = b""
        with suppress(Problem):
            arrived = arrived_body(receive, bytes_max)
            text = await receive_rest(receive, headers) if arrived is None else arrived
            text = text.strip()
            if not text:
                return
        refuse_body(text, headers)

    if body is None:
        return read_nothing
    if isinstance(body, RawBody):
        return read
    decode: Callable[[bytes], Any]
    optional = isinstance(body, JsonBody) and body.optional
    decode = bytes if isinstance(body, PlanBody) else msgspec.json.Decoder(body.kind).decode

    async def read_json(receive: Receive, headers: Mapping[bytes, bytes]) -> Any:
        if optional and not may_have_body(headers):
            return decode(b"{}")
        check_headers(headers)
        text = arrived_body(receive, bytes_max)
        if text is None:
            text = await receive_rest(receive, headers)
        if optional and not text:
            return decode(b"{}")
        if len(text) > LONG_BYTES:
            await asyncio.to_thread(refuse_duplicates, text)
        else:
            refuse_duplicates(text)
        return decode_body(text, decode)

    async def read_form(receive: Receive, headers: Mapping[bytes, bytes]) -> Any:
        if media_of(headers) != FORM:
            return await read_json(receive, headers)
        return decode_query(await read(receive, headers, FORM), body.kind)

    return read_form if isinstance(body, FormBody) else read_json


def refuse_body(text: bytes, headers: Mapping[bytes, bytes]) -> None:
    """Refuse the body of a call that takes none; `{}` passes. Raises `invalid`.

    The media type does not matter: a field of JSON or of a form is named, whatever it is called.
    """
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = msgspec.json.decode(text)
        if found == {}:
            return
        if isinstance(found, dict):
            raise invalid(next(iter(found)), NO_BODY)
    if media_of(headers) == FORM and (name := text.partition(b"&")[0].partition(b"=")[0]):
        raise invalid(unquote_plus(name.decode("utf-8", "replace")), NO_BODY)
    raise Problem("invalid", NO_BODY)


def decode_query(text: bytes, kind: type[Struct]) -> Struct:
    """Decode a query as `kind`. Raises the problems `malformed` and `invalid`."""
    given: dict[str, str] = {}
    try:
        pairs = parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_PARAMETERS_MAX,
        )
    except ValueError as error:
        raise Problem("malformed", f"the query cannot be read: {error}") from error
    for name, value in pairs:
        if name in given:
            raise invalid(name, "the parameter is given twice")
        given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error


def decode_body(body: bytes, decode: Callable[[bytes], Any]) -> Any:
    """Decode a body with a decoder. Raises the problems `malformed` and `invalid`."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed", f"the body is not JSON: {error}") from error


def media_of(headers: Mapping[bytes, bytes]) -> bytes:
    """The media type of the body, without its parameters."""
    given = headers.get(b"content-type", b"")
    return given if given == JSON else given.partition(b";")[0].strip().lower()


def may_have_body(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the headers announce a body."""
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def refuse_duplicates(body: bytes) -> None:
    """Refuse an object with a duplicate field: JSON parsers differ in which of the two they use.

    A body that is not JSON is left to the decoder. Raises the problem `invalid`.
    """
    if len(_KEY.findall(body)) < 2:
        return  # one field, as in most holds
    with suppress(ValueError, RecursionError):
        _PAIRS.decode(body.decode())


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> None:
    given: set[str] = set()
    for name, _ in pairs:
        if name in given:
            raise invalid(name, "given twice")
        given.add(name)


def check_headers(headers: Mapping[bytes, bytes], media: bytes = JSON) -> None:
    """Check that a body of this media type can be read. Raises `unsupported_media_type`."""
    if media_of(headers) != media:
        raise Problem("unsupported_media_type", f"the body must be {media.decode()}")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Problem("unsupported_media_type", "the body must not be compressed")
    if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        raise Problem("unsupported_media_type", "the only transfer coding is chunked")


def arrived_body(receive: Receive, bytes_max: int) -> bytes | None:
    """The body, if our own server has all of it. Raises `body_too_large`."""
    server = getattr(receive, "__self__", None)
    body = server.take_body() if isinstance(server, OnePiece) else None
    if body is not None and len(body) > bytes_max:
        raise _too_large(bytes_max)
    return body


async def receive_body(receive: Receive, headers: Mapping[bytes, bytes], bytes_max: int) -> bytes:
    """Receive a body that has not arrived. Raises `body_too_large`, `malformed`."""
    declared = headers.get(b"content-length", b"")
    size = int(declared) if declared.isdigit() else 0
    parts: list[bytes] = []
    more, received = True, 0
    while more and size <= bytes_max:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem("malformed", "the connection was closed before the end of the body")
        part, more = message.get("body", b""), message.get("more_body", False)
        parts.append(part)
        received += len(part)
        size = max(size, received)
    if size > bytes_max:
        raise _too_large(bytes_max)
    return b"".join(parts)


def _too_large(bytes_max: int) -> Problem:
    return Problem("body_too_large", f"at most {bytes_max} bytes", {"limit": bytes_max})


_PAIRS = json.JSONDecoder(object_pairs_hook=_refuse_duplicates)


def _invalid(error: msgspec.ValidationError) -> Problem:
    """msgspec says "what - at `$.where`"; "what" names a missing or unknown field."""
    what, _, where = str(error).partition(" - at `$")
    path = where.removesuffix("`").removeprefix(".")
    named = _NAMED_FIELD.search(what)
    if named:
        path = f"{path}.{named[1]}" if path else named[1]
    return invalid(path, what) if path else Problem("invalid", what)
