"""What became of the hits of each day: what services reported, beside what BI has. SQL of all three engines.

The counters of a process only grow, so what a report adds to the one before it happened between the two; it counts for
the day of the later one. Reports may come in any order and more than once.
"""

from typing import Final

DROPPED: Final = (
    "dropped_buffer_full",
    "dropped_closed",
    "dropped_encoding_failed",
    "dropped_delivery_failed",
    "dropped_close_deadline",
    "dropped_spool_full",
    "dropped_spool_damaged",
    "dropped_other",
)
"""The reasons for which a hit was given up; the last one stands for those that this release does not know."""

REPORT_COUNTERS: Final = ("accepted", "recovered", "delivered", "waiting", "dropped", *DROPPED)
"""The counters of a report: `accepted = delivered + waiting + dropped`, and `dropped` is the sum of its reasons."""

_PLACE: Final = ("day", "app", "environment", "host")
_SUMS: Final = ("processes", *REPORT_COUNTERS, "stored")


def hit_accounting(*, day: str, before: str = "lag") -> str:
    """Return the statement that makes the view `hit_accounting`.

    Args:
        day: what makes a day (UTC) of the moment for which `{}` stands.
        before: the engine's function for the value of the row before.
    """
    place = ", ".join(_PLACE)
    known = ", ".join(f"coalesce({before}({name}) OVER told, 0) AS {name}_before" for name in REPORT_COUNTERS)
    added = ", ".join(f"sum({name} - {name}_before) AS {name}_added" for name in REPORT_COUNTERS)
    reported = ", ".join(f"{name}_added" for name in REPORT_COUNTERS)
    nothing = ", ".join(f"0 AS {name}_added" for name in REPORT_COUNTERS)
    sums = ", ".join(f"CAST(sum({name}_added) AS BIGINT) AS {name}" for name in _SUMS)
    return f"""
        CREATE OR REPLACE VIEW hit_accounting AS
        SELECT {place}, {sums}
        FROM (
            SELECT {place}, processes_added, {reported}, 0 AS stored_added
            FROM (
                SELECT {place}, count(DISTINCT process) AS processes_added, {added}
                FROM (
                    SELECT {day.format("reported_at")} AS day, app, environment, host, process,
                           {", ".join(REPORT_COUNTERS)}, {known}
                    FROM hit_reports
                    WINDOW told AS (PARTITION BY process ORDER BY is_final, accepted, delivered + dropped, report_id)
                ) AS grown
                GROUP BY {place}
            ) AS reported
            UNION ALL
            SELECT {day.format("occurred_at")} AS day, app, environment, host, 0 AS processes_added, {nothing},
                   count(*) AS stored_added
            FROM hits
            GROUP BY 1, 2, 3, 4
        ) AS both_sides
        GROUP BY {place}
    """  # noqa: S608 - constants
