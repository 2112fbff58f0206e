"""What the trainers share: samples, classes held out, random triplets to compare with, and the comparison.

A pipeline here mines half of the classes, and a script judges what it learned by the other half, of which it saw nothing.
"""
import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

REPOSITORY = Path(__file__).resolve().parent.parent
MINED = REPOSITORY / "out" / "trainers"
SEEDS = range(10)

_options = argparse.ArgumentParser(description="Trains on mined triplets and on random ones; judges both by classes held out.")
_options.add_argument("--split", choices=["validation", "test"], default="test", help="which classes to hold out: out/trainers/SPLIT")


def split():
    """`test`, or `validation`, by which the settings of the scripts were chosen."""
    return _options.parse_args().split


def mined(pipeline):
    """The folder of what `miner run trainers/PIPELINE.toml` found."""
    return MINED / split() / pipeline


class Sample:
    """A file of sample_data: `vectors` (n × d, unit length, indexed by the rows of a manifest), `labels` and, if any, `texts`."""

    def __init__(self, name):
        store = pq.read_table(REPOSITORY / "sample_data" / f"{name}.parquet")
        vectors = np.stack(store["embedding"].to_numpy()).astype(np.float32)
        self.vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self.labels = store["label"].to_numpy()
        self.texts = store["text"].to_numpy() if "text" in store.column_names else None

    def held_out(self, rows):
        """The rows of all classes that `rows`, of any shape, has no row of."""
        return np.flatnonzero(~np.isin(self.labels, self.labels[rows]))

    def random_triplets(self, anchors, seed):
        """For each anchor a random other row of its class, and a random row of another class of the anchors: n × 3."""
        rng = np.random.default_rng(seed)
        train = np.flatnonzero(np.isin(self.labels, self.labels[anchors]))
        same = {label: train[self.labels[train] == label] for label in np.unique(self.labels[anchors])}
        other = {label: train[self.labels[train] != label] for label in same}
        draw = lambda label, anchor: (anchor, rng.choice(same[label][same[label] != anchor]), rng.choice(other[label]))
        return np.array([draw(label, anchor) for label, anchor in zip(self.labels[anchors], anchors)])

    def recall_at_1(self, embedded, rows):
        """The share of `rows` whose nearest other one among them, by cosine, is of their class."""
        unit = embedded[rows] / np.linalg.norm(embedded[rows], axis=1, keepdims=True)
        similarity = unit @ unit.T
        np.fill_diagonal(similarity, -np.inf)
        return float(np.mean(self.labels[rows][similarity.argmax(axis=1)] == self.labels[rows]))


def compare(title, sample, rows, arms, seeds=SEEDS, must_win=True):
    """Prints recall@1 on held-out classes for every arm and seed. Fails unless the mined triplets win on the mean, if they must.

    `rows` are those trained on; all other classes are held out. `arms` names functions of a seed that return the whole store,
    embedded: n × d. The arms of a script differ in their triplets alone; the seed decides initial weights and the order of
    training for all of them.
    """
    held_out = sample.held_out(rows)
    classes = len(np.unique(sample.labels[held_out]))
    print(f"{title}\nrecall@1 of {len(held_out)} rows of {classes} held-out classes ({split()})")
    print("seed" + "".join(f"{name:>12}" for name in arms))
    results = []
    for seed in seeds:
        results.append([sample.recall_at_1(np.asarray(arm(seed)), held_out) for arm in arms.values()])
        print(f"{seed:<4}" + "".join(f"{value:>12.3f}" for value in results[-1]), flush=True)
    mean = dict(zip(arms, np.mean(results, axis=0)))
    print("mean" + "".join(f"{value:>12.3f}" for value in mean.values()))
    wins = sum(result[-1] > result[-2] for result in results)
    print(f"mined ones beat random ones with {wins} of {len(results)} seeds")
    if must_win and mean["mined"] <= mean["random"]:
        sys.exit(f"{title}: mined triplets did not beat random ones")
