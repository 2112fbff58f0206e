"""Hugging Face datasets: a manifest as a Dataset, shuffled and batched as torch tensors.

    miner run trainers/triplets.toml && python trainers/huggingface_datasets.py
"""
import torch
from datasets import Dataset, load_dataset
from torch.nn.functional import cosine_similarity, relu

import sample

ROWS = ["anchor_row", "positive_row", "negative_row"]


def train(triplets, seed, epochs=3):
    """Trains a head on a Dataset of triplets, and embeds the store with it."""
    torch.manual_seed(seed)
    inputs = torch.as_tensor(sample.vectors)
    head = torch.nn.Linear(384, 128, bias=False)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    for epoch in range(epochs):
        for batch in triplets.shuffle(seed=100 * seed + epoch).with_format("torch").iter(batch_size=64):
            anchor, positive, negative = (head(inputs[batch[rows].long()]) for rows in ROWS)
            gap = cosine_similarity(anchor, positive) - cosine_similarity(anchor, negative)
            optimizer.zero_grad()
            relu(0.3 - gap).mean().backward()
            optimizer.step()
    with torch.no_grad():
        return head(inputs).numpy()


def random(anchors, seed):
    return Dataset.from_dict(dict(zip(ROWS, sample.random_triplets(anchors, seed).T)))


if __name__ == "__main__":
    files = str(sample.MINED / "triplets" / "triplets" / "*.parquet")
    mined = load_dataset("parquet", data_files=files, split="train").select_columns(ROWS)
    sample.compare(
        f"huggingface_datasets: triplet loss, {len(mined):,} triplets, 3 epochs",
        {
            "untrained": lambda seed: train(mined, seed, epochs=0),
            "random": lambda seed: train(random(mined["anchor_row"], seed), seed),
            "mined": lambda seed: train(mined, seed),
        },
    )
