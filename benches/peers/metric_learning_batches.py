"""pytorch-metric-learning's TripletMarginMiner: metric_learning_batches.py STORE PAIRS OUT.

It mines inside a batch, as a training loop would, and so never sees the other rows of the store: every anchor once, in
batches of whole classes. It returns all triplets in the batch that violate the margin; the job takes from them.
"""
import sys

import numpy as np
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.miners import TripletMarginMiner

from job import MARGIN, PER_BAND, Job, Stages

BATCH = 4096


def main(store, pairs, out):
    stage = Stages()
    with stage("read"):
        job = Job(store, pairs, "bands")
        # Whole classes in random order: the pair of an anchor stands beside it.
        shuffled = np.random.default_rng(42).permutation(job.code.max() + 1)[job.code[job.anchor]]
        order = np.argsort(shuffled, kind="stable")
        job.anchor, job.positive, job.d_ap = job.anchor[order], job.positive[order], job.d_ap[order]
        miner = TripletMarginMiner(margin=MARGIN, type_of_triplets="all", distance=CosineSimilarity())
    batches = -(-len(job.anchor) // BATCH)
    size = -(-len(job.anchor) // batches)
    for start in range(0, len(job.anchor), size):
        these = slice(start, start + size)
        rows, positives, d_ap = job.anchor[these], job.positive[these], job.d_ap[these, None]
        with stage("mine"):
            vectors, code = torch.from_numpy(job.vectors[rows]), torch.from_numpy(job.code[rows].astype(np.int64))
            anchor, positive, negative = (part.numpy() for part in miner(vectors, code))
        with stage("select"):
            mined = rows[positive] == positives[anchor]
            at = anchor[mined], negative[mined]
            distance = np.full((len(rows), len(rows)), np.inf, np.float32)
            distance[at] = (1 - vectors @ vectors.T).numpy()[at]
            for band in (distance <= d_ap, distance > d_ap):
                inside = np.where(band, distance, np.inf)
                nearest = np.argpartition(inside, PER_BAND, axis=1)[:, :PER_BAND]
                job.select(start, rows[nearest], np.take_along_axis(inside, nearest, axis=1))
    with stage("write"):
        job.write(out)
    stage.report("pytorch-metric-learning", "torch")


main(*sys.argv[1:])
