"""The seed's failures 5, 6 and 12, each as it could be shown there, cannot happen here."""

import asyncio

import msgspec
from httpx2 import ASGITransport, AsyncClient

from api.app import create_app
from engine import Settings
from persistence.stores.stores import PostgresStores
from tests.api.account_cases import ANN, PASSWORD
from tests.api.client import AUTH, BOOKING, PAYMENT, Api
from tests.api.visitor import Visitor


async def _book(visitor: Visitor, seat: str) -> int:
    """Hold and pay a seat with nothing but what a login gave."""
    body = {"seatId": f"gala:{seat}"}
    held = await visitor.api.call("POST", BOOKING, visitor.bearer, json=body)
    if held.status_code != 201:
        return held.status_code
    path = f"{PAYMENT}/{held.json()['id']}/confirm"
    return (await visitor.api.call("POST", path, visitor.bearer)).status_code


async def test_failure_5_every_role_of_a_fresh_installation_can_book(
    ann: Visitor, stores: PostgresStores
) -> None:
    await ann.api.office.open()
    await ann.join()
    assert await _book(ann, "A-1-1") == 200
    for seat, role in (("A-1-2", "ORGANIZER"), ("A-1-3", "ADMIN")):
        await stores.roles.assign_role(ANN, role)
        await ann.log_in()
        assert await _book(ann, seat) == 200, role


async def test_failure_6_throttling_is_applied(ann: Visitor, settings: Settings) -> None:
    app = create_app(msgspec.structs.replace(settings, rate_limits="on"), ann.api.stores)
    transport = ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=transport, base_url="http://api") as http,
    ):
        visitor = Visitor(Api(http, ann.api.office), ann.mailbox)
        answers = await asyncio.gather(*(visitor.log_in("a guess") for _ in range(30)))
    assert 429 in {answer.status_code for answer in answers}


async def test_failure_6_logout_is_heeded_by_every_process(
    ann: Visitor, settings: Settings, stores: PostgresStores
) -> None:
    """Two apps, as two processes: what one logs out, the other refuses."""
    from tests.support.waiting import until

    await ann.join()
    other_app = create_app(settings, PostgresStores(settings.database_url))
    transport = ASGITransport(other_app)
    async with (
        other_app.router.lifespan_context(other_app),
        AsyncClient(transport=transport, base_url="http://api") as http,
    ):
        elsewhere = Visitor(Api(http, ann.api.office), ann.mailbox)
        assert await elsewhere.may_call(ann.bearer)

        await ann.api.call("POST", f"{AUTH}/logout", ann.bearer)

        assert not await ann.may_call()

        async def refused_there() -> bool:
            return not await elsewhere.may_call(ann.bearer)

        await until(refused_there)
    third_app = create_app(settings)  # one that starts later knows it too
    transport = ASGITransport(third_app)
    async with (
        third_app.router.lifespan_context(third_app),
        AsyncClient(transport=transport, base_url="http://api") as http,
    ):
        assert not await Visitor(Api(http, ann.api.office), ann.mailbox).may_call(ann.bearer)


async def test_failure_6_refresh_and_access_tokens_are_not_interchangeable(ann: Visitor) -> None:
    await ann.join()
    access, refresh_token = ann.tokens["accessToken"], ann.tokens["refreshToken"]
    assert not await ann.may_call({"authorization": f"Bearer {refresh_token}"})
    assert (await ann.refresh(access)).status_code == 401
    assert (await ann.refresh(refresh_token)).status_code == 200, "and needs no access token"


async def test_failure_6_unverified_accounts_neither_log_in_nor_book(ann: Visitor) -> None:
    await ann.api.office.open()
    await ann.register()
    assert (await ann.log_in()).status_code == 401
    body = {"seatId": "gala:A-1-1"}
    await ann.api.refused(401, "unauthenticated", "POST", BOOKING, json=body)


async def test_failure_12_the_link_of_the_mail_is_one_a_browser_can_follow(ann: Visitor) -> None:
    await ann.register()
    assert (await ann.api.call("GET", ann.mailbox.mails[0].link)).status_code == 200
    assert PASSWORD not in ann.mailbox.mails[0].text
