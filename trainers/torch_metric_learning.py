"""pytorch-metric-learning: mined triplets as the indices_tuple of its losses, in place of a miner within the batch.

    miner run trainers/triplets.toml && python trainers/torch_metric_learning.py
"""
import numpy as np
import pyarrow.parquet as pq
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import TripletMarginLoss

from sample import Sample, compare, mined

digits = Sample("digits")


def manifest(folder):
    """The triplets of a manifest, as rows of the store: n × 3."""
    table = pq.read_table(folder / "triplets", columns=["anchor_row", "positive_row", "negative_row"])
    return np.stack([column.to_numpy().astype(np.int64) for column in table.columns], axis=1)


def train(rows, seed, epochs=6):
    """Trains a head on triplets, and embeds the store with it."""
    torch.manual_seed(seed)  # the head, and the order of the triplets
    inputs, rows = torch.as_tensor(digits.vectors), torch.as_tensor(rows)
    classes = torch.as_tensor(digits.labels)
    head = torch.nn.Linear(64, 8, bias=False)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    loss = TripletMarginLoss(margin=0.2, distance=CosineSimilarity())
    for _ in range(epochs):
        for batch in torch.randperm(len(rows)).split(64):
            # Every row of the batch is embedded once, however many triplets it is in; the tuple indexes those.
            distinct, places = rows[batch].unique(return_inverse=True)
            optimizer.zero_grad()
            loss(head(inputs[distinct]), classes[distinct], indices_tuple=places.unbind(dim=1)).backward()
            optimizer.step()
    with torch.no_grad():
        return head(inputs).numpy()


if __name__ == "__main__":
    triplets = manifest(mined("triplets"))
    compare(
        f"torch_metric_learning: TripletMarginLoss, {len(triplets):,} triplets, 6 epochs",
        digits,
        triplets,
        {
            "untrained": lambda seed: train(triplets, seed, epochs=0),
            "random": lambda seed: train(digits.random_triplets(triplets[:, 0], seed), seed),
            "mined": lambda seed: train(triplets, seed),
        },
    )
