"""What only DuckDB does: one process at a time, threads through a cursor each."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from warehouse.duckdb_hits import DuckDbHits
from warehouse.errors import WarehouseDown, WarehouseLocked, WarehouseTooNew
from warehouse.hits import HITS_SCHEMA, OffsetRange

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


FULL = """
import resource, sys
from pathlib import Path
import pyarrow as pa
from warehouse.duckdb_hits import DuckDbHits
from warehouse.errors import WarehouseDown
from warehouse.hits import HITS_SCHEMA, OffsetRange

def batch(number):
    rows = [
        {name: "x" * 40 for name in HITS_SCHEMA.names}
        | {"hit_id": f"{number:08x}-0000-7000-8000-{row:012x}", "occurred_at": row, "settings_group": 1,
           "split_group": row % 2400, "forced": False, "attributes": f"{row * 7919 % 104729:0400d}"}
        for row in range(20_000)
    ]
    return pa.Table.from_pylist(rows, schema=HITS_SCHEMA)

warehouse = DuckDbHits(Path(sys.argv[1]))
warehouse.prepare()
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
stored, failed = 0, 0
while stored < 12:
    part = OffsetRange(topic="hits", partition=0, first=stored, next=stored + 1)
    try:
        warehouse.store(batch(stored), [part])
        stored += 1
    except WarehouseDown as error:
        failed += 1
        if failed == 3:  # somebody made room
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert failed < 10, error
(line,) = warehouse.hits_per_variant()
print(stored, failed, line.hits, dict(warehouse.offsets("hits")))
warehouse.close()
"""


def test_a_full_disk_is_a_warehouse_that_is_down_until_there_is_room(tmp_path: Path) -> None:
    # A limit on the size of files is the full disk that needs no mount: writes beyond it fail the same way.
    finished = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "bi.duckdb")],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["sdk", "."])},
        cwd=Path(__file__).parents[2],
        text=True,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split()[:3] == ["12", "3", str(12 * 20_000)]
    assert "{0: 12}" in finished.stdout


def test_the_tables_of_the_release_before_are_brought_up(tmp_path: Path) -> None:
    with closing(DuckDbHits(tmp_path / "bi.duckdb")) as warehouse:
        warehouse.prepare()
        warehouse.cursor().execute("UPDATE hit_warehouse SET version = 1; DROP VIEW exposures")
        warehouse.prepare()
        answer = warehouse.cursor().execute("SELECT (SELECT version FROM hit_warehouse), count(*) FROM exposures")
        assert answer.fetchone() == (2, 0)


def test_a_checkpoint_writes_no_hit_a_second_time(tmp_path: Path) -> None:
    batch = 131_072
    size = """
        SELECT row_group_id, sum(count) FROM pragma_storage_info('hits')
        WHERE column_name = 'forced' AND segment_type <> 'VALIDITY' GROUP BY ALL ORDER BY ALL
    """
    with closing(DuckDbHits(tmp_path / "bi.duckdb")) as warehouse:
        warehouse.prepare()
        for number in range(3):
            part = OffsetRange(topic="hits", partition=0, first=number, next=number + 1)
            assert warehouse.store(_hits(number * batch, batch), [part]) == batch
        stored = warehouse.cursor().execute(size).fetchall()
        warehouse.cursor().execute("CHECKPOINT")
        assert warehouse.cursor().execute(size).fetchall() == stored
        assert [rows for _, rows in stored] == [122_880, 8_192] * 3


def _hits(first: int, count: int) -> pa.Table:
    ids = [f"{number:08x}-0000-7000-8000-000000000000" for number in range(first, first + count)]
    plain: dict[Any, Any] = {pa.string_view(): "x", pa.bool_(): False}
    columns: list[Any] = [pa.array([plain.get(field.type, 1)] * count, type=field.type) for field in HITS_SCHEMA]
    return pa.Table.from_arrays([pa.array(ids, type=pa.string_view()), *columns[1:]], schema=HITS_SCHEMA)
