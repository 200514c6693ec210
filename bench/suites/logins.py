"""How much a burst of logins slows holds.

The p99 of holds in turns alone, beside cheap requests (`GET /healthz`) and beside as many logins.
Half of the logins are right; the others have a wrong password or an unknown address. The cheap
requests show the cost of the requests themselves and of the process that sends them: on this
machine it takes CPU time from the server. Rate limits are off, as they reject such a burst early.
"""

import asyncio

import msgspec

from api.accounts.passwords import Passwords
from bench.load import open_loop
from bench.load.connection import run_in_process
from bench.load.open_loop import OpenLoop, Step
from bench.report.section import BenchOptions, BenchSection, Chart, Figures, in_turns
from bench.rig.houses import hold_bodies, stadium_seats
from bench.rig.sale import Sale, conditions_of, open_sale
from persistence.stores.stores import PostgresStores

ACCOUNTS = 100
PASSWORD = "correct horse battery staple"  # noqa: S105  # of no real account
PER_S = 200
TURNS = {
    "alone": "holds alone",
    "cheap": f"holds beside {PER_S} GET /healthz a second",
    "logins": f"holds beside {PER_S} logins a second",
}


async def measure(options: BenchOptions) -> BenchSection:
    """With one API process."""
    figures = Figures()
    async with open_sale() as sale:
        conditions = await conditions_of(sale)
        logins = await _add_accounts(sale)
        for number in range(options.rounds):
            for turn in in_turns(list(TURNS), number):
                await _run_turn(sale, figures, options, (turn, logins))
            p99_ms = {turn: figures.rate_of(f"logins/{turn}/p99") for turn in TURNS}
            for turn in ("alone", "cheap"):
                says = f"p99 of {TURNS['logins']}, to {TURNS[turn]}"
                ratio = p99_ms["logins"] / p99_ms[turn]
                figures.add(f"logins/to_{turn}", says, "ratio", ratio)
        figures.wrong += sale.wrong
    return BenchSection(
        id="logins",
        title="Holds beside a burst of logins",
        what="Holds of one free seat each by 64 connections; half of the logins are right.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[
            Chart(
                name="logins",
                title="p99 of holds",
                unit="ms",
                bars=[f"logins/{turn}/p99" for turn in TURNS],
            )
        ],
    )


async def _add_accounts(sale: Sale) -> list[str]:
    """Add accounts. Returns the bodies of logins, of which half are right."""
    passwords, stores = Passwords(1, 1), PostgresStores(sale.stand.settings.database_url)
    hashed = await passwords.hash(PASSWORD)
    passwords.close()
    emails = [f"buyer-{number}@example.org" for number in range(ACCOUNTS)]
    for email in emails:
        await stores.accounts.add_account(email, hashed, "USER")
    await stores.close()
    right = [{"email": email, "password": PASSWORD} for email in emails]
    wrong = [{"email": email, "password": "a guess"} for email in emails[::2]]
    unknown = [{"email": f"no-{email}", "password": "a guess"} for email in emails[::2]]
    mixed = zip(right, [*wrong, *unknown], strict=True)
    return [msgspec.json.encode(body).decode() for pair in mixed for body in pair]


async def _run_turn(
    sale: Sale, figures: Figures, options: BenchOptions, what: tuple[str, list[str]]
) -> None:
    turn, logins = what
    event = await sale.open_stadium()
    beside = OpenLoop(
        url=sale.stand.url,
        path="/api/v1/auth/login" if turn == "logins" else "/healthz",
        bodies=logins if turn == "logins" else [],
        steps=[Step(PER_S, options.seconds + 1)],
    )
    running = None
    if turn != "alone":
        running = asyncio.create_task(run_in_process(open_loop.run, beside))
        await asyncio.sleep(0.7)  # the process has started
    load = sale.load(sale.stand.url, hold_bodies(event, stadium_seats()), options.seconds)
    result = await sale.run_all_good(load)
    figures.add(f"logins/{turn}", TURNS[turn], "/s", result.per_second)
    figures.add(f"logins/{turn}/p99", f"{TURNS[turn]}, p99", "ms", result.p99_ms)
    if running:
        answers = await running
        says = f"{TURNS[turn]}: answered 2xx"
        good = sum(count for status, count in answers.statuses.items() if status < 300)
        figures.add(f"logins/{turn}/good", says, "share", good / max(1, answers.answer_count))
        if answers.unexplained_count or answers.failed_count:
            sale.wrong.append(f"{event}: {turn}: {answers.statuses}, {answers.failed_count} broke")
    await sale.judge(event)
