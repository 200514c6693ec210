"""Receivers that are slow, wrong, gone or dead: what is retried, when, and what is given up."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from engine import Engine, Settings
from engine.ports.webhooks import DeliveryState
from persistence.database import Pool
from persistence.delivery import sender
from persistence.delivery.deliverer import RETRY_S, Deliverer
from persistence.delivery.deliveries import KEEP_MS
from tests.persistence.entries import booking, entry
from tests.persistence.telling import Telling
from tests.support.receiver import Answer, Received, Receiver, answer

SOLD = booking(1, "confirmed", 1)


def _attempts(outcome: str) -> float:
    return REGISTRY.get_sample_value("webhook_attempts_total", {"outcome": outcome}) or 0


async def test_deliver_failure_is_tried_again_on_schedule_until_it_is_given_up(
    telling: Telling, receiver: Receiver
) -> None:
    await telling.hook(receiver.url)
    await telling.happens(10, SOLD)
    receiver.answers(500)
    given_up = _attempts("dead")
    assert await telling.deliver() == 1
    for wait_s in RETRY_S:
        assert await telling.deliver(wait_s - 1) == 0
        assert await telling.deliver(1) == 1
    assert await telling.deliver(10 * 86_400) == 0

    (dead,) = await telling.deliveries()
    assert (dead.state, dead.attempt_count, dead.status) == (DeliveryState.DEAD, 10, 500)
    assert len({received.id for received in receiver.received}) == 1
    assert len({received.body for received in receiver.received}) == 1
    assert _attempts("dead") == given_up + 1


async def test_replay_sends_what_was_given_up(telling: Telling, receiver: Receiver) -> None:
    await telling.hook(receiver.url)
    await telling.happens(10, SOLD)
    receiver.answers(*[500] * 10, 204)
    for wait_s in (0, *RETRY_S):
        await telling.deliver(wait_s)
    (dead,) = await telling.deliveries()

    webhooks = telling.stores.webhooks
    assert not await webhooks.replay_delivery("hook", "msg_unknown")
    assert not await webhooks.replay_delivery("another", dead.id)
    assert await webhooks.replay_delivery("hook", dead.id)
    assert await telling.deliver() == 1
    (delivered,) = await telling.deliveries()
    assert (delivered.state, delivered.attempt_count) == (DeliveryState.DELIVERED, 1)
    assert receiver.received[-1].id == dead.id


async def test_deliver_jitter_moves_a_retry_by_a_tenth_at_most(
    engine: Engine, pool: Pool, settings: Settings, telling: Telling, receiver: Receiver
) -> None:
    receiver.answers(500)
    for chance, delay_ms in ((0.0, 4_500), (1.0, 5_500)):
        deliverer = Deliverer(engine, pool, telling.settings, chance=lambda: chance)  # noqa: B023
        deliverer.deliveries.now_ms = telling.now_ms
        await telling.hook(receiver.url, f"hook-{chance}")
        await telling.happens(10 + round(chance), SOLD)
        await deliverer.deliver_due()
        await deliverer.close()
        (delivery,) = await telling.deliveries(f"hook-{chance}")
        assert delivery.due_ms == telling.now_ms + delay_ms
        await telling.stores.webhooks.delete_webhook(f"hook-{chance}", "orla")


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 429, 500, 502, 503])
async def test_deliver_anything_but_2xx_is_a_failure_and_no_redirect_is_followed(
    telling: Telling, receiver: Receiver, status: int
) -> None:
    await telling.hook(receiver.url)
    await telling.happens(10, SOLD)
    receiver.decide = lambda _: answer(status, f"location: {receiver.url}/elsewhere")
    await telling.deliver()
    (delivery,) = await telling.deliveries()
    assert (delivery.state, delivery.status) == (DeliveryState.PENDING, status)
    assert [received.path for received in receiver.received] == ["/hook"]


async def test_deliver_waits_as_long_as_the_receiver_asks(
    telling: Telling, receiver: Receiver
) -> None:
    await telling.hook(receiver.url)
    await telling.happens(10, SOLD)
    receiver.decide = lambda _: answer(429, "Retry-After: 77")
    await telling.deliver()
    receiver.answers(204)
    assert await telling.deliver(76) == 0
    assert await telling.deliver(1) == 1


async def test_deliver_gone_disables_the_webhook_until_it_is_replayed(
    telling: Telling, receiver: Receiver
) -> None:
    made = await telling.hook(receiver.url)
    receiver.answers(410)
    await telling.write(*(entry(n, booking(n, "confirmed", n)) for n in range(10, 40)))
    await telling.deliver()
    assert {delivery.state for delivery in await telling.deliveries()} == {DeliveryState.DEAD}
    found = await telling.stores.webhooks.read_webhook(made.id, "orla")
    assert found
    assert found.disabled_at_ms == telling.now_ms
    assert found.disabled_why == "the receiver answered 410 Gone"

    await telling.happens(50, booking(50, "confirmed", 50))
    receiver.answers(204)
    assert await telling.deliver(86_400) == 0
    assert await telling.queued() == 0
    await telling.stores.webhooks.replay_from(made.id, 50)
    assert await telling.deliver() == 1
    assert receiver.received[-1].json["data"]["id"] == booking(50, "confirmed", 50).id


async def test_deliver_to_one_that_fails_rests_and_sends_one_to_see(
    telling: Telling, receiver: Receiver
) -> None:
    async with Receiver() as healthy:
        await telling.hook(receiver.url, "failing")
        await telling.hook(healthy.url, "healthy")
        await telling.write(*(entry(n, booking(n, "confirmed", n)) for n in range(10, 110)))
        receiver.answers(500)
        await telling.deliver()
        first = len(receiver.received)
        assert 1 < first < 40
        while await telling.deliver():
            pass
        assert len(receiver.received) == first  # it backs off
        assert len(healthy.received) == 100
        for rest_s in (1, 2, 4):
            assert await telling.deliver(rest_s) == 1
            assert await telling.deliver() == 0
        receiver.answers(204)
        assert await telling.deliver(300) == 1
        assert await telling.deliver() > 1


async def test_deliver_to_an_absent_receiver_records_why(
    telling: Telling, receiver: Receiver
) -> None:
    await telling.hook("http://127.0.0.1:1/hook")
    await telling.happens(10, SOLD)
    await telling.deliver()
    (delivery,) = await telling.deliveries()
    assert (delivery.state, delivery.status) == (DeliveryState.PENDING, None)
    assert delivery.error is not None
    assert "ConnectError" in delivery.error


async def test_deliver_to_one_that_never_answers_ends_at_the_deadline(
    telling: Telling, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "REQUEST_TIMEOUT_S", 0.05)
    never = asyncio.Event()

    async def wait(_: Received) -> Answer:
        await never.wait()
        return answer(204)

    receiver.decide = wait
    await telling.hook(receiver.url)
    await telling.happens(10, SOLD)
    await telling.deliver()
    (delivery,) = await telling.deliveries()
    assert delivery.error == "no answer in 0.05 s"
    never.set()


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 204"])
async def test_deliver_to_one_that_speaks_no_http_is_a_failure(
    telling: Telling, receiver: Receiver, said: bytes
) -> None:
    receiver.decide = lambda _: said
    receiver.hang_up()
    await telling.hook(receiver.url)
    await telling.happens(10, SOLD)
    await telling.deliver()
    (delivery,) = await telling.deliveries()
    assert (delivery.state, delivery.status) == (DeliveryState.PENDING, None)
    assert delivery.error


async def test_deliver_reads_little_of_an_endless_answer(
    telling: Telling, receiver: Receiver
) -> None:
    receiver.decide = lambda _: (
        b"HTTP/1.1 200 -\r\ncontent-length: 999999999\r\n\r\n" + b"x" * 99_999
    )
    await telling.hook(receiver.url)
    await telling.happens(10, SOLD)
    await telling.deliver()
    (delivery,) = await telling.deliveries()
    assert delivery.state == DeliveryState.DELIVERED


async def test_deliver_entry_that_cannot_be_read_holds_up_no_other(
    telling: Telling, receiver: Receiver, pool: Pool
) -> None:
    await telling.hook(receiver.url)
    await telling.happens(10, SOLD)
    await pool.execute("ALTER TABLE journal DISABLE TRIGGER journal_append_only")
    await pool.execute("""UPDATE journal SET body = '{"id": 7}' WHERE kind = 'booking_confirmed'""")
    await telling.happens(11, booking(2, "confirmed", 2))
    assert await telling.deliver() == 2
    broken, delivered = await telling.deliveries()
    assert (broken.state, delivered.state) == (DeliveryState.PENDING, DeliveryState.DELIVERED)
    assert broken.error
    assert "cannot be read" in broken.error


async def test_deliver_forgets_in_the_end(telling: Telling, receiver: Receiver) -> None:
    await telling.hook(receiver.url)
    await telling.happens(10, SOLD)
    await telling.deliver()
    deliveries = telling.deliverer.deliveries
    await deliveries.forget()
    assert len(await telling.deliveries()) == 1
    deliveries.now_ms = telling.now_ms + KEEP_MS + 1
    await deliveries.forget()
    assert await telling.deliveries() == []


async def test_oldest_is_what_waits_longest(telling: Telling, receiver: Receiver) -> None:
    deliveries = telling.deliverer.deliveries
    assert await deliveries.oldest_ms() == 0
    await telling.hook(receiver.url)
    receiver.answers(500)
    await telling.happens(telling.now_ms - 7_000, SOLD)
    assert await deliveries.oldest_ms() == 7_000  # queued
    await telling.deliver()
    deliveries.now_ms = telling.now_ms + 4_000
    assert await deliveries.oldest_ms() == 4_000  # made, and not delivered
    receiver.answers(204)
    await telling.deliver(5)
    assert await deliveries.oldest_ms() == 0
