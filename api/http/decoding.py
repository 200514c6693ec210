"""Query and body to checked structs; what is wrong becomes a problem that names the field."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.types import Receive

from api.http.problems import Problem, invalid
from api.http.responses import JSON, OnePiece

FORM = b"application/x-www-form-urlencoded"
_PARAMETERS_MAX = 20
_KEY = re.compile(rb'"\s*:')
_NAMED_FIELD = re.compile(r"(?:unknown|required) field `(.*)`$", re.DOTALL)


def decode_query(text: bytes, kind: type[Struct]) -> Struct:
    """The query as `kind`. Raises the problems `malformed` and `invalid`."""
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
    """The body as the decoder's type. Raises the problems `malformed` and `invalid`."""
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
    """Whether the head of the request announces a body."""
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def refuse_twins(body: bytes) -> None:
    """Refuse an object that names a field twice: which one counts, each parser guesses anew.

    What is no JSON is left to the decoder. Raises the problem `invalid`.
    """
    if len(_KEY.findall(body)) < 2:
        return  # most holds: there is one field
    with suppress(ValueError, RecursionError):
        _PAIRS.decode(body.decode())


def _refuse_twins(pairs: list[tuple[str, object]]) -> None:
    given: set[str] = set()
    for name, _ in pairs:
        if name in given:
            raise invalid(name, "given twice")
        given.add(name)


async def read_body(
    receive: Receive, headers: Mapping[bytes, bytes], bytes_max: int, media: bytes = JSON
) -> bytes:
    """The whole body. Raises `unsupported_media_type`, `body_too_large`, `malformed`."""
    if media_of(headers) != media:
        raise Problem("unsupported_media_type", f"the body must be {media.decode()}")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Problem("unsupported_media_type", "the body must not be compressed")
    declared = headers.get(b"content-length", b"")
    size = int(declared) if declared.isdigit() else 0
    body, more = b"", True
    parts: list[bytes] = []
    server = getattr(receive, "__self__", None)
    if isinstance(server, OnePiece) and (whole := server.take_body()) is not None:
        parts, body, more, size = [whole], whole, False, len(whole)
    while more and size <= bytes_max:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem("malformed", "the body broke off")
        body, more = message.get("body", b""), message.get("more_body", False)
        parts.append(body)
        size = max(size, sum(map(len, parts)))
    if size > bytes_max:
        raise Problem("body_too_large", f"at most {bytes_max} bytes", {"limit": bytes_max})
    return body if len(parts) == 1 else b"".join(parts)


_PAIRS = json.JSONDecoder(object_pairs_hook=_refuse_twins)


def _invalid(error: msgspec.ValidationError) -> Problem:
    """msgspec says "what - at `$.where`", and names a missing or unknown field in the what."""
    what, _, where = str(error).partition(" - at `$")
    path = where.removesuffix("`").removeprefix(".")
    named = _NAMED_FIELD.search(what)
    if named:
        path = f"{path}.{named[1]}" if path else named[1]
    return invalid(path, what) if path else Problem("invalid", what)
