"""Hugging Face datasets: a manifest as a Dataset, shuffled and batched as torch tensors.

    miner run trainers/triplets.toml && python trainers/huggingface_datasets.py
"""
import numpy as np
import torch
from datasets import Dataset, load_dataset
from torch.nn.functional import cosine_similarity, relu

from sample import Sample, compare, mined

digits = Sample("digits")
ROWS = ["anchor_row", "positive_row", "negative_row"]


def train(triplets, seed, epochs=6):
    """Trains a head on a Dataset of triplets, and embeds the store with it."""
    torch.manual_seed(seed)
    inputs = torch.as_tensor(digits.vectors)
    head = torch.nn.Linear(64, 8, bias=False)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    for epoch in range(epochs):
        for batch in triplets.shuffle(seed=100 * seed + epoch).with_format("torch").iter(batch_size=64):
            anchor, positive, negative = (head(inputs[batch[rows].long()]) for rows in ROWS)
            gap = cosine_similarity(anchor, positive) - cosine_similarity(anchor, negative)
            optimizer.zero_grad()
            relu(0.2 - gap).mean().backward()
            optimizer.step()
    with torch.no_grad():
        return head(inputs).numpy()


def random(anchors, seed):
    return Dataset.from_dict(dict(zip(ROWS, digits.random_triplets(anchors, seed).T)))


if __name__ == "__main__":
    files = str(mined("triplets") / "triplets" / "*.parquet")
    triplets = load_dataset("parquet", data_files=files, split="train").select_columns(ROWS)
    anchors = np.array(triplets["anchor_row"])
    compare(
        f"huggingface_datasets: triplet loss, {len(triplets):,} triplets, 6 epochs",
        digits,
        anchors,
        {
            "untrained": lambda seed: train(triplets, seed, epochs=0),
            "random": lambda seed: train(random(anchors, seed), seed),
            "mined": lambda seed: train(triplets, seed),
        },
    )
