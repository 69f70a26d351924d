"""The results of a real A/B test: the file itself where it is at hand, else one with the same counts."""

import csv
from pathlib import Path

REAL_FILE = Path(__file__).parents[3] / "shared" / "data" / "cookie_cats.csv"
UNITS = {"gate_30": 44_700, "gate_40": 45_489}


def cookie_cats(directory: Path) -> Path:
    """Return the path of the file; one made in `directory` stands in for it where it is missing."""
    if REAL_FILE.exists():
        return REAL_FILE
    path = directory / "cookie_cats.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["userid", "version", "sum_gamerounds", "retention_1", "retention_7"])
        for number in range(sum(UNITS.values())):
            version = "gate_30" if number < UNITS["gate_30"] else "gate_40"
            writer.writerow([number, version, number % 500, number % 2 == 0, number % 5 == 0])
    return path
