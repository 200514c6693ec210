"""What a scenario is: data. Its buyers, stages and venue, and the bounds of its figures.

Data rather than a locustfile a scenario: any of them runs longer, shorter, with more or fewer
users, on its own event or a given one, and what it must reach stands beside what it does.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec
from msgspec import Struct

from bench.war.buyers import Buyer, Habits
from bench.war.scenarios.bounds import Bound
from engine.models import Event
from engine.plans import layout as layouts
from engine.plans.venues import make_venue

EVERY_WAR = (Bound("lag_p99_ms", most=1000), Bound("rejected_share", most=0.05))
"""Every war is held to these: the writer follows within a second, and load shedding is rare."""


class Stage(Struct, frozen=True):
    """Come to so many users, evenly, within so many seconds."""

    seconds: float
    users: int


class Role(Struct, frozen=True):
    """How one kind of user behaves."""

    plays: type[Buyer] = Buyer
    habits: Habits = Habits()


class Scenario(Struct, frozen=True, kw_only=True):
    """One kind of war. `says` is its line in `engine war --help`.

    Users take the roles of `cast` in turn. `venue`, `hold_ttl_s` and `customer_max` (0: no limit)
    are those of the event it is fought for when none is given.
    """

    name: str
    says: str
    stages: tuple[Stage, ...]
    cast: tuple[Role, ...] = (Role(),)
    bounds: tuple[Bound, ...] = EVERY_WAR
    venue: str = "hall"
    hold_ttl_s: float = 4
    customer_max: int = 0

    @property
    def users(self) -> int:
        """The most there are at once."""
        return max(stage.users for stage in self.stages)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return sum(stage.seconds for stage in self.stages)

    def users_at(self, second: float) -> int:
        """How many users there should be; at least one until it is over."""
        reached = [(0.0, 0)]
        for stage in self.stages:
            reached.append((reached[-1][0] + stage.seconds, stage.users))
        for (from_s, before), (to_s, after) in pairwise(reached):
            if second < to_s:
                way = max(0.0, second - from_s) / (to_s - from_s)
                return max(1, round(before + (after - before) * way))
        return max(1, self.stages[-1].users)

    def scaled(self, users: int | None = None, seconds: float | None = None) -> "Scenario":
        """The same with so many users at most, in so many seconds; stages keep their shares."""
        more = users / self.users if users else 1.0
        longer = seconds / self.seconds if seconds else 1.0
        share = min(1.0, more) * min(1.0, longer)
        return msgspec.structs.replace(
            self,
            stages=tuple(
                Stage(stage.seconds * longer, round(stage.users * more)) for stage in self.stages
            ),
            bounds=tuple(bound.scaled(share) for bound in self.bounds),
        )

    def scaled_to(self, event: Event) -> "Scenario":
        """The same with its thresholds scaled to the places and the hold TTL of `event`."""
        capacity = layouts.capacity(make_venue(self.venue).layout)
        places = event.counts.available + event.counts.held
        turnover_share = self.hold_ttl_s * 1000 / event.hold_ttl_ms
        return msgspec.structs.replace(
            self,
            bounds=tuple(
                bound.for_sale(places / capacity, turnover_share) for bound in self.bounds
            ),
        )

    def held_to(self, bounds: Sequence[Bound]) -> "Scenario":
        """The same with further bounds."""
        return msgspec.structs.replace(self, bounds=(*self.bounds, *bounds))
