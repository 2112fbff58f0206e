"""What the trainers share: the sample, its held-out rows, random triplets to compare with, and the comparison.

Rows are split by the last digit of their id, which says nothing of them. The pipelines here mine 0 to 5 alone; 6 and 7 chose the
settings of the scripts (`--split validation`); 8 and 9 judge them.
"""
import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

REPOSITORY = Path(__file__).resolve().parent.parent
MINED = REPOSITORY / "out" / "trainers"
SPLITS = {"train": "012345", "validation": "67", "test": "89"}
SEEDS = range(5)

_store = pq.read_table(REPOSITORY / "sample_data" / "glosses.parquet")
vectors = np.stack(_store["embedding"].to_numpy()).astype(np.float32)  # n × 384, unit length; the rows of a manifest index it
labels = np.array(_store["label"].to_pylist())
_last_digit = np.array([id[-1] for id in _store["id"].to_pylist()])
texts = np.array(_store["text"].to_pylist())


def rows(split):
    """The rows of a split."""
    return np.flatnonzero(np.isin(_last_digit, list(SPLITS[split])))


def random_triplets(anchors, seed):
    """For each anchor a random other row of its class, and a random row of another: n × 3, from the training rows."""
    rng = np.random.default_rng(seed)
    train = rows("train")
    same = {label: train[labels[train] == label] for label in np.unique(labels[train])}
    other = {label: train[labels[train] != label] for label in same}
    return np.array([
        (a, rng.choice(same[labels[a]][same[labels[a]] != a]), rng.choice(other[labels[a]])) for a in anchors
    ])


def recall_at_1(embedded, split):
    """The share of a split's rows whose nearest training row, by cosine, is of their class."""
    unit = embedded / np.linalg.norm(embedded, axis=1, keepdims=True)
    train, held_out = rows("train"), rows(split)
    nearest = train[(unit[held_out] @ unit[train].T).argmax(axis=1)]
    return float(np.mean(labels[nearest] == labels[held_out]))


def compare(title, arms):
    """Prints recall@1 of held-out rows for every arm and seed. Fails unless the mined triplets win on the mean.

    `arms` names functions of a seed that return the whole store, embedded: n × d. The arms of a script differ in their triplets
    alone; the seed decides initial weights and the order of training for all of them.
    """
    options = argparse.ArgumentParser(description=title)
    options.add_argument("--split", choices=["validation", "test"], default="test", help="the rows to judge by")
    split = options.parse_args().split
    print(f"{title}\nrecall@1 of {len(rows(split))} held-out rows; {recall_at_1(vectors, split):.3f} as the store has them")
    print("seed" + "".join(f"{name:>12}" for name in arms))
    results = []
    for seed in SEEDS:
        results.append([recall_at_1(np.asarray(arm(seed)), split) for arm in arms.values()])
        print(f"{seed:<4}" + "".join(f"{value:>12.3f}" for value in results[-1]), flush=True)
    mean = dict(zip(arms, np.mean(results, axis=0)))
    print("mean" + "".join(f"{value:>12.3f}" for value in mean.values()))
    if mean["mined"] <= mean["random"]:
        sys.exit(f"{title}: mined triplets did not beat random ones")
