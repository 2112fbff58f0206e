"""What sentence-transformers' mine_hard_negatives finds on the sample: st.py OUT.json.

Run by hand, in an environment with sentence-transformers 6.2, datasets and pyarrow; tests/it/peers.rs holds miner to the
file. The embeddings are handed over: a text is an id, its embedding the one of the store.
"""
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from datasets import Dataset
from sentence_transformers.util import mine_hard_negatives

SAMPLE = Path(__file__).resolve().parent.parent.parent / "sample_data"
# Everything is looked at, so that no limit of theirs cuts a list short.
EVERYTHING = 1_000
CASES = [
    {},
    {"relative_margin": 0.05},
    {"absolute_margin": 0.1},
    {"max_score": 0.45, "min_score": 0.25},
    {"range_min": 4},
]


def table(name):
    columns = pq.read_table(SAMPLE / name)
    vectors = np.stack(columns["embedding"].to_numpy(zero_copy_only=False)).astype(np.float32)
    return dict(zip(columns["id"].to_pylist(), vectors / np.linalg.norm(vectors, axis=1, keepdims=True)))


class Embedded:
    device = "cpu"

    def __init__(self, queries, corpus):
        self.queries, self.corpus = queries, corpus

    def encode_query(self, ids, **_):
        return np.stack([self.queries[id] for id in ids])

    def encode_document(self, ids, **_):
        return np.stack([self.corpus[id] for id in ids])

    def similarity(self, a, b):
        return torch.as_tensor(a) @ torch.as_tensor(b).T

    def similarity_pairwise(self, a, b):
        return (torch.as_tensor(a) * torch.as_tensor(b)).sum(dim=1)


def main(out):
    queries, corpus = table("queries.parquet"), table("glosses.parquet")
    pairs = pq.read_table(SAMPLE / "qrels.parquet")
    dataset = Dataset.from_dict({"anchor": pairs["query_id"].to_pylist(), "positive": pairs["corpus_id"].to_pylist()})
    cases = []
    for settings in CASES:
        mined = mine_hard_negatives(
            dataset, Embedded(queries, corpus), corpus=list(corpus), num_negatives=3, range_max=EVERYTHING,
            output_format="triplet", verbose=False, **settings)
        found = {}
        for row in mined:
            found.setdefault(row["anchor"], {}).setdefault(row["positive"], []).append(row["negative"])
        cases.append({"settings": settings, "found": found})
    Path(out).write_text(json.dumps(cases, separators=(",", ":"), sort_keys=True) + "\n")


main(*sys.argv[1:])
