"""A rebuild that kills itself, as a power cut would, right before the commit it is told.

python -m tests.support.interrupted_rebuild DATABASE_URL PROJECTION,PROJECTION COMMIT BATCH_SIZE
"""

import os
import signal
import sys

from sqlalchemy import Connection, event

from events.database import open_database
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from projections.models import ALL
from projections.rebuild import rebuild_many


def main(url: str, names: str, fatal_commit: int, batch_size: int) -> None:
    engine = open_database(url)
    commits = 0

    def die_in_time(connection: Connection) -> None:
        del connection
        nonlocal commits
        commits += 1
        if commits == fatal_commit:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "commit", die_in_time)
    rebuild_many(
        engine=engine,
        store=SqlEventStore(engine, REGISTRY),
        registry=REGISTRY,
        projections=[each for each in ALL if each.name in names.split(",")],
        batch_size=batch_size,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
