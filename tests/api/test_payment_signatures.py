"""Signatures of notices (S8): forged, altered, stale, replayed and rotated signatures."""

import hmac
import time

import msgspec
import pytest

from api.app import create_app
from api.http.problems import Problem
from api.signatures import HEADER, PaymentSignatures
from engine import Settings
from engine.errors import Misconfigured
from tests.api.client import NOTICE, PROVIDER_SECRET, Api, signature
from tests.api.payment_cases import notice

JSON = {"content-type": "application/json"}
ARABIC_ONE = "\u0661"


async def _open(api: Api) -> str:
    """The gala, and a booking of ann's that is pending. Its id."""
    await api.office.open(owner_id="orla")
    return (await api.office.hold("ann", "A-1-1")).id


def _signed(at: object, body: bytes, secret: str = PROVIDER_SECRET) -> str:
    text = str(at).encode() + b"." + body
    return hmac.new(secret.encode(), text, "sha256").hexdigest()


def _headers(body: bytes) -> dict[str, str | None]:
    """Signatures that must not be taken, by what is wrong with them."""
    now = int(time.time())
    right = _signed(now, body)
    return {
        "missing": None,
        "empty": "",
        "nonsense": "nonsense",
        "without time": f"v1={right}",
        "without signature": f"t={now}",
        "empty signature": f"t={now},v1=",
        "another scheme": f"t={now},v0={right}",
        "two times": f"t={now},t={now},v1={right}",
        "no number": f"t=now,v1={_signed('now', body)}",
        "a fraction": f"t={now}.5,v1={_signed(f'{now}.5', body)}",
        "negative": f"t=-{now},v1={_signed(f'-{now}', body)}",
        "other digits": f"t={ARABIC_ONE},v1={_signed(ARABIC_ONE, body)}",
        "huge": f"t={'9' * 400},v1={_signed('9' * 400, body)}",
        "stale": f"t={now - 302},v1={_signed(now - 302, body)}",
        "future": f"t={now + 302},v1={_signed(now + 302, body)}",
        "another time": f"t={now - 1},v1={right}",
        "another secret": f"t={now},v1={_signed(now, body, 'q' * 32)}",
        "empty secret": f"t={now},v1={_signed(now, body, '')}",
        "upper case": f"t={now},v1={right.upper()}",
        "cut": f"t={now},v1={right[:-1]}",
        "longer": f"t={now},v1={right}0",
        "of nothing": f"t={now},v1={_signed(now, b'')}",
        "of the body alone": f"t={now},v1={hmac.new(b'p' * 32, body, 'sha256').hexdigest()}",
        "spaces": f"t = {now}, v1 = {right}",
        "too many": ",".join([f"t={now}", *["v1=00"] * 8, f"v1={right}"]),
        "not ASCII": f"t={now},v1=\u00e9{right}",
    }


@pytest.mark.parametrize("wrong", _headers(b""))
async def test_notice_with_a_wrong_signature_is_refused(api: Api, wrong: str) -> None:
    body = msgspec.json.encode(notice(await _open(api)))
    header = _headers(body)[wrong]
    headers = [(b"content-type", b"application/json")]
    if header is not None:
        headers.append((b"payment-signature", header.encode()))
    before = await api.office.everything()
    answer = await api.http.post(NOTICE, content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")
    assert answer.headers["www-authenticate"] == "Payment-Signature"
    assert await api.office.everything() == before


async def test_notice_that_was_altered_on_the_way_is_refused(api: Api) -> None:
    booking_id = await _open(api)
    body = msgspec.json.encode(notice(booking_id, amountMinor=1500))
    header = {**JSON, "payment-signature": signature(body)}
    for position in range(0, len(body), 3):
        for bit in (1, 4):
            altered = bytearray(body)
            altered[position] ^= bit
            answer = await api.http.post(NOTICE, content=bytes(altered), headers=header)
            assert answer.status_code in (401, 422), answer.text  # 422: a field is there twice
    longer = await api.http.post(NOTICE, content=body + b" ", headers=header)
    assert longer.status_code == 401
    assert await api.office.kinds() == ["event_loaded", "seats_held"]
    assert (await api.http.post(NOTICE, content=body, headers=header)).status_code == 200


@pytest.mark.parametrize("ahead_s", [-295, 0, 295])
async def test_notice_signed_within_the_window_is_taken_and_replayed_without_effect(
    api: Api, ahead_s: int
) -> None:
    body = msgspec.json.encode(notice(await _open(api)))
    header = {**JSON, "payment-signature": signature(body, ahead_s=ahead_s)}
    for _ in range(5):
        assert (await api.http.post(NOTICE, content=body, headers=header)).status_code == 200
    assert (await api.office.kinds()).count("booking_confirmed") == 1


async def test_notice_with_several_signatures_is_taken_if_one_is_right(api: Api) -> None:
    body = msgspec.json.encode(notice(await _open(api)))
    now = int(time.time())
    both = f"t={now},v1={_signed(now, body, 'q' * 32)},v1={_signed(now, body)}, v0=x"
    answer = await api.call("POST", NOTICE, content=body, headers={"payment-signature": both})
    assert answer.status_code == 200


@pytest.mark.parametrize("secrets", ["{p},{q}", " {q} ,, {p},"])
def test_either_secret_is_right_while_it_is_changed(secrets: str) -> None:
    signatures = PaymentSignatures(secrets.format(p="p" * 32, q="q" * 32))
    for secret in ("p" * 32, "q" * 32):
        signatures.check({HEADER: signature(b"{}", secret=secret).encode()}, b"{}")
    with pytest.raises(Problem, match="does not match"):
        signatures.check({HEADER: signature(b"{}", secret="r" * 32).encode()}, b"{}")


def test_secret_that_is_short_is_refused_at_start(settings: Settings) -> None:
    for secrets in ("p" * 31, "p" * 32 + "," + "q" * 31):
        with pytest.raises(Misconfigured, match="PAYMENT_WEBHOOK_SECRET: must have at least 32"):
            create_app(msgspec.structs.replace(settings, payment_webhook_secret=secrets))


def test_notice_without_a_secret_of_ours_is_refused() -> None:
    with pytest.raises(Problem) as caught:
        PaymentSignatures("").check({HEADER: signature(b"{}", secret="").encode()}, b"{}")
    assert caught.value.code == "not_found"
    assert "PAYMENT_WEBHOOK_SECRET is not set" in caught.value.detail
