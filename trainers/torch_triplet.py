"""PyTorch: a Dataset over the manifest, a DataLoader, triplet margin loss in the metric that the triplets were mined in.

    miner run trainers/triplets.toml && python trainers/torch_triplet.py
"""
import numpy as np
import pyarrow.parquet as pq
import torch
from torch.nn.functional import cosine_similarity
from torch.utils.data import DataLoader, Dataset

from sample import Sample, compare, mined

digits = Sample("digits")


class Triplets(Dataset):
    """Item i: what the three rows of triplet i stand for. Vectors here; in your training, what they were made from."""

    def __init__(self, rows, inputs):
        self.rows = torch.as_tensor(rows)
        self.inputs = torch.as_tensor(inputs)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.inputs[self.rows[index]]


def manifest(folder):
    """The triplets of a manifest, as rows of the store: n × 3."""
    table = pq.read_table(folder / "triplets", columns=["anchor_row", "positive_row", "negative_row"])
    return np.stack([column.to_numpy().astype(np.int64) for column in table.columns], axis=1)


def train(rows, seed, epochs=6):
    """Trains a head on triplets, and embeds the store with it."""
    torch.manual_seed(seed)  # the head, and the order that the DataLoader draws
    head = torch.nn.Linear(64, 8, bias=False)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    loss = torch.nn.TripletMarginWithDistanceLoss(
        distance_function=lambda a, b: 1 - cosine_similarity(a, b), margin=0.2
    )
    for _ in range(epochs):
        for batch in DataLoader(Triplets(rows, digits.vectors), batch_size=64, shuffle=True):
            anchor, positive, negative = head(batch).unbind(dim=1)
            optimizer.zero_grad()
            loss(anchor, positive, negative).backward()
            optimizer.step()
    with torch.no_grad():
        return head(torch.as_tensor(digits.vectors)).numpy()


if __name__ == "__main__":
    triplets = manifest(mined("triplets"))
    compare(
        f"torch_triplet: TripletMarginWithDistanceLoss, {len(triplets):,} triplets, 6 epochs",
        digits,
        triplets,
        {
            "untrained": lambda seed: train(triplets, seed, epochs=0),
            "random": lambda seed: train(digits.random_triplets(triplets[:, 0], seed), seed),
            "mined": lambda seed: train(triplets, seed),
        },
    )
