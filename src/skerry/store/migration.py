"""Bringing a database to the tables of this release, with alembic, from migrations that lie in the package.

Alembic and SQLAlchemy are imported only where there is something to migrate: a service that restarts on a current
database starts without them.
"""

import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skerry.store.errors import StoreTooNewError, StoreUnusableError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Engine

HEAD = "0012"
"""The newest migration of this release; a test holds it against `migrations/versions`."""

MIGRATIONS = Path(__file__).parent / "migrations"


def version(path: Path) -> str | None:
    """The migration that the database is at; None: it is empty.

    Raises:
        StoreUnusableError: if it is not a database, or has tables that are not ours.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" not in tables:
            if tables:
                raise StoreUnusableError(f"{path} is not a database of Skerry; give another path")
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreUnusableError(f"{path} cannot be opened as a database: {error}") from error
    finally:
        connection.close()
    return None if row is None else str(row[0])


def is_current(path: Path) -> bool:
    """Whether the database is at this release's tables.

    Raises:
        StoreTooNewError: if it is beyond them.
        StoreUnusableError: if it is not a database of ours.
    """
    found = version(path)
    if found is not None and found > HEAD:  # ids are numbers of four digits, so that they sort
        raise StoreTooNewError(
            f"{path} was made by a later release (its tables are at {found}, this release knows {HEAD}); "
            "install that release, or restore a backup from before the upgrade"
        )
    return found == HEAD


def upgrade(path: Path) -> None:
    """Migrate the database to this release; all of it or nothing.

    Raises:
        StoreTooNewError: if it is beyond this release.
        StoreUnusableError: if it is not a database of ours.
    """
    if is_current(path):
        return
    from alembic import command  # noqa: PLC0415 - see the module's docstring

    engine = engine_for(path)
    try:
        with engine.begin() as connection:
            configuration = alembic_config()
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")
    finally:
        engine.dispose()


def alembic_config() -> "Config":
    """Alembic's configuration; hand it a connection in `attributes["connection"]`."""
    from alembic.config import Config  # noqa: PLC0415 - see the module's docstring

    configuration = Config(stdout=sys.stdout)  # its own default is whatever stood there when it was imported
    configuration.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    return configuration


def engine_for(path: Path) -> "Engine":
    """An engine whose transactions really hold DDL: `sqlite3` on its own would commit before each CREATE TABLE."""
    from sqlalchemy import create_engine, event  # noqa: PLC0415 - see the module's docstring
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(path, isolation_level=None), poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def _begin(connection: "object") -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # type: ignore[attr-defined]

    return engine
