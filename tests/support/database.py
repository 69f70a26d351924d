"""Databases with the newest schema, made by the migrations an operator runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from events.database import open_database
from migrations.run import upgrade


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest schema, as `alembic upgrade head` does."""
    upgrade(url)


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "template.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture
def migrated_sqlite_url(migrated_sqlite_file: Path, tmp_path: Path) -> str:
    """A fresh SQLite file with the newest schema."""
    return f"sqlite:///{shutil.copy(migrated_sqlite_file, tmp_path / 'usersplit.db')}"


@pytest.fixture
def sqlite_database(migrated_sqlite_url: str) -> Iterator[Engine]:
    """An engine on a fresh SQLite file with the newest schema."""
    engine = open_database(migrated_sqlite_url)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database with the newest schema, once on each kind of database."""
    fixture = "migrated_sqlite_url" if request.param == "sqlite" else "migrated_postgres_url"
    return str(request.getfixturevalue(fixture))


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    """An engine on a fresh database with the newest schema, once on each kind of database."""
    engine = open_database(database_url)
    yield engine
    engine.dispose()
