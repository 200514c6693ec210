"""The app of one API process, put together: `uvicorn --factory engine.cli.app:app_factory`."""

from starlette.applications import Starlette

from api.app import create_app
from engine import logs, settings
from persistence.stores import PostgresStores


def app_factory() -> Starlette:
    """The app with the settings of the environment. Postgres is asked when it is first needed."""
    found = settings.load()
    logs.configure(found.log_level)
    return create_app(found, PostgresStores(found.database_url))
