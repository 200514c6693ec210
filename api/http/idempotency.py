"""Idempotency-Key: the same key of the same caller has one effect and one response.

A hold passes the key to its script. Every other POST that changes something goes through
`replaying`: claim the key, call the endpoint, store the response, and replay it to a later request
with the same key. Only a success is stored: a refused call changed nothing, and the client may
retry it with the same key. Calls without the header pay nothing.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from api.http.calls import Call, Endpoint, Route
from api.http.problems import Problem
from api.http.responses import Response
from engine.idempotency import DIGEST_BYTES

HEADER = b"idempotency-key"
PATTERN = "[!-~]([ -~]{0,253}[!-~])?"

_KEY = re.compile(PATTERN.encode())
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Response).decode


def request_id_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The Idempotency-Key of a request, if it has one. Raises the problem `malformed`."""
    header = headers.get(HEADER)
    if header is None:
        return None
    if not _KEY.fullmatch(header):
        detail = "an Idempotency-Key is 1 to 255 printable ASCII characters"
        raise Problem("malformed", detail, {"field": "Idempotency-Key"})
    return header.decode()


def replaying(route: Route) -> Endpoint:
    """The route's endpoint, with stored responses replayed to repeated requests.

    Raises: RequestReused, RequestInProgress, and the endpoint's errors.
    """

    async def endpoint(call: Call[Any, Any]) -> Response:
        request_id = request_id_of(call.headers)
        if request_id is None:
            return await route.endpoint(call)
        kept_answers, customer = call.engine.idempotency, call.caller.customer_id
        request = _encode((route.method, route.path, call.path, call.query, call.body))
        digest = blake2b(request, digest_size=DIGEST_BYTES).digest()
        stored = await kept_answers.begin(customer, request_id, digest)
        if stored is not None:
            return _decode(stored)
        try:
            response = await route.endpoint(call)
        except Exception:
            await kept_answers.release_claim(customer, request_id)
            raise
        await kept_answers.keep(customer, request_id, digest, _encode(response))
        return response

    return endpoint


def id_from_key(call: Call[Any, Any]) -> str | None:
    """An id for what the call creates, derived from its Idempotency-Key; None without a key.

    If a response is lost, the claim is released although the work may be done. The retry derives
    the same id, and finds what exists instead of creating a second one.
    """
    request_id = request_id_of(call.headers)
    if request_id is None:
        return None
    text = f"{call.caller.customer_id}\0{request_id}"
    return blake2b(text.encode(), digest_size=13).hexdigest()
