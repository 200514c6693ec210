"""The server process around the app: uvicorn with bounds, load shedding, draining and workers.

The path of a connection, file by file:

`workers`         one process, or a parent with several; each runs uvicorn
`protocol`        reads a request within time and size limits, and writes its response
`load_shedding`   rejects a request from its bytes when the process is full, with a Retry-After slot
`api.http`        everything else: from the parsed request to its response
`draining`        on SIGTERM: finish what was accepted, then close
"""
