"""PyTorch on labelled pairs (layout `labeled-pair`): contrastive loss, and margin loss (Wu et al. 2017).

    miner run trainers/pairs.toml && python trainers/torch_contrastive.py
"""
import numpy as np
import pyarrow.parquet as pq
import torch
from torch.nn.functional import cosine_embedding_loss, normalize, relu

from sample import Sample, compare, mined

digits = Sample("digits")


def manifest(folder):
    """The pairs of a manifest, as rows of the store, and their labels: n × 2, and n of 1 (same class) and 0."""
    table = pq.read_table(folder / "triplets", columns=["anchor_row", "candidate_row", "label"])
    anchor, candidate, label = (column.to_numpy().astype(np.int64) for column in table.columns)
    return np.stack([anchor, candidate], axis=1), label


def random_pairs(pairs, label, seed):
    """As many pairs of the same anchors and labels, with random candidates."""
    anchor, positive, negative = digits.random_triplets(pairs[:, 0], seed).T
    return np.stack([anchor, np.where(label == 1, positive, negative)], axis=1)


def contrastive(anchor, candidate, label, margin=0.3):
    """1 − s for a pair of one class, max(0, s − margin) for others, s the cosine."""
    return cosine_embedding_loss(anchor, candidate, 2 * label - 1, margin=margin)


def margin(anchor, candidate, label, alpha=0.2, beta=1.0):
    """max(0, alpha ± (d − beta)), d the Euclidean distance of unit vectors: + for a pair of one class."""
    distance = (normalize(anchor, dim=-1) - normalize(candidate, dim=-1)).square().sum(dim=-1).clamp(min=1e-12).sqrt()
    return relu(alpha + (2 * label - 1) * (distance - beta)).mean()


def train(pairs, label, loss, seed, epochs=3):
    """Trains a head on pairs, and embeds the store with it."""
    torch.manual_seed(seed)  # the head, and the order of the pairs
    inputs, pairs, label = torch.as_tensor(digits.vectors), torch.as_tensor(pairs), torch.as_tensor(label)
    head = torch.nn.Linear(64, 8, bias=False)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(pairs)).split(128):
            anchor, candidate = head(inputs[pairs[batch]]).unbind(dim=1)
            optimizer.zero_grad()
            loss(anchor, candidate, label[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        return head(inputs).numpy()


if __name__ == "__main__":
    pairs, label = manifest(mined("pairs"))
    for loss in [contrastive, margin]:
        compare(
            f"torch_contrastive: {loss.__name__} loss, {len(pairs):,} pairs, 3 epochs",
            digits,
            pairs,
            {
                "untrained": lambda seed: train(pairs, label, loss, seed, epochs=0),
                "random": lambda seed: train(random_pairs(pairs, label, seed), label, loss, seed),
                "mined": lambda seed: train(pairs, label, loss, seed),
            },
            must_win=False,  # pairs do not hold what a band is about, which of two candidates is nearer: see README.md
        )
