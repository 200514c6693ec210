"""Decodes query and body to checked structs; an error becomes a problem that names the field.

A row of the route table names the kind of its body; `body_reader` makes the reader of each kind.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

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


def body_reader(body: Body, bytes_max: int) -> BodyReader:
    """The function that reads this kind of body from a request with these headers.

    It raises the problems of `read_body` and `decode_body`, and `invalid` for a duplicate field.
    """
    if isinstance(body, RawBody):

        async def read_raw(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
            return await read_body(receive, headers, bytes_max)

        return read_raw

    decode: Callable[[bytes], Any]
    if isinstance(body, PlanBody):
        decode, bytes_max = bytes, bytes_max * PLAN_FACTOR
    else:
        decode = msgspec.json.Decoder(body.kind).decode

    async def read_json(receive: Receive, headers: Mapping[bytes, bytes]) -> Any:
        text = await read_body(receive, headers, bytes_max)
        if len(text) > LONG_BYTES:
            await asyncio.to_thread(refuse_duplicates, text)
        else:
            refuse_duplicates(text)
        return decode_body(text, decode)

    async def read_form(receive: Receive, headers: Mapping[bytes, bytes]) -> Any:
        if media_of(headers) != FORM:
            return await read_json(receive, headers)
        return decode_query(await read_body(receive, headers, bytes_max, FORM), body.kind)

    async def read_optional(receive: Receive, headers: Mapping[bytes, bytes]) -> Any:
        if b"content-type" not in headers and not may_have_body(headers):
            return decode(b"{}")
        return await read_json(receive, headers)

    if isinstance(body, FormBody):
        return read_form
    return read_optional if isinstance(body, JsonBody) and body.optional else read_json


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


async def read_body(
    receive: Receive, headers: Mapping[bytes, bytes], bytes_max: int, media: bytes = JSON
) -> bytes:
    """Read the whole body. Raises `unsupported_media_type`, `body_too_large`, `malformed`."""
    if media_of(headers) != media:
        raise Problem("unsupported_media_type", f"the body must be {media.decode()}")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Problem("unsupported_media_type", "the body must not be compressed")
    declared = headers.get(b"content-length", b"")
    size = int(declared) if declared.isdigit() else 0
    body, more, received = b"", True, 0
    parts: list[bytes] = []
    server = getattr(receive, "__self__", None)
    if isinstance(server, OnePiece) and (whole := server.take_body()) is not None:
        parts, body, more, size = [whole], whole, False, len(whole)
    while more and size <= bytes_max:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem("malformed", "the connection was closed before the end of the body")
        body, more = message.get("body", b""), message.get("more_body", False)
        parts.append(body)
        received += len(body)
        size = max(size, received)
    if size > bytes_max:
        raise Problem("body_too_large", f"at most {bytes_max} bytes", {"limit": bytes_max})
    return body if len(parts) == 1 else b"".join(parts)


_PAIRS = json.JSONDecoder(object_pairs_hook=_refuse_duplicates)


def _invalid(error: msgspec.ValidationError) -> Problem:
    """msgspec says "what - at `$.where`"; "what" names a missing or unknown field."""
    what, _, where = str(error).partition(" - at `$")
    path = where.removesuffix("`").removeprefix(".")
    named = _NAMED_FIELD.search(what)
    if named:
        path = f"{path}.{named[1]}" if path else named[1]
    return invalid(path, what) if path else Problem("invalid", what)
