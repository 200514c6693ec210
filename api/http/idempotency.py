"""The Idempotency-Key: the same key of the same caller has the same outcome and one effect.

A hold passes it on to its script. Here is what every other POST that changes something does with
it: claim the key, do the work, keep the answer, and give that to whoever comes again. Only a
success is kept; a refused call changed nothing, and may be tried again with the same key. Calls
without the header pay nothing.
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
    """The key of a request, if it has one. Raises the problem `malformed`."""
    header = headers.get(HEADER)
    if header is None:
        return None
    if not _KEY.fullmatch(header):
        detail = "an Idempotency-Key is 1 to 255 printable ASCII characters"
        raise Problem("malformed", detail, {"field": "Idempotency-Key"})
    return header.decode()


def answering_once(route: Route) -> Endpoint:
    """The route's endpoint, giving the answer it gave to the same request.

    Raises: RequestReused, RequestInProgress, and what the endpoint does.
    """

    async def answer(call: Call[Any, Any]) -> Response:
        request_id = request_id_of(call.headers)
        if request_id is None:
            return await route.endpoint(call)
        kept_answers, customer = call.engine.idempotency, call.caller.customer_id
        asked = _encode((route.method, route.path, call.path, call.query, call.body))
        digest = blake2b(asked, digest_size=DIGEST_BYTES).digest()
        kept = await kept_answers.begin(customer, request_id, digest)
        if kept is not None:
            return _decode(kept)
        try:
            answer = await route.endpoint(call)
        except Exception:
            await kept_answers.release_claim(customer, request_id)
            raise
        await kept_answers.keep(customer, request_id, digest, _encode(answer))
        return answer

    return answer


def id_from_key(call: Call[Any, Any]) -> str | None:
    """A name for what the call creates, the same for the same key; None without a key.

    When an answer was lost, the claim is given back and the work may have been done: done again,
    it meets what is there under the same name instead of making a second one.
    """
    request_id = request_id_of(call.headers)
    if request_id is None:
        return None
    text = f"{call.caller.customer_id}\0{request_id}"
    return blake2b(text.encode(), digest_size=13).hexdigest()
