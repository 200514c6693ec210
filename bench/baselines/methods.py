"""The baselines by name, and how each is connected."""

from collections.abc import Awaitable, Callable

from bench.baselines.for_update import ForUpdate, ForUpdateFunction
from bench.baselines.method import Method
from bench.baselines.seat_locks import SeatLocks
from bench.baselines.watch import Watch
from engine.settings.settings import Settings

METHODS: dict[str, Callable[[Settings, int], Awaitable[Method]]] = {
    "for_update": ForUpdate.connect,
    "for_update_function": ForUpdateFunction.connect,
    "seat_locks": SeatLocks.connect,
    "watch": Watch.connect,
}
