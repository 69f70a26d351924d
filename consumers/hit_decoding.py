"""Messages of the hits topic → a table of hits, and what is poison among them.

A batch is read at once (`consumers.hit_columns`); the few messages that cannot be read that way are looked at one by
one with `usersplit.hits.decode_hit`, which names the poison. What was read is then held against the rules of
`consumers.hit_validity`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from consumers.hit_columns import read_columns
from consumers.hit_validity import faults_of
from usersplit.hits import MalformedHit, decode_hit
from warehouse.hits import COLUMNS, HITS_SCHEMA, chosen

_FRAME_SCHEMA: Final[dict[str, Any]] = dict(pl.Schema(HITS_SCHEMA))
_PLAIN_SCHEMA: Final = _FRAME_SCHEMA | {"occurred_at": pl.Int64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """A message that is no hit that BI could count: its place in the batch, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedHits:
    """The hits of a batch (a `pyarrow.Table` of `HITS_SCHEMA`, in order), and its poison, by index."""

    hits: pa.Table
    poison: tuple[Poison, ...]


def decode_hits(values: Sequence[bytes | None]) -> DecodedHits:
    """Decode and check a batch of messages of the hits topic. Never raises for what a message holds."""
    columns = read_columns(values)
    places = np.flatnonzero(columns.read)
    poison: dict[int, str] = {}
    hits = columns.hits
    if len(places) < len(values):
        others = {place: values[place] or b"" for place in np.flatnonzero(~columns.read).tolist()}
        frame, read_places = _one_by_one(others, poison)
        hits, places = _merged(hits, places, frame, read_places)
    faults = faults_of(pl.DataFrame(hits), may_hold_nul=columns.may_hold_nul)
    if faults:
        hits = chosen(hits, np.isin(np.arange(len(places)), list(faults), invert=True))
        poison.update({int(places[place]): reason for place, reason in faults.items()})
    return DecodedHits(
        hits=hits, poison=tuple(Poison(index=index, reason=reason) for index, reason in sorted(poison.items()))
    )


def _one_by_one(values: Mapping[int, bytes], poison: dict[int, str]) -> tuple[pl.DataFrame, list[int]]:
    """Return the hits among `values` with their places, and put the reasons of the others into `poison`."""
    rows, places = [], []
    for place, value in values.items():
        try:
            hit = decode_hit(value)
        except MalformedHit as error:
            poison[place] = str(error)
        else:
            rows.append(tuple(getattr(hit, name) for name in COLUMNS))
            places.append(place)
    frame = pl.DataFrame(rows, schema=_PLAIN_SCHEMA, orient="row")
    return frame.cast({"occurred_at": _FRAME_SCHEMA["occurred_at"]}), places


def _merged(
    hits: pa.Table, places: "np.ndarray[Any, np.dtype[np.int64]]", others: pl.DataFrame, other_places: list[int]
) -> tuple[pa.Table, "np.ndarray[Any, np.dtype[np.int64]]"]:
    """Return both in the order of their messages."""
    if not other_places:
        return hits, places
    together = np.concatenate([places, np.array(other_places, dtype=np.int64)])
    order = np.argsort(together)
    return _table(pl.concat([pl.DataFrame(hits), others])[order]), together[order]


def _table(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.newest()).cast(HITS_SCHEMA)
