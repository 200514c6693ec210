"""An owner's share: slow receivers of some owners leave the other owners their part of a deliverer.

The controls give the slow webhooks to the owner whose message is awaited: then it waits.
"""

import asyncio
from collections import Counter

import pytest

from engine.ids import CustomerId
from persistence.delivery.deliverer import IN_FLIGHT_MAX, Deliverer
from persistence.delivery.deliveries import Due
from tests.persistence.entries import booking, entry
from tests.persistence.running import running
from tests.persistence.telling import Telling
from tests.support.receiver import Answer, Received, Receiver, answer
from tests.support.waiting import until

EACH = 32


async def _slow_hooks(telling: Telling, url: str, owner: str, count: int = 20) -> None:
    """Webhooks of one owner, each of which receives every message of the gala."""
    for number in range(count):
        await telling.hook(
            url,
            f"{owner}-{number:02d}",
            owner_id=CustomerId(owner),
            event_id="gala",
            any_owner=True,
        )


async def _sell(telling: Telling, numbers: range) -> None:
    await telling.write(*(entry(10 + n, booking(n, "confirmed", n)) for n in numbers))


async def _claimed(telling: Telling, in_flight: dict[str, int], free: int) -> Counter[str]:
    """How many messages one claim gives to each owner."""
    deliveries = telling.deliverer.deliveries
    deliveries.now_ms = telling.now_ms
    await deliveries.make(1000)
    batches = await deliveries.claim([], in_flight, each=EACH, free=free)
    assert all(len({due.webhook_id for due in batch}) == 1 for batch in batches)
    return Counter(due.owner_id for batch in batches for due in batch)


async def _beside_a_full_share(telling: Telling, hostile: str, slow: Receiver) -> Received | None:
    """Orla's message while slow receivers have all that one owner may have in flight."""
    released = asyncio.Event()

    async def wait(_: Received) -> Answer:
        await released.wait()
        return answer(204)

    slow.decide = wait
    await _slow_hooks(telling, slow.url, hostile)
    await _sell(telling, range(1, 1 + EACH))
    deliverer = telling.new_deliverer()
    claims: list[list[list[Due]]] = []
    claim = deliverer.deliveries.claim

    async def counted(*args: object, **named: object) -> list[list[Due]]:
        claims.append(await claim(*args, **named))  # type: ignore[arg-type]
        return claims[-1]

    deliverer.deliveries.claim = counted  # type: ignore[method-assign]
    async with Receiver() as fast, running(deliverer):

        async def share_is_full() -> bool:
            return len(slow.received) == IN_FLIGHT_MAX // 2

        async def decided() -> bool:
            return bool(fast.received) or len(claims) > asked + 2

        await until(share_is_full)
        await telling.hook(fast.url, "fast")
        await _sell(telling, range(100, 101))
        await until(lambda: _has_deliveries(telling, "fast"))
        asked = len(claims)
        await until(decided)
        came = fast.received[0] if fast.received else None
        released.set()
    return came


async def _has_deliveries(telling: Telling, webhook_id: str) -> bool:
    return bool(await telling.deliveries(webhook_id))


async def test_deliver_beside_another_owners_slow_receiver_does_not_wait(
    telling: Telling, receiver: Receiver
) -> None:
    assert await _beside_a_full_share(telling, "eve", receiver)


async def test_control_deliver_beside_a_slow_receiver_of_the_same_owner_waits(
    telling: Telling, receiver: Receiver
) -> None:
    assert await _beside_a_full_share(telling, "orla", receiver) is None


async def test_claim_gives_one_owner_half_and_leaves_half(telling: Telling) -> None:
    await _slow_hooks(telling, "http://127.0.0.1:1/", "eve")
    await _sell(telling, range(1, 1 + EACH))
    assert await _claimed(telling, {}, IN_FLIGHT_MAX) == {"eve": IN_FLIGHT_MAX // 2}
    assert not await _claimed(telling, {"eve": IN_FLIGHT_MAX // 2}, IN_FLIGHT_MAX // 2)


@pytest.mark.parametrize("hostile_count", [1, 3, 7])
async def test_claim_leaves_the_next_owner_as_much_as_each_hostile_one_has(
    telling: Telling, hostile_count: int
) -> None:
    hostile = [f"eve{number}" for number in range(hostile_count)]
    for owner in hostile:
        await _slow_hooks(telling, "http://127.0.0.1:1/", owner, count=5)
    await _sell(telling, range(1, 1 + EACH))
    share = IN_FLIGHT_MAX // (hostile_count + 1)

    had = await _claimed(telling, {}, IN_FLIGHT_MAX)
    assert had == dict.fromkeys(hostile, share)

    for number in range(3):
        await telling.hook("http://127.0.0.1:1/", f"fast-{number}")
    await _sell(telling, range(100, 100 + EACH))
    free = IN_FLIGHT_MAX - had.total()
    assert await _claimed(telling, dict(had), free) == {"orla": free // 2}


async def test_claim_gives_the_last_free_place_to_the_owner_with_none(telling: Telling) -> None:
    for owner in ("eve", "mallory", "trent"):
        await _slow_hooks(telling, "http://127.0.0.1:1/", owner, count=1)
    await telling.hook("http://127.0.0.1:1/", "fast")
    await _sell(telling, range(1, 1 + EACH))
    had = {"eve": 1, "mallory": 1, "trent": 1}
    assert await _claimed(telling, had, 1) == {"orla": 1}


async def test_claim_reads_the_owners_with_the_fewest_in_flight_first(telling: Telling) -> None:
    had = {f"eve{number}": 1 for number in range(100)}
    for owner in had:
        await _slow_hooks(telling, "http://127.0.0.1:1/", owner, count=1)
    await telling.hook("http://127.0.0.1:1/", "fast")
    await _sell(telling, range(1, 3))
    assert (await _claimed(telling, had, IN_FLIGHT_MAX - 100))["orla"] == 2


async def test_deliver_all_of_an_owner_with_more_than_its_share(
    telling: Telling, receiver: Receiver
) -> None:
    await _slow_hooks(telling, receiver.url, "eve")
    await _sell(telling, range(1, 1 + EACH))
    deliverer: Deliverer = telling.new_deliverer()

    async def all_came() -> bool:
        return len(receiver.received) == 20 * EACH

    async with running(deliverer):
        await until(all_came)
    assert len({received.id for received in receiver.received}) == 20 * EACH
