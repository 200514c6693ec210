"""HTTP itself, for every route: from ASGI to a checked call, and from its response back."""
