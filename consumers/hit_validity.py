"""What makes a hit one that BI can hold and count. A hit that is none would look like an error of the database's."""

from collections.abc import Mapping
from typing import Final

import polars as pl
import pyarrow as pa

from usersplit.hits import attributes_fault
from warehouse.hits import HITS_SCHEMA

_UUID: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_YEAR_10000: Final = 253_402_300_800_000_000
_INVALID: Final = "The hit is not valid: {}."
_TEXTS: Final = tuple(field.name for field in HITS_SCHEMA if field.type == pa.string_view())


def faults_of(hits: pl.DataFrame, *, may_hold_nul: bool) -> Mapping[int, str]:
    """Return, by the place in `hits` (of `HITS_SCHEMA`), why a hit is not valid, a sentence; nothing of valid ones.

    `may_hold_nul`: whether the texts have to be searched for U+0000, which costs more than all the other rules.
    """
    reasons = hits.select(_REASON_OR_NUL if may_hold_nul else _REASON)["reason"]
    if faults := _faults_of_attributes(hits["attributes"]):
        reasons = reasons.fill_null(hits["attributes"].replace_strict(faults, default=None, return_dtype=pl.String))
    return {place: reasons[place] for place in reasons.is_not_null().arg_true()}


def _faults_of_attributes(texts: pl.Series) -> Mapping[str, str]:
    """Return the reason for every text that could not be the attributes of a hit. Mostly all are the same few."""
    others = texts.filter(texts != "{}").unique()
    return {text: _INVALID.format(fault) for text in others if (fault := attributes_fault(text))}


def _reason(*, nul: bool) -> pl.Expr:
    moment = pl.col("occurred_at").cast(pl.Int64)
    rules = [
        (
            ~pl.col("hit_id").str.contains(_UUID),
            "hit_id is not a UUID in its canonical form (36 characters, lower case)",
        ),
        (pl.col("test_key") == "", "test_key is empty"),
        (pl.col("variant") == "", "variant is empty"),
        ((moment < 0) | (moment >= _YEAR_10000), "occurred_at lies outside the years 1970 to 9999"),
    ]
    if nul:
        holds = pl.any_horizontal(pl.col(_TEXTS).str.contains("\0", literal=True))
        rules.append((holds, "a text holds the character U+0000"))
    reason = pl.lit(None, dtype=pl.String)
    for broken, sentence in reversed(rules):
        reason = pl.when(broken).then(pl.lit(_INVALID.format(sentence))).otherwise(reason)
    return reason.alias("reason")


_REASON: Final = _reason(nul=False)
_REASON_OR_NUL: Final = _reason(nul=True)
