"""A file of users, CSV or Parquet, read in batches by a DuckDB of its own, whichever database holds the users."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import duckdb
import polars as pl
import pyarrow as pa

from warehouse.duckdb_users import translated
from warehouse.errors import WarehouseRefused

_READERS: Final = {".csv": "read_csv", ".gz": "read_csv", ".parquet": "read_parquet"}


class UsersFile:
    """The users in a file, open until it is closed.

    Attributes:
        types: the type of each column in DuckDB's words, by its name.
        names: of all columns.
        attributes: the names of those that are neither the identifier nor the split group.
        total: how many lines there are.
    """

    def __init__(self, path: Path, id_column: str, split_group: str) -> None:
        """Look into the file.

        Raises:
            WarehouseRefused: it cannot be read, or has no identifiers.
        """
        reader = _READERS.get(path.suffix)
        if reader is None:
            raise WarehouseRefused(f"{path} is neither .csv, .csv.gz nor .parquet; export the users as one of these")
        self._path = path
        self._source = f"{reader}('{str(path).replace(chr(39), chr(39) * 2)}')"
        self._id = id_column
        self._open = ExitStack()
        self._connection = self._open.enter_context(duckdb.connect(":memory:"))
        try:
            self._look(split_group)
        except BaseException:
            self.close()
            raise

    def _look(self, split_group: str) -> None:
        try:
            described = self._connection.execute(f"DESCRIBE SELECT * FROM {self._source}").fetchall()  # noqa: S608
        except duckdb.Error as error:
            raise WarehouseRefused(f"{self._path} cannot be read: {error}") from error
        self.types = {str(name): str(type_) for name, type_, *_ in described}
        if self._id not in self.types:
            raise WarehouseRefused(f"{self._path} has no column {self._id}; name the identifier of users so")
        self.names = list(self.types)
        self.attributes = [name for name in self.names if name not in {self._id, split_group}]
        with translated():
            counted = self._connection.execute(f"SELECT count(*) FROM {self._source}")  # noqa: S608
            self.total = int(counted.fetchall()[0][0])

    def batches(self, batch_users: int) -> Iterator[pa.Table]:
        """Yield the file in batches, in its order; of a user who is twice in a batch, the last line.

        Raises:
            WarehouseRefused: a line has no identifier, or cannot be read.
        """
        with translated():
            reader = self._connection.sql(f"SELECT * FROM {self._source}").to_arrow_reader(batch_users)  # noqa: S608
        self._open.callback(reader.close)
        while (batch := self._next(reader)) is not None:
            frame = pl.DataFrame(batch)
            if frame[self._id].null_count():
                raise WarehouseRefused(f"a line has no {self._id}; every user needs an identifier, correct the export")
            yield frame.unique(self._id, keep="last", maintain_order=True).to_arrow()

    def _next(self, reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
        try:
            return next(reader, None)
        except (OSError, pa.ArrowException) as error:  # so does Arrow tell what DuckDB says of a line
            raise WarehouseRefused(f"{self._path} cannot be read on: {error}; correct the export") from error

    def close(self) -> None:
        """Let go of the file."""
        self._open.close()
