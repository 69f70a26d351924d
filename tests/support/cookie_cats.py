"""The results of a real A/B test: the file itself where it is at hand, else a made one with the same counts."""

import csv
import os
from pathlib import Path

import pytest

from tests.support import tiers

VARIABLE = "USERSPLIT_TEST_COOKIE_CATS"
BESIDE_THE_PROJECT = Path(__file__).parents[3] / "shared" / "data" / "cookie_cats.csv"
UNITS = {"gate_30": 44_700, "gate_40": 45_489}


def cookie_cats(directory: Path, config: pytest.Config) -> Path:
    """Return the path of the file, and note for the end of the run which one it is.

    It is the one that USERSPLIT_TEST_COOKIE_CATS names; else the one beside the project's folder; else one made in
    `directory`.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if not Path(named).is_file():
            pytest.fail(f"{VARIABLE} names {named}, which is not there; correct it, or unset it for a made file")
        tiers.remember(config, "Cookie Cats", f"the file of {VARIABLE}")
        return Path(named)
    if BESIDE_THE_PROJECT.exists():
        tiers.remember(config, "Cookie Cats", "the file beside the project's folder")
        return BESIDE_THE_PROJECT
    tiers.remember(config, "Cookie Cats", f"a made file with the same counts, not the real one; set {VARIABLE}")
    return _made(directory / "cookie_cats.csv")


def _made(path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["userid", "version", "sum_gamerounds", "retention_1", "retention_7"])
        for number in range(sum(UNITS.values())):
            version = "gate_30" if number < UNITS["gate_30"] else "gate_40"
            writer.writerow([number, version, number % 500, number % 2 == 0, number % 5 == 0])
    return path
