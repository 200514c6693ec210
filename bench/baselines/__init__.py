"""Other ways to sell a seat once, each behind the HTTP layer of `bench.rig.bare`.

Each is correct and as good as its method allows: one round trip where one is enough, seats taken in
one order so that no two calls deadlock, bounded pools. `sold_twice` checks them: in the same fight
it finds the double sale of a method without its protection.
"""

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
