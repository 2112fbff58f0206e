"""The job of every Python contender: read a store and its (anchor, positive) pairs, choose negatives, write triplets.

Each contender is a program of its own, `NAME.py … STORE PAIRS OUT`, whose last line of output is a JSON object of
stage times and versions. Here is what they share: everything but the search.
"""
import json
import os
import time
from contextlib import contextmanager
from importlib.metadata import version

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BANDS = ("hard", "semi-hard", "easy")
PER_BAND = 4
# Slots of an anchor and band, at most: all negatives of the job "nearest" may lie in one band.
SLOTS = 8
MARGIN = 0.2
THREADS = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())


class Stages:
    """Seconds spent in each part of a contender; a part may be entered many times."""

    def __init__(self):
        self.seconds = {}

    @contextmanager
    def __call__(self, name):
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def report(self, *packages):
        """The line that the benchmark reads."""
        versions = {package: version(package) for package in packages}
        print(json.dumps({"stages": self.seconds, "versions": versions}))


class Rows:
    """The labelled rows of a store, normalised. No other row can be in a triplet, so none is indexed."""

    def __init__(self, store):
        table = pq.read_table(store, columns=["id", "label", "embedding"])
        code = table["label"].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
        labelled = code >= 0
        vectors = table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(code), -1)
        self.stored = len(code)
        self.id = table["id"].to_numpy()[labelled]
        self.code = code[labelled]
        self.vectors = vectors[labelled]
        self.vectors /= np.linalg.norm(self.vectors, axis=1, keepdims=True)

    def at(self, ids):
        """The rows that have these ids."""
        order = np.argsort(self.id)
        return order[np.searchsorted(self.id, ids, sorter=order)]

    def distance(self, a, b):
        return 1 - np.einsum("ij,ij->i", self.vectors[a], self.vectors[b])


class Job(Rows):
    """What is to be mined: for every pair the PER_BAND nearest negatives of the bands hard and semi-hard, or ("nearest")
    the SLOTS nearest negatives of any band."""

    def __init__(self, store, pairs, kind):
        super().__init__(store)
        self.kind = kind
        table = pq.read_table(pairs)
        self.anchor = self.at(table["anchor_id"].to_numpy())
        self.positive = self.at(table["positive_id"].to_numpy())
        self.d_ap = self.distance(self.anchor, self.positive)
        self.chosen = []

    def select(self, start, found, d_an):
        """Takes from the candidates of pairs start …, nearest first: rows, and −1 where there is none."""
        these = slice(start, start + len(found))
        gap = d_an - self.d_ap[these, None]
        negative = (found >= 0) & (self.code[found] != self.code[self.anchor[these], None])
        bands = [gap <= 0, (gap > 0) & (gap <= MARGIN)]
        if self.kind == "nearest":
            negative &= np.cumsum(negative, axis=1, dtype=np.int16) <= SLOTS
            bands.append(gap > MARGIN)
        for band, inside in enumerate(bands):
            inside &= negative
            if self.kind == "bands":
                inside &= np.cumsum(inside, axis=1, dtype=np.int16) <= PER_BAND
            pair, place = np.nonzero(inside)
            self.chosen.append((start + pair, found[pair, place], d_an[pair, place], np.full(len(pair), band, np.int8)))

    def write(self, out):
        pair, negative, d_an, band = (np.concatenate(part) for part in zip(*self.chosen))
        table = pa.table({
            "anchor_id": self.id[self.anchor[pair]],
            "positive_id": self.id[self.positive[pair]],
            "negative_id": self.id[negative],
            "d_ap": self.d_ap[pair],
            "d_an": d_an.astype(np.float32),
            "band": pa.DictionaryArray.from_arrays(band, list(BANDS)),
        })
        pq.write_table(table, out)
