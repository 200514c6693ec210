"""A text that the settings refuse is refused, by the same words, where the setting is used."""

import pytest

from api.app import create_app
from engine.errors import Misconfigured
from engine.settings import settings
from engine.settings.settings import Settings

GOOD = {"redis_url": "redis://nowhere", "jwt_secret": "s" * 32}
WRONG = {
    "cors_origins": (
        *(
            "shop.example",
            "https://shop.example/",
            "https://shop.example/path",
            "ftp://shop.example",
        ),
        *("https://a.example, b", "https://", "**", "https://ex\u00e4mple.org"),
    ),
    "jwks_url": ("http://keys.example/jwks", "ftp://keys.example", "keys.example", "https://"),
    "jwt_secret": ("s" * 31, "s" * 32 + "," + "t" * 31, "\u00e9" * 15),
    "payment_webhook_secret": ("s" * 31, "s" * 32 + "," + "t" * 31),
    "stripe_webhook_secret": ("s" * 31, "s" * 32 + "," + "t" * 31),
    "smtp_url": ("http://mail", "mail.example.org", "smtp://", "smtp:///queue", "smtps://u:p@:25"),
}


@pytest.mark.parametrize(("name", "text"), [(name, t) for name in WRONG for t in WRONG[name]])
def test_wrong_text_is_refused_alike_by_the_settings_and_by_the_app(name: str, text: str) -> None:
    needed = {"jwt_issuer": "i", "jwt_audience": "a"} if name == "jwks_url" else {}
    given = {**GOOD, **needed, name: text}
    with pytest.raises(Misconfigured) as by_settings:
        settings.load({variable.upper(): value for variable, value in given.items()})
    with pytest.raises(Misconfigured) as by_app:
        create_app(Settings(**given))  # type: ignore[arg-type]
    assert str(by_settings.value) == str(by_app.value)
    assert str(by_app.value).startswith(f"{name.upper()}: ")
