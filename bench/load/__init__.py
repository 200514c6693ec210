"""The load: one HTTP client with three arrival policies, and holds without HTTP.

Closed loop: a connection sends its next request when the last one is answered. Open loop: requests
leave at a fixed rate, answered or not. Retry-After: rejected clients retry when they are told to.
"""
