"""What the exact run found, and how much of it the others did.

score.py pairs STORE EXACT OUT      the (anchor, positive) of every anchor, for all contenders
score.py recall EXACT FOUND         slots filled and recall by band, as JSON
EXACT and FOUND are triplets: a Parquet file or a folder of them.
"""
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from job import BANDS, SLOTS, Rows

TIE = 1e-6


def pairs(store, exact, out):
    """An anchor that has no triplet in the exact run is given the next row of its class."""
    rows = Rows(store)
    by_class = np.argsort(rows.code, kind="stable")
    size = np.bincount(rows.code)
    end = np.cumsum(size)
    place = np.empty_like(by_class)
    place[by_class] = np.arange(len(by_class))
    following = np.where(place + 1 == end[rows.code], (end - size)[rows.code], place + 1)
    positive = by_class[following]
    mined = pq.read_table(exact, columns=["anchor_id", "positive_id"])
    positive[rows.at(mined["anchor_id"].to_numpy())] = rows.at(mined["positive_id"].to_numpy())
    anchor = np.flatnonzero(size[rows.code] > 1)
    pq.write_table(pa.table({"anchor_id": rows.id[anchor], "positive_id": rows.id[positive[anchor]]}), out)


def slots(path, anchors):
    """Negatives and their distances as [anchor, band, slot]; −1 and NaN where a slot is empty."""
    table = pq.read_table(path, columns=["anchor_id", "negative_id", "d_an", "band"])
    anchor = np.searchsorted(anchors, table["anchor_id"].to_numpy())
    name = table["band"].combine_chunks()
    name = name if pa.types.is_dictionary(name.type) else name.dictionary_encode()
    band = np.array([BANDS.index(band) for band in name.dictionary.to_pylist()])[name.indices.to_numpy()]
    group = anchor * len(BANDS) + band
    order = np.argsort(group, kind="stable")
    group = group[order]
    slot = np.arange(len(group)) - np.searchsorted(group, group)
    shape = len(anchors) * len(BANDS), SLOTS
    negative, distance = np.full(shape, -1), np.full(shape, np.nan, np.float32)
    negative[group, slot] = table["negative_id"].to_numpy()[order]
    distance[group, slot] = table["d_an"].to_numpy()[order]
    return negative.reshape(-1, len(BANDS), SLOTS), distance.reshape(-1, len(BANDS), SLOTS)


def recall(exact, found):
    """Share of the exact run's triplets that were found: the same row, or another as far from the anchor."""
    anchors = np.unique(np.concatenate([pq.read_table(p, columns=["anchor_id"])["anchor_id"] for p in (exact, found)]))
    (true, true_d), (seen, seen_d) = slots(exact, anchors), slots(found, anchors)
    wanted = true >= 0
    same = (true[..., :, None] == seen[..., None, :]) & wanted[..., None]
    spare = ~same.any(-2, keepdims=True)
    tie = (np.abs(true_d[..., :, None] - seen_d[..., None, :]) <= TIE) & spare
    hit = wanted & (same | tie).any(-1)
    share = hit.sum((0, 2)) / np.maximum(wanted.sum((0, 2)), 1)
    print(json.dumps({
        "filled": int((seen >= 0).sum()),
        "recall": {band: float(share[i]) for i, band in enumerate(BANDS) if wanted[:, i].any()},
        "recall_all": float(hit.sum() / wanted.sum()),
    }))


{"pairs": pairs, "recall": recall}[sys.argv[1]](*sys.argv[2:])
