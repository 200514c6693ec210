"""Every setting: one typed, documented environment variable each.

A wrong value refuses to start and names the variable. A secret may come from a file instead:
`JWT_SECRET_FILE=/run/secrets/jwt` reads `JWT_SECRET`. Own loader over msgspec rather than
pydantic-settings: forty lines, and the table in docs/settings.md is made from the same fields.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from engine.errors import Misconfigured

Positive = Annotated[int, Meta(ge=1)]
Durability = Literal["fsync", "async"]


def _doc(text: str) -> Meta:
    return Meta(description=text)


class Settings(Struct, frozen=True, kw_only=True):
    """The name in upper case is the variable. Units stand last in the name."""

    redis_url: Annotated[
        str, _doc("Redis >= 7.0 or Valkey >= 8: `redis://`, `rediss://` or `unix://`.")
    ] = ""
    database_url: Annotated[str, _doc("Postgres >= 14: `postgresql://…`.")] = ""
    jwt_secret: Annotated[str, _doc("Signs and checks tokens (HS256); at least 32 bytes.")] = ""
    access_ttl_s: Annotated[Positive, _doc("How long an access token lives.")] = 900
    refresh_ttl_s: Annotated[Positive, _doc("How long a session lives after its last refresh.")] = (
        2_592_000
    )
    jwks_url: Annotated[
        str,
        _doc(
            "Keys of an outside identity provider (`https://…`), whose tokens count too: RS256, "
            "ES256, EdDSA. Needs JWT_ISSUER and JWT_AUDIENCE."
        ),
    ] = ""
    jwt_issuer: Annotated[str, _doc("`iss` of the identity provider's tokens.")] = ""
    jwt_audience: Annotated[str, _doc("`aud` of the identity provider's tokens.")] = ""
    jwt_leeway_s: Annotated[
        int, Meta(ge=0, le=300), _doc("How far another machine's clock may be off.")
    ] = 10
    password_threads: Annotated[
        Positive, _doc("Passwords one process hashes at a time, each on a thread of low priority.")
    ] = 1
    passwords_waiting_max: Annotated[
        Positive, _doc("Passwords of one process waiting for that; more are turned away with 503.")
    ] = 32
    smtp_url: Annotated[
        str,
        _doc(
            "Where mail is handed in: `smtp://user:password@host:587` (STARTTLS) or `smtps://`. "
            "Empty: mails are printed to the log, links and all."
        ),
    ] = ""
    mail_from: Annotated[str, _doc("Sender of the mails.")] = "tickets@localhost"
    public_url: Annotated[
        str, _doc("Where the API is reached from outside; links in mails begin with it.")
    ] = ""
    durability: Annotated[
        Durability,
        _doc(
            "What a confirmation waits for. `fsync`: Redis must run `appendfsync always`, or the "
            "start is refused. `async`: a crash may lose what was answered in the last second."
        ),
    ] = "fsync"
    redis_connections_max: Annotated[
        Positive, _doc("Connections of one process to Redis; each carries one pipeline at a time.")
    ] = 4
    redis_timeout_ms: Annotated[
        Positive, _doc("How long a call may wait for Redis before its outcome is unknown.")
    ] = 2000
    calls_waiting_max: Annotated[
        Positive, _doc("Calls of one process waiting for Redis; more are turned away with 503.")
    ] = 5000
    writer_batch_entries_max: Annotated[
        Positive, _doc("Journal entries the writer puts into one transaction.")
    ] = 500
    writer_batch_wait_ms: Annotated[
        Positive, _doc("How long the writer waits to fill a batch.")
    ] = 20
    writer_claim_idle_ms: Annotated[
        Positive, _doc("After how long a batch of a silent writer goes to another.")
    ] = 10_000
    journal_keep_ms: Annotated[
        int, Meta(ge=0), _doc("How long a persisted journal entry stays in Redis.")
    ] = 60_000
    body_bytes_max: Annotated[
        Positive, _doc("Largest request body; a plan sent to /event may be 256 times that.")
    ] = 65_536
    rate_limits: Annotated[
        Literal["on", "off"], _doc("`off` for benchmarks. Purchase limits are the event's own.")
    ] = "on"
    limit_customer_per_s: Annotated[
        Positive, _doc("Calls of one customer per second and class of routes, in the long run.")
    ] = 10
    limit_customer_burst: Annotated[Positive, _doc("Calls of one customer at once.")] = 50
    limit_address_per_s: Annotated[
        Positive, _doc("Calls of one address (IPv6: of one /64) per second and class of routes.")
    ] = 100
    limit_address_burst: Annotated[Positive, _doc("Calls of one address at once.")] = 500
    trusted_proxies: Annotated[
        str, _doc("Addresses or networks, by comma, whose X-Forwarded-For tells who calls.")
    ] = ""
    requests_in_flight_max: Annotated[
        Positive, _doc("Requests one process works on; more are turned away with 503.")
    ] = 1000
    request_read_s: Annotated[
        Positive, _doc("How long a client may take to send a request; at most twice that.")
    ] = 20
    cors_origins: Annotated[
        str,
        _doc("Origins whose pages may call the API, by comma: `https://shop.example`; `*`: any."),
    ] = ""
    payment_webhook_secret: Annotated[
        str,
        _doc(
            "Signs the payment provider's notices, at least 32 bytes; two by comma while it is "
            "changed. Empty: no notices are taken."
        ),
    ] = ""
    webhook_allow_insecure: Annotated[
        bool, _doc("Send messages by http and into one's own network: for tests and demos.")
    ] = False
    ready_parts: Annotated[
        str, _doc("Parts /readyz waits for, by comma: `expirer,writer`. Empty: Redis alone.")
    ] = ""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _doc("Least severity that is logged.")
    ] = "info"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment. Raises Misconfigured, naming the variable."""
    env = os.environ if environ is None else environ
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(Settings):
        text = _read(env, field.name.upper())
        if text is None:
            continue
        try:
            values[field.name] = msgspec.convert(text, field.type, strict=False)
        except msgspec.ValidationError as error:
            raise Misconfigured(f"{field.name.upper()}: {error}") from error
    return Settings(**values)  # type: ignore[arg-type]  # each value was converted to its field


def _read(env: Mapping[str, str], name: str) -> str | None:
    path = env.get(f"{name}_FILE")
    if not path:
        return env.get(name)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Misconfigured(f"{name}_FILE: {error}") from error
