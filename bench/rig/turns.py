"""How parts fire at an installation: every turn in every round, then with more API processes."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from bench.report.section import Figures, Options, in_turns
from bench.rig.sale import Sale, conditions_of, open_sale

Fire: TypeAlias = Callable[[Sale, Figures, Options, tuple[str, int]], Awaitable[None]]
"""Fires one turn, told its name and how many API processes there are."""


async def fire_in_turns(
    options: Options, turns_of: Callable[[int], Sequence[str]], fire: Fire
) -> tuple[Figures, dict[str, str]]:
    """With one API process, then with two: what came of it, and under which conditions."""
    figures, conditions = Figures(), dict[str, str]()
    for workers in options.api_processes:
        async with open_sale(workers) as sale:
            conditions = await conditions_of(sale)
            for number in range(options.rounds):
                for turn in in_turns(turns_of(workers), number):
                    await fire(sale, figures, options, (turn, workers))
            figures.wrong += sale.wrong
    return figures, conditions
