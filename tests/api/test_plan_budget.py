"""E9: what plans on their way may occupy, for one caller and for the process."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from httpx2 import Response

from api.http import plan_budget
from api.http.plan_budget import PlanBudget
from engine.errors import Overloaded
from tests.api.cases import PLAN
from tests.api.client import EVENT, Api, bearer
from tests.support.waiting import until

MIB = 2**20


async def _reached(begun: list[int], count: int) -> None:
    async def all_begun() -> bool:
        return len(begun) == count

    await until(all_begun)


def test_budget_is_given_back_however_the_block_ends() -> None:
    budget = PlanBudget()
    for _ in range(5):
        with pytest.raises(ValueError, match="cut"), budget.taken("orla", 60 * MIB):
            raise ValueError("cut")
    with budget.taken("orla", 60 * MIB), pytest.raises(Overloaded), budget.taken("other", 5 * MIB):
        pass
    assert (budget._bytes, budget._per_caller) == (0, {})


async def test_a_caller_has_two_plans_on_their_way_and_the_third_is_refused_unread(
    api: Api,
) -> None:
    go_on = asyncio.Event()
    begun: list[int] = []

    async def slow(number: int) -> AsyncIterator[bytes]:
        begun.append(number)
        yield b"{"
        await go_on.wait()
        yield b"}"

    headers = bearer("orla", "organizer") | {"content-type": "application/json"}
    slow_ones = [
        asyncio.create_task(api.http.post(EVENT, headers=headers, content=slow(number)))
        for number in range(plan_budget.PLANS_PER_CALLER_MAX)
    ]
    await _reached(begun, len(slow_ones))
    third = await api.http.post(EVENT, headers=headers, content=slow(3))
    assert (third.status_code, third.json()["code"]) == (503, "overloaded")
    assert "retry-after" in third.headers
    other = await api.call("POST", EVENT, bearer("olaf", "organizer"), json=PLAN)
    assert other.status_code == 201
    go_on.set()
    for answer in await asyncio.gather(*slow_ones):
        assert answer.status_code == 422, answer.text
    again = await api.call("POST", EVENT, bearer("orla", "organizer"), json=PLAN)
    assert again.status_code == 201


async def test_plans_without_a_length_count_with_the_most_they_may_have(api: Api) -> None:
    go_on = asyncio.Event()
    begun: list[int] = []

    async def slow(number: int) -> AsyncIterator[bytes]:
        begun.append(number)
        yield b"{"
        await go_on.wait()
        yield b"}"

    def post(number: int) -> asyncio.Task[Response]:
        headers = bearer(f"o{number}", "organizer") | {"content-type": "application/json"}
        return asyncio.create_task(api.http.post(EVENT, headers=headers, content=slow(number)))

    waiting = [post(number) for number in range(4)]  # 4 x 16 MiB
    await _reached(begun, 4)
    assert (await post(5)).status_code == 503
    go_on.set()
    await asyncio.gather(*waiting)
