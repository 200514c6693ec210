"""Every setting: one typed, documented environment variable each.

A wrong value fails the start with the name of the variable, never the value. A secret may come from
a file: `JWT_SECRET_FILE=/run/secrets/jwt` sets `JWT_SECRET`. A small loader over msgspec replaces
pydantic-settings; `engine settings` and docs/settings.md show the same fields.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from engine.errors import Misconfigured
from engine.settings import checks as forms
from engine.settings import fields, postgres_url, sources
from engine.settings.fields import INTEGER_MAX, Setting
from engine.settings.fields import doc as _doc

Positive = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]
Durability = Literal["fsync", "async"]


class Settings(Struct, frozen=True, kw_only=True):
    """The variable is the field name in upper case. A unit is the last word of the name."""

    redis_url: Annotated[
        str,
        _doc(
            "Redis >= 7.0 or Valkey >= 8: `redis://`, `rediss://` or `unix://`.",
            unit="URL",
            form=forms.url("redis", "rediss", "unix"),
            secret=True,
        ),
    ] = ""
    database_url: Annotated[
        str,
        _doc(
            "Postgres >= 14: `postgresql://…`.",
            unit="URL",
            form=postgres_url.check,
            secret=True,
        ),
    ] = ""
    jwt_secret: Annotated[
        str,
        _doc(
            "Signs and checks tokens (HS256), at least 32 bytes; of two by comma the first signs.",
            form=forms.secrets,
            secret=True,
        ),
    ] = ""
    access_ttl_s: Annotated[Positive, _doc("Lifetime of an access token.", unit="s")] = 900
    refresh_ttl_s: Annotated[
        Positive, _doc("Lifetime of a session after its last refresh.", unit="s")
    ] = 2_592_000
    jwks_url: Annotated[
        str,
        _doc(
            "Keys of an external identity provider (`https://…`), whose tokens are accepted too: "
            "RS256, ES256, EdDSA. Needs JWT_ISSUER and JWT_AUDIENCE.",
            unit="URL",
            form=forms.keys_url,
        ),
    ] = ""
    jwt_issuer: Annotated[str, _doc("`iss` of the identity provider's tokens.")] = ""
    jwt_audience: Annotated[str, _doc("`aud` of the identity provider's tokens.")] = ""
    jwt_leeway_s: Annotated[
        int,
        Meta(ge=0, le=300),
        _doc("Tolerated clock difference between machines.", unit="s"),
    ] = 10
    password_threads: Annotated[
        Positive,
        _doc(
            "Passwords one process hashes at a time, each on a thread of low priority.",
            unit="threads",
        ),
    ] = 1
    passwords_waiting_max: Annotated[
        Positive,
        _doc(
            "Passwords of one process waiting for that; more are rejected with 503.",
            unit="calls",
        ),
    ] = 32
    smtp_url: Annotated[
        str,
        _doc(
            "The mail server: `smtp://user:password@host:587` (STARTTLS) or `smtps://`. "
            "Empty: mails are written to the log, with their links.",
            unit="URL",
            form=forms.mail_server,
            secret=True,
        ),
    ] = ""
    mail_from: Annotated[
        str, Meta(min_length=1), _doc("Sender of the mails.", unit="address", form=forms.address)
    ] = "tickets@localhost"
    public_url: Annotated[
        str,
        _doc(
            "The URL of the API for clients; links in mails begin with it.",
            unit="URL",
            form=forms.url("https", "http"),
        ),
    ] = ""
    durability: Annotated[
        Durability,
        _doc(
            "What a confirmation waits for. `fsync`: Redis must run `appendfsync always`, or the "
            "start is refused. `async`: a crash may lose the last second of answered confirmations."
        ),
    ] = "fsync"
    redis_timeout_ms: Annotated[
        Positive,
        _doc("How long a call may wait for Redis before its outcome is unknown.", unit="ms"),
    ] = 2000
    calls_waiting_max: Annotated[
        Positive,
        _doc("Calls of one process waiting for Redis; more are rejected with 503.", unit="calls"),
    ] = 5000
    writer_batch_entries_max: Annotated[
        Positive, _doc("Journal entries the writer puts into one transaction.", unit="entries")
    ] = 2000
    writer_batch_wait_ms: Annotated[
        Positive,
        _doc(
            "How long the writer waits to fill a batch; under load five times as long.", unit="ms"
        ),
    ] = 20
    writer_claim_idle_ms: Annotated[
        Positive,
        _doc("After how long without a sign of life a writer's batch goes to another.", unit="ms"),
    ] = 10_000
    journal_keep_ms: Annotated[
        int,
        Meta(ge=0, le=INTEGER_MAX),
        _doc("How long a persisted journal entry stays in Redis.", unit="ms"),
    ] = 60_000
    unpaid_keep_s: Annotated[
        int,
        Meta(ge=7200, le=INTEGER_MAX),
        _doc(
            "How long Postgres keeps a booking that ended unpaid, with its journal entries; Redis "
            "keeps it for an hour.",
            unit="s",
        ),
    ] = 7200
    body_bytes_max: Annotated[
        Positive,
        _doc("Largest request body; a plan sent to /event may be 256 times that.", unit="bytes"),
    ] = 65_536
    rate_limits: Annotated[
        Literal["on", "off"], _doc("`off` for benchmarks. Purchase limits are the event's own.")
    ] = "on"
    limit_customer_per_s: Annotated[
        Positive,
        _doc(
            "Calls of one customer per second and class of routes, in the long run.",
            unit="calls/s",
        ),
    ] = 10
    limit_customer_burst: Annotated[
        Positive, _doc("Calls of one customer at once.", unit="calls")
    ] = 50
    limit_address_per_s: Annotated[
        Positive,
        _doc(
            "Calls of one address (IPv6: of one /64) per second and class of routes.",
            unit="calls/s",
        ),
    ] = 100
    limit_address_burst: Annotated[
        Positive, _doc("Calls of one address at once.", unit="calls")
    ] = 500
    trusted_proxies: Annotated[
        str,
        _doc(
            "Addresses or networks, by comma, whose X-Forwarded-For names the client.",
            unit="addresses by comma",
            form=forms.listed(forms.network),
        ),
    ] = ""
    requests_in_flight_max: Annotated[
        Positive,
        _doc("Requests one process works on; more are rejected with 503.", unit="requests"),
    ] = 250
    connections_max: Annotated[
        Positive,
        _doc(
            "Connections one process has open; more are answered 503 and closed.",
            unit="connections",
        ),
    ] = 10_000
    request_read_s: Annotated[
        Positive,
        _doc("How long a client may take to send a request; at most twice that.", unit="s"),
    ] = 20
    cors_origins: Annotated[
        str,
        _doc(
            "Origins whose pages may call the API, by comma: `https://shop.example`; `*`: any.",
            unit="origins by comma",
            form=forms.listed(forms.origin),
        ),
    ] = ""
    payment_webhook_secret: Annotated[
        str,
        _doc(
            "Signs the payment provider's notices, at least 32 bytes; two by comma during a "
            "rotation. Empty: notices are refused.",
            form=forms.secrets,
            secret=True,
        ),
    ] = ""
    stripe_webhook_secret: Annotated[
        str,
        _doc(
            "Signs Stripe's events (`whsec_…`), at least 32 bytes; two by comma during a "
            "rotation. Empty: events are refused.",
            form=forms.secrets,
            secret=True,
        ),
    ] = ""
    payments: Annotated[
        Literal["auto", "unchecked", "demo", "provider"],
        _doc(
            "Who confirms a booking. `provider`: the payment provider, or the organiser at the box "
            "office. `unchecked`, `demo`: the customer too. `auto`: `provider` where a secret of "
            "one is set, else `unchecked`."
        ),
    ] = "auto"
    webhook_allow_insecure: Annotated[
        bool, _doc("Allow webhooks over http and to private addresses: for tests and demos.")
    ] = False
    ready_parts: Annotated[
        str,
        _doc(
            "Parts /readyz waits for, by comma: `expirer,writer`. Empty: Redis alone.",
            unit="names by comma",
            form=forms.listed(forms.part),
        ),
    ] = ""
    drain_wait_s: Annotated[
        int,
        Meta(ge=0, le=INTEGER_MAX),
        _doc(
            "How long an API process accepts connections after SIGTERM, not ready.",
            unit="s",
        ),
    ] = 0
    drain_s_max: Annotated[
        Positive,
        _doc("How long it may then take to finish what it has accepted.", unit="s"),
    ] = 10
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _doc("Least severity that is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["json", "plain"],
        _doc("Form of the log lines; `engine up` sets `plain` unless it is set."),
    ] = "json"

    @property
    def customers_confirm(self) -> bool:
        """Whether a customer can confirm a booking without a notice of the provider."""
        if self.payments == "auto":
            return not self.has_provider
        return self.payments != "provider"

    @property
    def has_provider(self) -> bool:
        """Whether the notices of a payment provider can be checked."""
        return bool(self.payment_webhook_secret or self.stripe_webhook_secret)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment. Raises Misconfigured, naming the variable."""
    return find(environ)[0]


def find(environ: Mapping[str, str] | None = None) -> tuple[Settings, dict[str, str]]:
    """The settings, and the source of each variable that is set. Raises Misconfigured."""
    env = os.environ if environ is None else environ
    values, read_from = fields.read(catalogue(), env)
    settings = Settings(**values)
    if settings.jwks_url and not (settings.jwt_issuer and settings.jwt_audience):
        raise Misconfigured("JWKS_URL needs JWT_ISSUER and JWT_AUDIENCE")
    if settings.payments == "provider" and not settings.has_provider:
        raise Misconfigured(
            "PAYMENTS=provider needs PAYMENT_WEBHOOK_SECRET or STRIPE_WEBHOOK_SECRET"
        )
    return settings, read_from


def catalogue() -> Iterator[Setting]:
    """Every setting, in the order above."""
    return fields.of(Settings)


def refuse_contradictions(environ: Mapping[str, str]) -> None:
    """Raise Misconfigured when a variable and its file differ."""
    for setting in catalogue():
        sources.refuse_contradiction(environ, setting.name)


def slips(environ: Iterable[str]) -> list[tuple[str, str]]:
    """Variables that look like a misspelt setting, each with the setting it looks like."""
    return sources.slips(environ, [setting.name for setting in catalogue()])
