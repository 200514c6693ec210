"""The server process around the app: uvicorn with bounds, load shedding, draining, workers."""
