"""sentence-transformers' mine_hard_negatives, embeddings handed over: sentence_transformers_top.py STORE PAIRS OUT.

It knows no bands and no labels, only pairs: the hardest rows that are not the anchor's positive. Of those the job takes
the ones that are of another class and in a band. One more than the slots is asked for, as the anchor itself is found.
"""
import sys

import numpy as np
from datasets import Dataset
from sentence_transformers.util import mine_hard_negatives

from job import BANDS, PER_BAND, Job, Stages

SLOTS = PER_BAND * len(BANDS)


class Embedded:
    """Stands in for a model: a text is the number of a row, its embedding is that row."""

    device = "cpu"

    def __init__(self, vectors):
        self.vectors = vectors

    def encode_document(self, texts, **_):
        return self.vectors[np.array(texts, dtype=np.int64)]

    encode_query = encode_document

    def get_embedding_dimension(self):
        return self.vectors.shape[1]

    def similarity_pairwise(self, a, b):
        import torch

        return torch.from_numpy(np.einsum("ij,ij->i", a, b))


def main(store, pairs, out):
    stage = Stages()
    with stage("read"):
        job = Job(store, pairs, "bands")
    with stage("mine"):
        text = np.arange(len(job.vectors)).astype(str)
        mined = mine_hard_negatives(
            Dataset.from_dict({"anchor": text[job.anchor], "positive": text[job.positive]}),
            Embedded(job.vectors), corpus=text.tolist(), num_negatives=SLOTS + 1,
            output_format="n-tuple", use_faiss=True, verbose=False)
    with stage("select"):
        table = mined.with_format("arrow")[:]
        found = np.stack([table[f"negative_{i}"].cast("int64").to_numpy() for i in range(1, SLOTS + 2)], axis=1)
        assert len(found) == len(job.anchor)
        similarity = np.einsum("ij,ikj->ik", job.vectors[job.anchor], job.vectors[found])
        job.select(0, found, 1 - similarity)
    with stage("write"):
        job.write(out)
    stage.report("sentence-transformers", "torch", "faiss-cpu")


main(*sys.argv[1:])
