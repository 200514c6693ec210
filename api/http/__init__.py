"""HTTP for every route: from ASGI to a checked call, and from its response back. It has no nouns.

The path of a request, file by file:

`middleware`   request id; afterwards metrics and logs    `cors`   only with CORS_ORIGINS
`router`       the resource of the path, the operation of the method; 404, 405, OPTIONS
`dispatch`     the pipeline: load, `tokens` (`jwks`, `permissions`), ids, `decoding`, `limits`
`idempotency`  replays the stored response to a repeated Idempotency-Key
`calls`        what the endpoint gets; the endpoint uses `payloads`, `paging` and `caching`
`responses`    sends the bytes; `problems` makes them of an error, `drain_state` adds a header
"""
