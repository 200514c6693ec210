"""A client that a public tool makes of the served document can hold and pay a seat."""

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from api.http.tokens import issue_token
from engine import Settings
from tests.support.box_office import BoxOffice
from tests.support.serving import serving


async def _generate(url: str, folder: Path) -> None:
    config = folder / "generator.yml"
    config.write_text("post_hooks: []\n")  # it would format code that is not read
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"),
        *("--url", url, "--meta", "none", "--output-path", str(folder / "box_office_client")),
        *("--config", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()


def _module(path: str) -> Any:
    return importlib.import_module(f"box_office_client.{path}")


async def test_generated_client_holds_and_confirms_a_seat(
    settings: Settings, office: BoxOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.open()
    token = issue_token(settings.jwt_secret, "ann", "customer")
    async with serving(settings, tmp_path) as port:
        base_url = f"http://127.0.0.1:{port}"
        await _generate(f"{base_url}/api/openapi.json", tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        models = _module("models")
        anyone = _module("client").Client(base_url=base_url)
        ann = _module("client").AuthenticatedClient(base_url=base_url, token=token)
        hold_seats = _module("api.bookings.hold_seats").asyncio

        async with anyone, ann:
            found = await _module("api.seats.list_seats").asyncio(client=anyone, event_id="gala")
            seat = found.data[0]
            assert (seat.event_id, seat.price_minor) == ("gala", 1500)

            body = models.HoldBody(seat_ids=[seat.id])
            booking = await hold_seats(client=ann, body=body, idempotency_key="one")
            assert booking.status == models.BookingStatus.PENDING
            again = await hold_seats(client=ann, body=body, idempotency_key="one")
            assert again == booking
            taken = await hold_seats(client=ann, body=body, idempotency_key="two")
            assert isinstance(taken, models.ProblemDetails)
            assert (taken.code, taken.seat_ids) == (models.ProblemDetailsCode.SEAT_TAKEN, [seat.id])

            paid = await _module("api.payments.confirm_booking").asyncio(booking.id, client=ann)
            assert (paid.id, paid.status) == (booking.id, models.BookingStatus.CONFIRMED)
    assert (await office.kept(booking.id)).status == "confirmed"
