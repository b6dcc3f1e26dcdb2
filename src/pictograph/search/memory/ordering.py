"""Rows of the index in the order of a fact. Pure, numpy only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pictograph.search.memory.arrays import Bytes, Rows, as_void, bytes_of, halves
from pictograph.search.memory.values import Values
from pictograph.store.pages import At


def in_order(ids: Bytes, values: Values, limit: int, after: At | None, *, descending: bool) -> Rows:
    """Places of the first `limit` images, ties by id, what has no value last. after: only those behind this place.

    ids: uint8 (N, 16).
    """
    keys = rising(values, descending=descending)
    places = (
        np.arange(len(ids)) if after is None else np.flatnonzero(is_behind(ids, keys, after, descending=descending))
    )
    if len(places) > limit:
        places = smallest(ids, keys, places, limit)
    high, low = halves(ids[places])
    return places[np.lexsort((low, high, keys[places]))][:limit]


def smallest(ids: Bytes, keys: Values, places: Rows, limit: int) -> Rows:
    """Those of the places that can be among the first `limit`: sorting all of a library would take long."""
    ours = keys[places]
    last = np.partition(ours, limit - 1)[limit - 1]
    before, same = places[ours < last], places[ours == last]
    missing = limit - len(before)
    if len(same) > missing:
        heads = halves(ids[same])[0]
        same = same[heads <= np.partition(heads, missing - 1)[missing - 1]]
    return np.concatenate([before, same])


def is_behind(ids: Bytes, keys: Values, after: At, *, descending: bool) -> npt.NDArray[np.bool_]:
    """Which images come after this place."""
    value = np.array([np.nan if after.value is None else after.value])
    key = rising(value, descending=descending)[0]
    behind: npt.NDArray[np.bool_] = keys > key
    same = np.flatnonzero(keys == key)
    behind[same[as_void(ids[same]) > as_void(bytes_of(after.id.bytes))]] = True
    return behind


def rising(values: Values, *, descending: bool) -> Values:
    """Keys that sort as the order wants it: what is not known is infinitely far."""
    keys = -values if descending else values.copy()
    keys[np.isnan(keys)] = np.inf
    return keys
