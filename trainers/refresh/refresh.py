"""Rounds of mining and training: train, embed again, write Parquet, `miner run`, look at what changed, and so on.

    MINER=target/release/miner python trainers/refresh/refresh.py
"""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.nn.functional import cosine_similarity, relu

sys.path.append(str(Path(__file__).resolve().parent.parent))
import sample

HERE = Path(__file__).resolve().parent
WORK = sample.MINED / "refresh"
ROUNDS, MARGIN = 3, 0.2


def write_store(embedded):
    """The sample with the model's embeddings in place of its own."""
    store = pq.read_table(sample.REPOSITORY / "sample_data" / "glosses.parquet").select(["id", "label"])
    pq.write_table(store.append_column("embedding", pa.array(list(embedded), pa.list_(pa.float32()))), WORK / "store.parquet")


def mine(number):
    """Mines the store, and returns the triplets as rows: n × 3."""
    out = WORK / f"round-{number}"
    subprocess.run(
        [os.environ.get("MINER", "miner"), "run", HERE / "round.toml", "--set", f"output.path={out}", "--overwrite", "--quiet"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    table = pq.read_table(out / "triplets", columns=["anchor_row", "positive_row", "negative_row"])
    return np.stack([column.to_numpy().astype(np.int64) for column in table.columns], axis=1)


def train(head, rows, seed):
    """One pass over the triplets."""
    torch.manual_seed(seed)
    inputs, rows = torch.as_tensor(sample.vectors), torch.as_tensor(rows)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    for batch in torch.randperm(len(rows)).split(64):
        anchor, positive, negative = head(inputs[rows[batch]]).unbind(dim=1)
        gap = cosine_similarity(anchor, positive) - cosine_similarity(anchor, negative)
        optimizer.zero_grad()
        relu(0.3 - gap).mean().backward()
        optimizer.step()


def gaps(rows, embedded):
    """d(anchor, negative) − d(anchor, positive) of every triplet."""
    unit = embedded / np.linalg.norm(embedded, axis=1, keepdims=True)
    anchor, positive, negative = (unit[rows[:, who]] for who in range(3))
    return (anchor * positive).sum(axis=1) - (anchor * negative).sum(axis=1)


def pairs(rows):
    return {(anchor, negative) for anchor, _, negative in rows.tolist()}


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    head = torch.nn.Linear(384, 128, bias=False)
    embed = lambda: head(torch.as_tensor(sample.vectors)).detach().numpy()
    split = sys.argv[1] if len(sys.argv) > 1 else "test"  # validation chose the number of rounds
    recalls, before = [sample.recall_at_1(embed(), split)], None
    print(f"recall@1 of {len(sample.rows(split))} held-out rows, untrained: {recalls[0]:.3f}")
    print("round  triplets  new negatives  mean gap, mined → trained  became easy  recall@1")
    for number in range(ROUNDS):
        write_store(embed())
        rows = mine(number)
        new = "–" if before is None else f"{len(pairs(rows) - pairs(before)) / len(pairs(rows)):.0%}"
        mined = gaps(rows, embed())
        train(head, rows, seed=number)
        trained = gaps(rows, embed())
        easy = np.mean((mined <= MARGIN) & (trained > MARGIN))
        recalls.append(sample.recall_at_1(embed(), split))
        drift = f"{mined.mean():+.3f} → {trained.mean():+.3f}"
        print(f"{number:<5}{len(rows):>10,}{new:>15}{drift:>27}{easy:>13.0%}{recalls[-1]:>10.3f}", flush=True)
        before = rows
    if recalls[-1] <= recalls[1]:
        sys.exit("rounds of mining did not raise recall@1 beyond that of the first")


if __name__ == "__main__":
    main()
