"""What only DuckDB does: one process at a time, threads through a cursor each."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from warehouse.duckdb_hits import DuckDbHits
from warehouse.errors import WarehouseDown, WarehouseLocked, WarehouseTooNew
from warehouse.hits import HITS_SCHEMA

HOLDER = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def test_a_file_that_another_process_holds_is_a_named_error(tmp_path: Path) -> None:
    path = tmp_path / "bi.duckdb"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        warehouse = DuckDbHits(path)
        with pytest.raises(WarehouseLocked, match="held by another process"):
            warehouse.prepare()
        holder.communicate(b"")
    warehouse.prepare()
    warehouse.close()


def test_a_file_in_no_directory_is_a_warehouse_that_is_down(tmp_path: Path) -> None:
    with pytest.raises(WarehouseDown):
        DuckDbHits(tmp_path / "nowhere" / "bi.duckdb").ping()


def test_a_warehouse_of_the_future_is_refused(tmp_path: Path) -> None:
    warehouse = DuckDbHits(tmp_path / "bi.duckdb")
    warehouse.prepare()
    warehouse.cursor().execute("UPDATE hit_warehouse SET version = 99")
    with pytest.raises(WarehouseTooNew, match="version 99"):
        warehouse.prepare()
    warehouse.close()


def test_threads_ask_while_the_owner_of_a_shared_connection_goes_on() -> None:
    with duckdb.connect() as connection:
        warehouse = DuckDbHits(connection)
        warehouse.prepare()
        warehouse.store(pa.Table.from_pylist([], schema=HITS_SCHEMA), [])
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(lambda _: warehouse.hits_per_variant(), range(16))) == [[]] * 16
        warehouse.close()
        assert connection.execute("SELECT count(*) FROM hits").fetchone() == (0,)
