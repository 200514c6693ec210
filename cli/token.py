"""`engine token`: a token for the API, signed with the installation's secret."""

from pathlib import Path

import click

from api.http.permissions import Role
from cli.sources import data_option, find_settings
from engine.errors import Misconfigured


@click.command()
@click.option("--sub", required=True, help="The customer's id.")
@click.option(
    "--role", type=click.Choice(["customer", "organizer", "admin"]), default="customer",
    show_default=True, help="The permissions of the token.",
)  # fmt: skip
@click.option("--ttl", type=click.IntRange(1), default=86_400, show_default=True, help="Seconds.")
@data_option
def token(sub: str, role: Role, ttl: int, data: Path) -> None:
    """Print one token.

    \b
    TOKEN=$(engine token --sub alice)
    curl -H "Authorization: Bearer $TOKEN" localhost:8000/api/v1/booking/mine?eventId=gala
    """
    from api.http.tokens import issue_token

    settings = find_settings(data)
    if not settings.jwt_secret:
        raise Misconfigured(
            f"no secret: `engine up` has not run in {data}; start it there or set JWT_SECRET"
        )
    click.echo(issue_token(settings.jwt_secret, sub, role, ttl_s=ttl))
