"""How much of the anchors' true nearest 64 the approximate peers find, and how fast: tune.py STORE.

The source of top_k.EFFORT.
"""
import sys
import time

import numpy as np

from job import Rows
from top_k import BUILD, EFFORT

K = 64
EFFORTS = {"faiss-hnsw": (64, 128, 192, 256, 384), "faiss-ivf": (32, 64, 96, 128), "hnswlib": (64, 128, 192, 256, 384)}


def main(store):
    rows = Rows(store)
    vectors = rows.vectors
    anchors = np.flatnonzero(np.bincount(rows.code)[rows.code] > 1)
    queries = vectors[np.random.default_rng(1).permutation(anchors)[:2_000]]
    _, truth = BUILD["faiss-flat"](vectors)(queries, K, None)
    for name in EFFORT:
        start = time.perf_counter()
        search = BUILD[name](vectors)
        print(f"{name}: built in {time.perf_counter() - start:.1f} s")
        for effort in EFFORTS[name]:
            start = time.perf_counter()
            _, found = search(queries, K, effort)
            rate = len(queries) / (time.perf_counter() - start)
            recall = np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(found, truth)])
            print(f"  {effort}: recall@{K} {recall:.4f}, {rate:,.0f} anchors/s", flush=True)


main(sys.argv[1])
